"""Tables of tomograms: one row each, in CSV or YAML; the original's ``metadata.csv`` is one."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.io.projects import is_project, read_project
from deepict_dask.io.tomogram_row import TomogramRow
from deepict_dask.names import check_name, first_duplicate

# The original has tomo_name and tomo (3D), id and data (2D).
_PATHS = ("path", "tomo", "data", "file", "tomogram_path")
_NAMES = ("tomo_name", "name", "id")
_SUFFIXES = (".csv", ".tsv", ".yaml", ".yml")


def is_tomogram_table(argument: str) -> bool:
    """Tell whether an argument names a table of tomograms by its suffix, or a project of another program."""
    return argument.lower().endswith(_SUFFIXES) or is_project(argument)


def read_tomogram_table(path: str) -> Iterator[TomogramRow]:
    """Read a table of tomograms.

    Parameters
    ----------
    path : str
        ``.csv`` (comma, semicolon or tab; the first line names the columns), ``.tsv``, or ``.yaml`` with a list of
        mappings, or a mapping of names to mappings. The column of paths is called path, tomo, data, file
        or tomogram_path; that of names tomo_name, name or id, without it the files' names count. A slash in a name
        becomes an underscore, since names are never paths. Or a project, see `read_project`.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is none, names no column of paths, names a column twice, or has rows of other lengths.
    InputError
        If a name cannot be one.
    """
    if is_project(path):
        yield from read_project(path)
        return
    file = Path(path).expanduser()
    if not file.is_file():
        raise MissingFileError(f"the table of tomograms {path} does not exist; check the path")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is no text in UTF-8; save the table as CSV in UTF-8") from error
    records = (
        _from_yaml(file, text) if file.suffix.lower() in (".yaml", ".yml") else list(_from_csv(file, text))
    )
    if not records:
        raise FormatError(f"{path} has no rows; give one per tomogram")
    for place, record in records:
        yield _row(file, place, record)


def _row(file: Path, place: str, record: dict[str, Any]) -> TomogramRow:
    lower = {key.lower(): key for key in record}
    column = next((lower[name] for name in _PATHS if name in lower), None)
    if column is None:
        raise FormatError(
            f"{file} names no column of paths; call it one of {', '.join(_PATHS)} (there are {', '.join(record)})"
        )
    where = str(record.pop(column) or "").strip()
    if not where:
        raise FormatError(f"{place} has no path in the column {column}; fill it in or leave the row out")
    remote = "://" in where
    full = where if remote else os.path.join(file.parent, os.path.expanduser(where))
    named = next((lower[name] for name in _NAMES if name in lower), None)
    name = str(record.pop(named) or "").strip() if named else ""
    name = (name or tomogram_name(where)).replace("/", "_")
    check_name(name, f"the tomogram of {place}")
    return TomogramRow(
        full, name, record, place, str(file.parent.absolute()), not remote and os.path.lexists(full)
    )


def _from_csv(file: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    head = text.partition("\n")[0]
    counts = {separator: head.count(separator) for separator in (",", ";", "\t")}
    separator = "\t" if file.suffix.lower() == ".tsv" else max(counts, key=lambda s: counts[s])
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    columns = [name.strip() for name in next(rows, [])]
    if (twice := first_duplicate(columns)) is not None or "" in columns:
        wrong = f"has the column {twice!r} twice" if twice else "has a column without a name"
        raise FormatError(f"{file} {wrong}; give each a name of its own")
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        place = f"line {rows.line_num} of {file}"
        if len(cells) != len(columns):
            raise FormatError(
                f"{place} has {len(cells)} cells where the first line names {len(columns)} columns; put cells that "
                f"hold a {separator!r} in quotes"
            )
        yield place, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}


def _from_yaml(file: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if isinstance(content, Mapping) and set(content) == {"tomograms"}:
        content = content["tomograms"]
    if isinstance(content, Mapping):
        content = [
            {"tomo_name": name, **values} if isinstance(values, Mapping) else None
            for name, values in content.items()
        ]
    if not isinstance(content, list) or not all(isinstance(row, Mapping) for row in content):
        raise InputError(
            f"{file} is no table of tomograms: write a list of rows (- path: ...), or names with what belongs to "
            "them; settings are given with --config"
        )
    return [(f"row {n} of {file}", {str(k): v for k, v in row.items()}) for n, row in enumerate(content, 1)]
