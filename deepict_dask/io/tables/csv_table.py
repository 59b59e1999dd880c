"""CSV with a header: the columns of :data:`deepict_dask.particles.COLUMNS`, floats in full."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.tables.columns import from_table
from deepict_dask.particles import Particles


def write(particles: Particles, path: Path) -> None:
    """Write the table; the shortest digits that give the same float64 back, NaN as an empty cell."""
    columns = particles.columns()
    cells = [_cells(column) for column in columns.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*cells, strict=True))


def read(path: Path, class_name: str | None = None) -> Particles:
    """Read a CSV with at least the columns z, y, x.

    Raises
    ------
    FormatError
        If it is no such table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} is not a CSV file ({error}); give a table of text") from None
    for number, row in lines:
        if len(row) != len(header):
            raise FormatError(
                f"{path} has {len(row)} cells in line {number} where the header has {len(header)}"
            )
    table = {name: [row[k] for _, row in lines] for k, name in enumerate(header)}
    return from_table(path, table, lambda k: f"line {lines[k][0]}", class_name)


def _cells(column: np.ndarray) -> list[str]:
    if column.dtype.kind == "f":
        return ["" if math.isnan(value) else repr(value) for value in column.astype(np.float64).tolist()]
    return [str(value) for value in column.tolist()]
