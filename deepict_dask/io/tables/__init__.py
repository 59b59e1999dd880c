"""Particle tables: CSV, the original's motl, RELION STAR and Parquet.

Inside the package positions are (z, y, x); column names and the x-y-z order of other programs are
known in this folder only.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Protocol

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.tables import csv_table, motl, parquet, star
from deepict_dask.particles import Particles


class _Format(Protocol):
    def write(self, particles: Particles, path: Path) -> None: ...

    def read(self, path: Path, class_name: str | None) -> Particles: ...


FORMATS: dict[str, _Format] = {"csv": csv_table, "motl": motl, "star": star, "parquet": parquet}
"""Formats by name."""

SUFFIXES = {"motl.csv": "motl", ".csv": "csv", ".star": "star", ".parquet": "parquet"}
"""Ends of file names and the format that they mean; the first that fits counts."""


def suffix_of(format: str) -> str:
    """Give the end of the names of tables of a format.

    >>> suffix_of("motl"), suffix_of("csv")
    ('_motl.csv', '.csv')
    """
    end = next(end for end, name in SUFFIXES.items() if name == format)
    return end if end.startswith(".") else f"_{end}"


def write_particles(particles: Particles, path: str | os.PathLike[str], format: str | None = None) -> Path:
    """Write a particle table; the end of the name says how.

    Parameters
    ----------
    particles : Particles
        May be empty.
    path : path
        ``.csv`` (the columns of :data:`deepict_dask.particles.COLUMNS`, floats in full),
        ``_motl.csv`` (the 20-column TOM motive list exactly as the original writes it), ``.star``
        (RELION, coordinates in voxels of this tomogram) or ``.parquet`` (with voxel size and
        settings in the schema's metadata). The folder is made if need be.
    format : {"csv", "motl", "star", "parquet"}, optional
        Overrides the name.

    Returns
    -------
    pathlib.Path
        The file, which appears only when it is complete.

    Raises
    ------
    InputError
        If neither the name nor ``format`` says a format known here.
    """
    path = Path(path)
    writer = FORMATS[_format_of(path, format)]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not particles.tomogram and _format_of(path, format) == "star":
        # RELION wants a name for the tomogram.
        from dataclasses import replace

        particles = replace(particles, tomogram=path.stem)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        writer.write(particles, temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    return path


def read_particles(
    path: str | os.PathLike[str], format: str | None = None, class_name: str | None = None
) -> Particles:
    """Read positions, and what else a table knows, from a particle table.

    Parameters
    ----------
    path : path
        CSV with columns z, y, x in voxels (those of :func:`write_particles` are understood, others
        ignored), motl, STAR with rlnCoordinateX, Y, Z in voxels, or Parquet.
    format : {"csv", "motl", "star", "parquet"}, optional
        Overrides the name.
    class_name : str, optional
        Keep only rows of this class; the table must be CSV or Parquet with a column ``class``.

    Returns
    -------
    Particles
        The voxel size is known if the table says it or has positions in voxels and angstrom.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is not what its name says, lacks a column or holds text where a number belongs.
    InputError
        If neither the name nor ``format`` says a format known here.
    """
    path = Path(path)
    reader = FORMATS[_format_of(path, format)]
    if not path.is_file():
        raise MissingFileError(f"there is no particle table {path}; check the path")
    return reader.read(path, class_name)


def _format_of(path: Path, format: str | None) -> str:
    if format is not None:
        if format in FORMATS:
            return format
        raise InputError(f"table format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    for end, name in SUFFIXES.items():
        if path.name.lower().endswith(end):
            return name
    known = ", ".join(end if end.startswith(".") else f"_{end}" for end in SUFFIXES)
    raise InputError(f"the name of {path} does not say a table format; use one of {known}")
