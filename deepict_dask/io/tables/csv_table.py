"""CSV with a header: the columns of `Particles.columns`, floats in full."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.tables.columns import TableContext, from_table
from deepict_dask.names import first_duplicate
from deepict_dask.particles import Particles


def write(particles: Particles, path: Path) -> None:
    """Write the table; the shortest digits that give the same float64 back, what is unknown as an empty cell."""
    columns = particles.columns()
    cells = [_cells(name, column) for name, column in columns.items()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*cells, strict=True))


def read(path: Path, context: TableContext) -> Particles:
    """Read a CSV with at least the columns z, y, x.

    Raises
    ------
    FormatError
        If it is no such table.
    """
    table, lines = read_cells(path)
    return from_table(path, table, lambda k: f"line {lines[k]}", context)


def read_cells(path: Path) -> tuple[dict[str, list[str]], list[int]]:
    """Read the cells of a CSV by the names in its first line, and the line of each row.

    Raises
    ------
    FormatError
        If it is not text, its cells are not separated by commas, a name is there twice, or a row has another
        number of cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} is not a CSV file ({error}); give a table of text") from None
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        separator = "semicolons" if ";" in header[0] else "tabs"
        raise FormatError(
            f"{path} separates its cells by {separator}; save it with commas between cells and points in numbers"
        )
    if header and first_duplicate([name for name in header if name]) and len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise FormatError(f"{path} has two columns called {twice!r}; leave one of them out")
    for number, row in lines:
        if len(row) != len(header):
            raise FormatError(
                f"{path} has {len(row)} cells in line {number} where the header has {len(header)}"
            )
    table = {name: [row[k].strip() for _, row in lines] for k, name in enumerate(header)}
    return table, [number for number, _ in lines]


def _cells(name: str, column: np.ndarray) -> list[str]:
    if name == "touches_edge":
        return [{1: "True", 0: "False"}.get(int(value), "") for value in column.tolist()]
    if column.dtype.kind == "f":
        return ["" if math.isnan(value) else repr(value) for value in column.astype(np.float64).tolist()]
    return ["" if value is None else str(value) for value in column.tolist()]
