"""Find the particle tables that a path names, and say what each is about before it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from deepict_dask.errors import DeepictError, InputError, MissingFileError
from deepict_dask.io.tables import read_particles, split_name
from deepict_dask.particles import UNKNOWN_GRID, Particles, VoxelGrid

# Of one table in several formats the first of these is read.
_PREFERRED = ("parquet", "csv", "star", "motl")
NAMELESS = ("", "particle", "class_0")
"""What a class is called of which nobody says more: the only one of a network without names."""


@dataclass(frozen=True)
class Table:
    """A particle table in a file, or the part of one that is of one tomogram.

    Attributes
    ----------
    path : Path
        The file.
    tomogram : str
        What its particles are in: what the rows say, else the folder of ``NAME/particles.csv``, else the file's name.
    classes : tuple of str
        Classes that it holds, sorted; empty where neither the table nor what lies beside it says.
    has_column : bool
        Whether the rows say their class.
    grid : VoxelGrid
        What the file beside it knows of the voxels.
    is_part : bool
        Whether the table holds other tomograms too, so that rows are chosen by name.
    is_named : bool
        Whether the rows, or the file beside it, say the tomogram; else it is what the file is called.
    """

    path: Path
    tomogram: str
    classes: tuple[str, ...] = ()
    has_column: bool = False
    grid: VoxelGrid = UNKNOWN_GRID
    is_part: bool = False
    is_named: bool = False

    @property
    def voxel_size(self) -> tuple[float, float, float] | None:
        """Edges of a voxel in A, (z, y, x), where the file beside it says."""
        return self.grid.voxel_size

    def holds(self, class_name: str | None) -> bool:
        """Tell whether the table may hold particles of a class; one that names none may hold any."""
        return class_name is None or not self.classes or class_name in self.classes

    def read(self, class_name: str | None = None, grid: VoxelGrid = UNKNOWN_GRID) -> Particles:
        """Read the particles of one class, or all of them.

        Parameters
        ----------
        class_name : str, optional
            Class; rows of a table that names none are all taken for it.
        grid : VoxelGrid
            What else is known of the voxels, such as from the table that this one is compared with.
        """
        grid_of_table = VoxelGrid(
            self.grid.voxel_size or grid.voxel_size,
            self.grid.shape or grid.shape,
            self.grid.origin if any(self.grid.origin) else grid.origin,
        )
        particles = read_particles(
            self.path,
            class_name=class_name if self.has_column and self.classes else None,
            tomogram=self.tomogram if self.is_part else None,
            grid=grid_of_table,
        )
        return replace(
            particles,
            tomograms=None,
            tomogram=self.tomogram,
            class_name=class_name or particles.class_name,
            voxel_size=particles.voxel_size or self.grid.voxel_size,
            shape=particles.shape or self.grid.shape,
        )


def read_tables(tables: Sequence[Table], grid: VoxelGrid = UNKNOWN_GRID) -> list[Particles]:
    """Read the tables of one tomogram, one after the other.

    Of a file of many tomograms the last one that was read is kept, so that it is not read anew for each of them.
    """
    particles = []
    for table in tables:
        if not table.is_part:
            particles.append(table.read(grid=grid))
            continue
        stat = os.stat(table.path)
        # Only STAR needs the voxels to know the positions.
        own_grid = table.grid if split_name(table.path.name)[1] == "star" else UNKNOWN_GRID
        whole = _whole(table.path, stat.st_mtime_ns, stat.st_size, own_grid, grid)
        part = whole.of_tomogram(table.tomogram)
        particles.append(
            replace(
                part,
                tomogram=table.tomogram,
                voxel_size=part.voxel_size or table.grid.voxel_size,
                shape=part.shape or table.grid.shape,
            )
        )
    return particles


@lru_cache(maxsize=1)
def _whole(path: Path, changed: int, n_bytes: int, own_grid: VoxelGrid, other: VoxelGrid) -> Particles:
    """Read a file of many tomograms; its time and size are part of what is looked up."""
    merged = VoxelGrid(
        own_grid.voxel_size or other.voxel_size, own_grid.shape or other.shape, own_grid.origin
    )
    return read_particles(path, grid=merged)


def find_tables(path: str | os.PathLike[str]) -> list[Table]:
    """Find the particle tables that a path names.

    Parameters
    ----------
    path : path
        A table; or a folder with tables in it or in its folders: a run folder or the folder of a
        tomogram in it (``NAME/particles.csv``, ``NAME/particles_CLASS.csv``), or ``NAME.csv`` and so on. Of
        one table in several formats one is taken.

    Returns
    -------
    list of Table
        Sorted by tomogram and class; of a table of several tomograms one for each.

    Raises
    ------
    MissingFileError
        If there is nothing.
    InputError
        If there is no table in the folder, or only some of the rows of one say their tomogram or class.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return _about(place)
    if not place.is_dir():
        raise MissingFileError(f"there is no particle table or folder {place}; check the path")
    # Other tables may lie in a run folder, such as a truth; they count only where there are no picks.
    for candidates in ([*place.glob("particles*"), *place.glob("*/particles*")], place.iterdir()):
        files: dict[Path, list[Path]] = {}
        for file in candidates:
            if file.is_file() and not file.name.startswith(".") and split_name(file.name)[1] is not None:
                files.setdefault(file.parent / split_name(file.name)[0], []).append(file)
        if files:
            break
    chosen = [
        min(same, key=lambda f: _PREFERRED.index(str(split_name(f.name)[1]))) for same in files.values()
    ]
    if not chosen:
        raise InputError(
            f"{place} holds no particle table; give a table, a run folder or a folder with one table per tomogram"
        )
    tables = [table for file in chosen for table in _about(file)]
    return sorted(tables, key=lambda t: (t.tomogram, t.classes, t.path))


def _about(path: Path) -> list[Table]:
    stem = split_name(path.name)[0]
    in_folder = stem == "particles" or stem.startswith("particles_")
    # resolve(), since the folder of "particles.csv" is "".
    called = path.resolve().parent.name if in_folder else stem
    side = _side(path.with_name(f"{stem}.json"))
    grid, grids = _grid(side), _grids(side)
    named_in = _names(path)
    tomograms = [name for name in named_in if name]
    classes = tuple(sorted({name for names in named_in.values() for name in names}))
    has_column = bool(classes)
    if not classes:
        named = str(side.get("class") or (stem.partition("_")[2] if in_folder else ""))
        classes = () if named in NAMELESS else (named,)
    classes = () if classes and all(name in NAMELESS for name in classes) else classes
    if len(tomograms) > 1:
        return [
            Table(
                path,
                name,
                (named_in[name] or classes) if classes else (),
                has_column,
                grids.get(name, grid),
                True,
                True,
            )
            for name in tomograms
        ]
    named_tomogram = tomograms[0] if tomograms else str(side.get("tomogram") or "")
    return [
        Table(
            path,
            named_tomogram or called,
            classes,
            has_column,
            grids.get(named_tomogram, grid),
            False,
            bool(named_tomogram),
        )
    ]


def _names(path: Path) -> dict[str, tuple[str, ...]]:
    """Give the tomograms that a table's rows or metadata name, and of each the classes, sorted."""
    try:
        # Positions that are counted from an unknown center are of no interest here.
        particles = read_particles(path, grid=VoxelGrid((1.0, 1.0, 1.0), (2, 2, 2)))
    except DeepictError:
        return {}  # reading it for its positions says what is wrong
    for column in ("tomogram", "class"):
        names = particles.names(column)
        if len(names) > 1 and "" in names:
            raise InputError(
                f"{path} has rows that do not say their {column} beside rows that do; fill in the empty cells of column {column}"
            )
    return {
        tomogram: tuple(sorted(name for name in particles.of_tomogram(tomogram).names("class") if name))
        for tomogram in particles.names("tomogram") or [""]
    }


def _side(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("made_by"), dict) else {}


def _grids(side: dict[str, Any]) -> dict[str, VoxelGrid]:
    """Give what the file beside a table of several tomograms says of each."""
    by_name = side.get("grids")
    return (
        {str(k): _grid(v) for k, v in by_name.items() if isinstance(v, dict)}
        if isinstance(by_name, dict)
        else {}
    )


def _grid(side: dict[str, Any]) -> VoxelGrid:
    def triple(name: str, kind: type) -> Any:
        value = side.get(name)
        try:
            return None if value is None else (kind(value[0]), kind(value[1]), kind(value[2]))
        except (TypeError, ValueError, IndexError, KeyError):
            return None

    return VoxelGrid(triple("voxel_size", float), triple("shape", int), triple("origin", float) or (0.0,) * 3)
