"""Tables of other programs, written for them and read from them.

Each module of `programs` knows the files of one family: units, origin, order of axes and names of columns are said in its docstring, with
the source. Inside the package positions stay (z, y, x) voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepict_dask.errors import InputError
from deepict_dask.io.exchange.export import Details, Export
from deepict_dask.io.exchange.frame import Frame, Geometry, Series
from deepict_dask.io.exchange.programs import (
    copick,
    dynamo,
    eman2,
    imod,
    motivelists,
    napari,
    own,
    portal,
    relion,
)
from deepict_dask.io.exchange.reading import Journal, Reading
from deepict_dask.io.exchange.recognize import recognize, table_in
from deepict_dask.particles import Particles


@dataclass(frozen=True)
class Format:
    """How particles are given to a program, and taken from it.

    Attributes
    ----------
    title : str
        What it is, for people.
    write : callable
        Writes an export into an empty folder.
    read : callable
        Reads what a path names.
    note : str
        What a user of the program has to know when the files are there; empty where nothing.
    """

    title: str
    write: Callable[[Export, Path], None]
    read: Callable[[Path, Reading], Particles]
    note: str = ""


FORMATS: dict[str, Format] = {
    "relion5": Format("RELION 5", relion.write_relion5, relion.read),
    "relion4": Format("RELION 4", relion.write_relion4, relion.read),
    "relion31": Format("RELION 3.1", relion.write_relion31, relion.read),
    "warp": Format(
        "Warp, WarpTools, M",
        relion.write_warp,
        relion.read,
        "WarpTools: --coords_angpix is the voxel size of the tomograms",
    ),
    "dynamo": Format("Dynamo", dynamo.write, dynamo.read),
    "tom": Format("TOM and AV3, .em", motivelists.write_em, motivelists.read_em),
    "tom_csv": Format("TOM and AV3, CSV", motivelists.write_csv, motivelists.read_csv),
    "stopgap": Format("STOPGAP", motivelists.write_stopgap, motivelists.read_stopgap),
    "eman2": Format(
        "EMAN2 (experimental)",
        eman2.write,
        eman2.read,
        "copy boxes_3d and class_list into the info files of the project, which also hold its alignments",
    ),
    "copick": Format(
        "copick",
        copick.write,
        copick.read,
        "the project has no tomograms: copick reads Zarr v2 with OME-Zarr 0.4",
    ),
    "portal": Format("CryoET Data Portal", portal.write, portal.read),
    "imod": Format("IMOD, .mod", imod.write_models, imod.read_models),
    "imod_points": Format("IMOD, points", imod.write_points, imod.read_points),
    "napari": Format("napari", napari.write, napari.read),
    "parquet": Format("Parquet", own.write_parquet, own.read),
    "csv": Format("CSV", own.write_csv, own.read),
}
"""Formats by name."""


def format_of(name: str) -> Format:
    """Give a format by its name; InputError if there is none, naming those there are."""
    if name not in FORMATS:
        raise InputError(f"format {name!r} is unknown; use one of {', '.join(FORMATS)}")
    return FORMATS[name]


def read_foreign(path: Path, format: str | None, reading: Reading) -> Particles:
    """Read a table, project or folder of another program.

    Parameters
    ----------
    path : Path
        What the program wrote.
    format : str, optional
        A name of `FORMATS`; found by looking at the contents unless given.
    reading : Reading
        What the user says of pixels and origins; its journal is told of the files that were opened.

    Raises
    ------
    InputError
        If the format is unknown, or is not said and cannot be told.
    """
    path = table_in(path)
    name = format or recognize(path)
    if (reading.user or reading.session) and name != "copick":
        raise InputError(
            f"--user and --session choose among picks of copick, and {path} is of {name}; leave them out"
        )
    return format_of(name).read(path, reading)


__all__ = [
    "FORMATS",
    "Details",
    "Export",
    "Format",
    "Frame",
    "Geometry",
    "Journal",
    "Reading",
    "Series",
    "format_of",
    "read_foreign",
]
