"""Merge picks of several tables: their union, in which each particle is there once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.tables import SUFFIXES, write_particles
from deepict_dask.io.tables.found import Table, find_tables
from deepict_dask.kernels.deduplication import best_first, deduplicate
from deepict_dask.particles import Particles
from deepict_dask.provenance import Provenance
from deepict_dask.stages.results import read_result, write_result
from deepict_dask.tomogram import VoxelSize, per_axis

Unit = Literal["angstrom", "voxel"]


@dataclass(frozen=True)
class Merged:
    """What merging the tables of one class and tomogram gave.

    Attributes
    ----------
    tomogram, class_name : str
        Of the particles.
    n_given, n_particles : int
        Rows in all tables, and particles that they are.
    path : Path
        The table.
    """

    tomogram: str
    class_name: str
    n_given: int
    n_particles: int
    path: Path


def merge_particles(
    tables: Sequence[Particles],
    semi_axes: Sequence[float],
    *,
    unit: Unit = "angstrom",
    direction: Sequence[float] | None = None,
    first_wins: bool = False,
) -> Particles:
    """Unite picks and keep, of those that are one particle, the best-scored.

    Parameters
    ----------
    tables : sequence of Particles
        Picks of one tomogram and class, in voxels of one size.
    semi_axes : (float, float, float)
        Semi-axes (z, y, x) of an ellipsoid. Of two picks, one strictly inside the ellipsoid about the other,
        only the better-scored is kept; also where both are in one table.
    unit : {"angstrom", "voxel"}
        Of the semi-axes; angstrom needs the voxel size.
    direction : (float, float, float), optional
        Direction (z, y, x) of filaments, along which the first semi-axis is then measured.
    first_wins : bool
        Whether picks of an earlier table are better than those of a later one, whatever their
        scores: for annotations, which have none.

    Returns
    -------
    Particles
        Best first. Labels are numbered anew. Does not depend on the order of rows, nor, unless
        ``first_wins``, on the order of tables.

    Raises
    ------
    InputError
        If there is nothing to merge, the voxel sizes differ or are needed and not known, or a semi-axis is
        not a positive length.

    Examples
    --------
    >>> a = Particles.from_positions([[5, 5, 5]], score=np.array([0.8]))
    >>> b = Particles.from_positions([[5, 5, 7], [9, 5, 5]], score=np.array([0.9, 0.7]))
    >>> merge_particles([a, b], (2, 4, 4), unit="voxel").positions
    array([[5., 5., 7.],
           [9., 5., 5.]])
    """
    if not tables:
        raise InputError("there is no table to merge; give at least one")
    if unit not in ("angstrom", "voxel"):
        raise InputError(f"unit {unit!r} of semi-axes is unknown; use angstrom or voxel")
    sizes = {t.voxel_size for t in tables if t.voxel_size is not None}
    if len(sizes) > 1 and not np.allclose(np.diff(np.array(sorted(sizes)), axis=0), 0, atol=1e-6):
        raise InputError(
            f"tables of {_named(tables)} have voxels of {' and '.join(map(str, sorted(sizes)))} A; "
            "merge picks of one tomogram, in voxels of one size"
        )
    size = min(sizes) if sizes else None
    if unit == "angstrom" and size is None:
        raise InputError(
            f"nothing says the voxel size of {_named(tables)}; give it with --voxel-size (in A), "
            "or the semi-axes with --unit voxel"
        )
    columns = {
        name: np.concatenate([getattr(t, name) for t in tables])
        for name in ("z", "y", "x", "score", "score_max", "size")
    }
    source = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
    positions = np.stack([columns[axis] for axis in "zyx"], axis=1)
    order = best_first(columns["score"], positions, columns["score_max"], columns["size"])
    if first_wins:
        order = order[np.argsort(source[order], kind="stable")]
    scaled = positions * np.array(size) if unit == "angstrom" else positions
    stands_for = deduplicate(scaled, order, semi_axes, direction)
    kept = order[stands_for[order] == order]
    return Particles(
        label=np.arange(1, len(kept) + 1),
        **{name: column[kept] for name, column in columns.items()},
        voxel_size=size,
        tomogram=tables[0].tomogram,
        class_name=next((t.class_name for t in tables if t.class_name), ""),
    )


def merge(
    tables: Sequence[str | Path],
    output: Path,
    semi_axes: Sequence[float],
    *,
    unit: Unit = "angstrom",
    direction: Sequence[float] | None = None,
    class_name: str | None = None,
    voxel_size: float | VoxelSize | None = None,
    first_wins: bool = False,
    overwrite: bool = False,
) -> list[Merged]:
    """Merge tables, or run folders tomogram by tomogram, and write the unions.

    Parameters
    ----------
    tables : sequence of path
        Tables, run folders or folders of tables. Where all are single tables they are taken for picks of one
        tomogram; else tables of one tomogram and class, by name, are merged.
    output : Path
        A table (.csv, _motl.csv, .star, .parquet) for one tomogram and class; else a folder, which gets
        ``NAME/particles.csv``, or ``NAME/particles_CLASS.csv`` for several classes.
    semi_axes, unit, direction, first_wins
        As for `merge_particles`.
    class_name : str, optional
        Merge only this class.
    voxel_size : float or (float, float, float), optional
        In A; overrides what the tables say.
    overwrite : bool
        Whether a table made of other tables or with other settings may be replaced.

    Returns
    -------
    list of Merged
        One per tomogram and class.

    Raises
    ------
    InputError
        If there is no table, a class is not clear, or one table is to hold several tomograms.
    OutputExistsError
        If something else is there.
    """
    edges = None if voxel_size is None else per_axis(voxel_size)
    found = [find_tables(path) for path in tables]
    alone = all(Path(path).is_file() for path in tables)
    groups = _groups([t for some in found for t in some], class_name, alone)
    if not groups:
        raise InputError(f"there are no picks of class {class_name!r} in {', '.join(map(str, tables))}")
    is_table = any(output.name.lower().endswith(end) for end in SUFFIXES)
    if is_table and len(groups) > 1:
        what = ", ".join(" ".join(filter(None, reversed(key))) for key in sorted(groups))
        raise InputError(
            f"there are {len(groups)} tables to write ({what}); choose one class with --class, or name a folder as output"
        )
    several = len({name for _, name in groups}) > 1
    written = []
    settings = {
        "semi_axes": list(semi_axes),
        "unit": unit,
        "direction": None if direction is None else list(direction),
        "first_wins": first_wins,
        "voxel_size": edges,
    }
    for (tomogram, name), members in sorted(groups.items()):
        given = [_read(t, name, edges) for t in members]
        stem = f"particles_{name}" if several else "particles"
        path = output if is_table else output / (tomogram or given[0].tomogram) / f"{stem}.csv"
        union = merge_particles(given, semi_axes, unit=unit, direction=direction, first_wins=first_wins)
        _write(union, path, name, settings, members, overwrite)
        written.append(Merged(union.tomogram, union.class_name, sum(map(len, given)), len(union), path))
    return written


def _write(
    union: Particles,
    path: Path,
    class_name: str,
    settings: dict[str, Any],
    members: list[Table],
    overwrite: bool,
) -> None:
    end = next(end for end in SUFFIXES if path.name.lower().endswith(end))
    stem = path.name[: -len(end)].rstrip("_")
    side = path.with_name(f"{stem or path.stem}.json")
    identities = [
        {"name": t.path.name, "checksum": f"sha256:{hashlib.sha256(t.path.read_bytes()).hexdigest()}"}
        for t in members
    ]
    made_by = Provenance("merge", {}, {"class": class_name, "settings": settings, "tables": identities})
    if read_result(Location.of(side), made_by, overwrite=overwrite) is not None and path.exists():
        return
    write_particles(union, path)
    content = {
        "n_particles": len(union),
        "tomogram": union.tomogram,
        "voxel_size": union.voxel_size,
        "tables": [path.name],
    }
    write_result(Location.of(side), made_by, content)


def _groups(
    tables: Sequence[Table], class_name: str | None, alone: bool
) -> dict[tuple[str, str], list[Table]]:
    """Find which tables belong together: by tomogram and class."""
    known = sorted({name for t in tables for name in t.classes})
    if class_name is None and len(known) > 1 and not all(t.classes for t in tables):
        nameless = next(t.path for t in tables if not t.classes)
        raise InputError(
            f"other tables hold the classes {', '.join(known)} and {nameless} does not say its own; "
            "choose one with --class"
        )
    groups: dict[tuple[str, str], list[Table]] = {}
    for table in tables:
        # A table that names no class, such as an annotation, holds the one that the others hold.
        names = [class_name] if class_name is not None else list(table.classes or known[:1] or [""])
        for name in names:
            if table.holds(name or None):
                groups.setdefault(("" if alone else table.tomogram, name), []).append(table)
    return groups


def _read(table: Table, class_name: str, edges: VoxelSize | None) -> Particles:
    found = table.read(class_name or None)
    return found if edges is None else replace(found, voxel_size=edges)


def _named(tables: Sequence[Particles]) -> str:
    return next((t.tomogram for t in tables if t.tomogram), "the tomogram")
