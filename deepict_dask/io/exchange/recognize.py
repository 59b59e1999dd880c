"""Which program a table comes from, by its name and by what is in it."""

from __future__ import annotations

from pathlib import Path

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.exchange.programs import dynamo, eman2, motivelists, napari, own, relion
from deepict_dask.io.exchange.reading import read_object
from deepict_dask.io.tables.star_text import read_star

_SUFFIXES = {
    ".tbl": "dynamo", ".em": "tom", ".mod": "imod", ".ndjson": "portal", ".parquet": "parquet", ".txt": "imod_points",
}  # fmt: skip
# Programs that have one table of all tomograms.
_TABLES = (relion.PARTICLES, dynamo.TABLE, motivelists.EM, motivelists.CSV, own.PARQUET, own.CSV)


def recognize(path: Path) -> str:
    """Say which format of `FORMATS` a file or folder is in.

    Raises
    ------
    MissingFileError
        If there is nothing.
    InputError
        If it cannot be told: naming the option that says it.
    """
    if not path.exists():
        raise MissingFileError(f"there is no table or folder {path}; check the path")
    program = _folder(path) if path.is_dir() else _file(path)
    if program is None:
        raise InputError(
            f"nothing in {path} says which program it is of; say it with --format (see deepict-dask import --help)"
        )
    return program


def table_in(path: Path) -> Path:
    """Give the table that a folder of one program holds, as an export left it; else the path itself."""
    if not path.is_dir():
        return path
    tables = [path / name for name in _TABLES if (path / name).is_file()]
    return tables[0] if len(tables) == 1 else path


def _folder(path: Path) -> str | None:
    if (path / "ExperimentRuns").is_dir():
        return "copick"
    if path.name == eman2.FOLDER or (path / eman2.FOLDER).is_dir():
        return "eman2"
    if any(path.rglob("*.ndjson")):
        return "portal"
    if any(path.glob("*.mod")):
        return "imod"
    tables = sorted(path.glob("*/*.csv"))
    return _file(tables[0]) if tables and _file(tables[0]) == "napari" else None


def _file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".star":
        blocks = read_star(path)
        # RELION's reader tells its dialects, and says what is missing.
        return "stopgap" if motivelists.BLOCK in blocks else "relion5"
    if suffix == ".json":
        return _json(path)
    if suffix != ".csv":
        return _SUFFIXES.get(suffix)
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = [cell.strip() for cell in file.readline().split(",")]
    if set(napari.AXES) <= set(first):
        return "napari"
    if len(first) == motivelists.N_VALUES and all(_is_number(cell) for cell in first):
        raise InputError(
            f"{path} is a motive list without a header, and DeePiCt counts voxels from 0 and TOM and AV3 from 1; say which with "
            "--format tom_csv, and --first-voxel 0 for DeePiCt's"
        )
    return "csv" if {"z", "y", "x"} <= set(first) else None


def _json(path: Path) -> str | None:
    content = read_object(path, "of a program that is known here")
    if "boxes_3d" in content:
        return "eman2"
    return "copick" if {"pickable_object_name", "pickable_objects"} & set(content) else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
