"""Merge picks of several tables: their union, in which each particle is there once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.tables import split_name
from deepict_dask.io.tables.files import Table, find_tables
from deepict_dask.kernels.deduplication import best_first, deduplicate
from deepict_dask.names import check_name
from deepict_dask.particles import Particles, VoxelGrid, join
from deepict_dask.scoring.write_table import made_of, write_table
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
    path : Location
        The table.
    """

    tomogram: str
    class_name: str
    n_given: int
    n_particles: int
    path: Location


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
    united = join([_nameless(t) for t in tables])
    sizes = {t.voxel_size for t in tables if t.voxel_size is not None}
    size = min(sizes) if sizes else None
    if unit == "angstrom" and size is None:
        raise InputError(
            f"nothing says the voxel size of {_named(tables)}; give it with --voxel-size (in A), "
            "or the semi-axes with --unit voxel"
        )
    source = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
    positions = united.positions
    order = best_first(united.score, positions, united.score_max, united.size)
    if first_wins:
        order = order[np.argsort(source[order], kind="stable")]
    scaled = positions * np.array(size) if unit == "angstrom" else positions
    stands_for = deduplicate(scaled, order, semi_axes, direction)
    kept = united[order[stands_for[order] == order]]
    return replace(
        kept,
        label=np.arange(1, len(kept) + 1),
        voxel_size=size,
        shape=next((t.shape for t in tables if t.shape is not None), None),
        tomogram=next((t.tomogram for t in tables if t.tomogram), ""),
        class_name=next((t.class_name for t in tables if t.class_name), ""),
        attributes={},
    )


def _nameless(table: Particles) -> Particles:
    """Take the names away, by which tables of one tomogram and class may differ, and what is not of the union."""
    if table.tomograms is not None or table.classes is not None:
        raise InputError(
            f"a table holds several tomograms or classes ({_named([table])}); merge them one by one, see Particles.of_tomogram"
        )
    return replace(table, tomogram="", class_name="", bounding_box=None, grids={})


def merge(
    tables: Sequence[str],
    output: Location | str,
    semi_axes: Sequence[float],
    *,
    unit: Unit = "angstrom",
    direction: Sequence[float] | None = None,
    class_name: str | None = None,
    voxel_size: float | VoxelSize | None = None,
    first_wins: bool = False,
    overwrite: bool = False,
) -> list[Merged]:
    """Merge tables, or run folders, tomogram by tomogram, and write the unions.

    Parameters
    ----------
    tables : sequence of path
        Tables, run folders or folders of tables. Tables of one tomogram and class are merged, by the names that their
        rows, or the files beside them, say. Tables that say none are taken for picks of one tomogram.
    output : path
        A table (.csv, _motl.csv, .star, .parquet), which gets all tomograms and classes; else a folder, which gets
        ``NAME/particles.csv``, or ``NAME/particles_CLASS.csv`` for several classes.
    semi_axes, unit, direction, first_wins
        As for `merge_particles`.
    class_name : str, optional
        Merge only this class.
    voxel_size : float or (float, float, float), optional
        In A; overrides what the tables say.
    overwrite : bool
        Whether a table made of other tables or with other settings, or by somebody else, may be replaced.

    Returns
    -------
    list of Merged
        One per tomogram and class.

    Raises
    ------
    InputError
        If there is no table, or a class is not clear.
    OutputExistsError
        If something else is there.
    """
    output = Location.of(output)
    edges = None if voxel_size is None else per_axis(voxel_size)
    found_tables = [table for path in tables for table in find_tables(path)]
    groups = _groups(found_tables, class_name)
    if not groups:
        raise InputError(f"there are no picks of class {class_name!r} in {', '.join(map(str, tables))}")
    settings: dict[str, Any] = {
        "semi_axes": list(semi_axes),
        "unit": unit,
        "direction": None if direction is None else list(direction),
        "first_wins": first_wins,
        "voxel_size": edges,
    }
    unions = []
    for (tomogram, name), members in sorted(groups.items()):
        particles = [_read(t, name, edges) for t in members]
        union = merge_particles(particles, semi_axes, unit=unit, direction=direction, first_wins=first_wins)
        unions.append(
            (replace(union, tomogram=tomogram or union.tomogram), members, sum(map(len, particles)))
        )
    if split_name(output.name)[1] is not None:
        places = [output] * len(unions)
        everything = join([union for union, _, _ in unions]) if len(unions) > 1 else unions[0][0]
        _write(everything, output, settings, [t for _, members, _ in unions for t in members], overwrite)
    else:
        several = len({union.class_name for union, _, _ in unions}) > 1
        places = []
        for union, members, _ in unions:
            stem = f"particles_{union.class_name}" if several else "particles"
            name = check_name(union.tomogram, "a tomogram of the tables")
            places.append(output.join(name, f"{stem}.csv"))
            _write(union, places[-1], settings, members, overwrite)
    return [
        Merged(union.tomogram, union.class_name, n, len(union), place)
        for (union, _, n), place in zip(unions, places, strict=True)
    ]


def _write(
    union: Particles, table: Location, settings: dict[str, Any], members: list[Table], overwrite: bool
) -> None:
    files = [Location.of(member.path) for member in members]
    made_by = made_of("merge", files, {"classes": union.names("class"), **settings})
    write_table(union, table, made_by, overwrite=overwrite)


def _groups(tables: Sequence[Table], class_name: str | None) -> dict[tuple[str, str], list[Table]]:
    """Find which tables belong together: by tomogram and class."""
    classes = sorted({name for t in tables for name in t.classes})
    if class_name is None and len(classes) > 1 and not all(t.classes for t in tables):
        nameless = next(t.path for t in tables if not t.classes)
        raise InputError(
            f"other tables hold the classes {', '.join(classes)} and {nameless} does not say its own; "
            "choose one with --class"
        )
    # A table that does not say its tomogram is of the only one that the others say.
    named = sorted({t.tomogram for t in tables if t.is_named})
    unnamed = [t for t in tables if not t.is_named]
    in_folders = len({t.tomogram for t in unnamed}) > 1 and any(_is_in_folder(t) for t in unnamed)
    if unnamed and len(named) > 1 and not in_folders:
        raise InputError(
            f"other tables are of {', '.join(named[:6])}, and {unnamed[0].path} does not say which tomogram it is of; give it a "
            "column tomogram, or put it into a folder of the tomogram's name as particles.csv"
        )
    groups: dict[tuple[str, str], list[Table]] = {}
    for table in tables:
        # A table that names no class, such as an annotation, holds the one that the others hold.
        names = [class_name] if class_name is not None else list(table.classes or classes[:1] or [""])
        if table.is_named or in_folders:
            tomogram = table.tomogram
        else:
            tomogram = named[0] if named else ("" if not _is_in_folder(table) else table.tomogram)
        for name in names:
            if table.holds(name or None):
                groups.setdefault((tomogram, name), []).append(table)
    return groups


def _is_in_folder(table: Table) -> bool:
    return split_name(table.path.name)[0].startswith("particles")


def _read(table: Table, class_name: str, edges: VoxelSize | None) -> Particles:
    particles = table.read(class_name or None, VoxelGrid(edges))
    return particles if edges is None else replace(particles, voxel_size=edges)


def _named(tables: Sequence[Particles]) -> str:
    return next((t.tomogram for t in tables if t.tomogram), "the tomogram")
