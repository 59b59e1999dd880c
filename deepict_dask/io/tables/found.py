"""Find the particle tables that a path names, and say what each is about before it is read."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.tables import SUFFIXES, read_particles
from deepict_dask.particles import Particles

# Of one table in several formats the first of these is read.
_PREFERRED = ("parquet", "csv", "star", "motl")
# What a network that names no class finds.
_ANY_CLASS = "particle"


@dataclass(frozen=True)
class Table:
    """A particle table in a file.

    Attributes
    ----------
    path : Path
        The file.
    tomogram : str
        What its particles are in: the table's folder for ``NAME/particles.csv``, else the file's name.
    classes : tuple of str
        Classes that it holds, sorted; empty where neither the table nor what lies beside it says.
    has_column : bool
        Whether the rows say their class.
    voxel_size : (float, float, float), optional
        Edges of a voxel in A from the file beside it, for tables that hold no particle.
    """

    path: Path
    tomogram: str
    classes: tuple[str, ...] = ()
    has_column: bool = False
    voxel_size: tuple[float, float, float] | None = None

    def holds(self, class_name: str | None) -> bool:
        """Tell whether the table may hold particles of a class; one that names none may hold any."""
        return class_name is None or not self.classes or class_name in self.classes

    def read(self, class_name: str | None = None) -> Particles:
        """Read the particles of one class, or all of them."""
        from dataclasses import replace

        found = read_particles(self.path, class_name=class_name if self.has_column else None)
        return replace(
            found,
            tomogram=self.tomogram,
            class_name=class_name or found.class_name,
            voxel_size=found.voxel_size or self.voxel_size,
        )


def find_tables(path: str | Path) -> list[Table]:
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
        Sorted by tomogram and class.

    Raises
    ------
    MissingFileError
        If there is nothing.
    InputError
        If there is no table in the folder.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [_about(path)]
    if not path.is_dir():
        raise MissingFileError(f"there is no particle table or folder {path}; check the path")
    # Other tables may lie in a run folder, such as a truth; they count only where there are no picks.
    for candidates in ([*path.glob("particles*"), *path.glob("*/particles*")], path.iterdir()):
        files: dict[Path, list[Path]] = {}
        for file in candidates:
            if file.is_file() and not file.name.startswith(".") and _format(file) is not None:
                files.setdefault(file.parent / _stem(file), []).append(file)
        if files:
            break
    chosen = [min(same, key=lambda f: _PREFERRED.index(str(_format(f)))) for same in files.values()]
    if not chosen:
        raise InputError(
            f"{path} holds no particle table; give a table, a run folder or a folder with one table per tomogram"
        )
    return sorted((_about(file) for file in chosen), key=lambda t: (t.tomogram, t.classes, t.path))


def _about(path: Path) -> Table:
    stem = _stem(path)
    in_folder = stem == "particles" or stem.startswith("particles_")
    # resolve(), since the folder of "particles.csv" is "".
    tomogram = path.resolve().parent.name if in_folder else stem
    side = _side(path.with_name(f"{stem}.json"))
    classes, has_column = _classes(path)
    if not classes:
        named = side.get("made_by", {}).get("class") or (stem.partition("_")[2] if in_folder else "")
        classes = () if named in ("", _ANY_CLASS) else (named,)
    size = side.get("voxel_size")
    voxel_size = None if size is None else (float(size[0]), float(size[1]), float(size[2]))
    return Table(path, str(side.get("tomogram") or tomogram), classes, has_column, voxel_size)


def _classes(path: Path) -> tuple[tuple[str, ...], bool]:
    """Give the classes that a table's rows or metadata name, and whether rows do."""
    format = _format(path)
    if format == "csv":
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file, skipinitialspace=True)
                header = [name.strip() for name in next(rows, [])]
                if "class" not in header:
                    return (), False
                k = header.index("class")
                return tuple(sorted({row[k] for row in rows if len(row) > k})), True
        except (UnicodeDecodeError, csv.Error):
            return (), False  # read_particles says what is wrong
    if format == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(path)
            if "class" in schema.names:
                return tuple(
                    sorted(set(map(str, pq.read_table(path, columns=["class"])["class"].to_pylist())))
                ), True
        except (pa.ArrowException, OSError):
            return (), False
        about = json.loads((schema.metadata or {}).get(b"deepict_dask", b"{}"))
        named = about.get("class") or ""
        return (() if named in ("", _ANY_CLASS) else (named,)), False
    return (), False


def _side(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("made_by"), dict) else {}


def _format(path: Path) -> str | None:
    return next((name for end, name in SUFFIXES.items() if path.name.lower().endswith(end)), None)


def _stem(path: Path) -> str:
    end = next((e for e in SUFFIXES if path.name.lower().endswith(e)), "")
    stem = path.name[: -len(end)] if end else path.stem
    return stem.rstrip("_") or path.stem
