"""Particle tables: CSV, the original's motl, RELION STAR and Parquet.

Inside the package positions are (z, y, x); column names and the x-y-z order of other programs are
known in this folder only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from deepict_dask.atomic import publish
from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.tables import csv_table, motl, parquet, star
from deepict_dask.io.tables.columns import CLASS_COLUMNS, TableContext
from deepict_dask.particles import Particles, VoxelGrid, register_writer


class _Format(Protocol):
    def write(self, particles: Particles, path: Path) -> None: ...

    def read(self, path: Path, context: TableContext) -> Particles: ...


FORMATS: dict[str, _Format] = {"csv": csv_table, "motl": motl, "star": star, "parquet": parquet}
"""Formats by name."""

SUFFIXES = {"motl": "_motl.csv", "csv": ".csv", "star": ".star", "parquet": ".parquet"}
"""How the names of tables of a format end; the first that fits a name counts."""

_Path = str | os.PathLike[str]


def suffix_of(format: str) -> str:
    """Give the end of the names of tables of a format.

    >>> suffix_of("motl"), suffix_of("csv")
    ('_motl.csv', '.csv')
    """
    return SUFFIXES[format]


def split_name(name: str) -> tuple[str, str | None]:
    """Split the name of a table into what it is called and its format; None if it is no table.

    >>> split_name("a_motl.csv"), split_name("motl.csv"), split_name("b.STAR"), split_name("c.txt")
    (('a', 'motl'), ('motl', 'motl'), ('b', 'star'), ('c.txt', None))
    """
    lower = name.lower()
    if lower == "motl.csv":
        return "motl", "motl"
    for format, end in SUFFIXES.items():
        if lower.endswith(end) and len(name) > len(end):
            return name[: -len(end)], format
    return name, None


def write_particles(particles: Particles, path: _Path, format: str | None = None) -> Path:
    """Write a particle table; the end of the name says how.

    Parameters
    ----------
    particles : Particles
        May be empty.
    path : path
        ``.csv`` (the columns of `Particles.columns`, floats in full), ``_motl.csv`` (the 20-column TOM motive list
        exactly as the original writes it), ``.star`` (RELION 5: A from the tomogram's center) or
        ``.parquet`` (with voxel size and settings in the schema's metadata). The folder is made if need be.
    format : {"csv", "motl", "star", "parquet"}, optional
        Overrides the name.

    Returns
    -------
    pathlib.Path
        The file, which appears only when it is complete.

    Raises
    ------
    InputError
        If neither the name nor ``format`` says a format known here, or the format cannot hold the particles.
    """
    path = Path(path)
    chosen = _format_of(path, format)
    if not particles.tomogram and particles.tomograms is None and chosen == "star":
        # RELION wants a name for the tomogram.
        from dataclasses import replace

        particles = replace(particles, tomogram=path.stem)
    with publish(path) as temporary:
        FORMATS[chosen].write(particles, temporary)
    return path


def read_particles(
    path: _Path,
    format: str | None = None,
    class_name: str | None = None,
    *,
    tomogram: str | None = None,
    grid: VoxelGrid | None = None,
    grids: Mapping[str, VoxelGrid] | None = None,
) -> Particles:
    """Read a particle table.

    Parameters
    ----------
    path : path
        CSV or Parquet with columns z, y, x in voxels, motl, or STAR of RELION 3, 4, 5 or Warp.
    format : {"csv", "motl", "star", "parquet"}, optional
        Overrides the name.
    class_name : str, optional
        Keep only rows of this class; the table must have a column of classes.
    tomogram : str, optional
        Keep only rows of this tomogram, where the table says whose they are.
    grid, grids : VoxelGrid, mapping of str to VoxelGrid, optional
        What is known of the voxels, of all tomograms or by name: formats that count from the center need it.

    Returns
    -------
    Particles
        Of all tomograms and classes that the table holds, row by row. The voxel size is known if the
        table says it, has positions in voxels and A, or it was given.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is not what its name says, lacks a column or holds text where a number belongs.
    InputError
        If neither the name nor ``format`` says a format known here, there are no rows of the tomogram, or the
        voxels are needed and not known.
    """
    path = Path(path)
    reader = FORMATS[_format_of(path, format)]
    if not path.is_file():
        raise MissingFileError(f"there is no particle table {path}; check the path")
    particles = reader.read(path, TableContext(grid=grid or VoxelGrid(), grids=grids))
    if tomogram is not None:
        particles = particles.of_tomogram(tomogram)
    if class_name is None:
        return particles
    if particles.classes is None and not particles.class_name:
        raise FormatError(
            f"{path} has no column class (nor {', '.join(CLASS_COLUMNS[1:])}), so its rows of {class_name!r} cannot be told; "
            "leave out the class"
        )
    return particles.of_class(class_name)


def _format_of(path: Path, format: str | None) -> str:
    if format is not None:
        if format in FORMATS:
            return format
        raise InputError(f"table format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    named = split_name(path.name)[1]
    if named is None:
        raise InputError(
            f"the name of {path} does not say a table format; use one of {', '.join(SUFFIXES.values())}"
        )
    return named


register_writer(write_particles)
