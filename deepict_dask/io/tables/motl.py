"""The 20-column TOM motive list as the original DeePiCt writes it: CSV without a header.

Columns, from 1: size as the score; x, y; number in the list; 0, 0, 0; x, y, z; nine zeros; class.
Positions are whole voxels, rounded half to even, and the first voxel is 0 as in the original.
The class is always 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.tables.columns import numbers
from deepict_dask.particles import Particles

N_COLUMNS = 20


def write(particles: Particles, path: Path) -> None:
    """Write the list; an empty one is an empty file."""
    rounded = np.rint(particles.positions).astype(np.int64).tolist()
    with path.open("w", encoding="ascii", newline="") as file:
        for k, (size, (z, y, x)) in enumerate(zip(particles.size.tolist(), rounded, strict=True), start=1):
            file.write(f"{size},{x},{y},{k},0,0,0,{x},{y},{z},0,0,0,0,0,0,0,0,0,1\n")


def read(path: Path, class_name: str | None = None) -> Particles:
    """Read a list; positions from columns 8 to 10, the size from column 1.

    Raises
    ------
    FormatError
        If a row has not 20 numbers.
    InputError
        If a class is asked for; the original does not write one.
    """
    if class_name is not None:
        raise InputError(f"{path} is a motl, which names no classes; leave out the class {class_name!r}")
    try:
        rows = [
            (k, row.split(",")) for k, row in enumerate(path.read_text().splitlines(), start=1) if row.strip()
        ]
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a motl ({error}); give a table of text") from None
    for k, row in rows:
        if len(row) != N_COLUMNS:
            raise FormatError(f"{path} has {len(row)} columns in line {k}; a motl has {N_COLUMNS}")

    def column(number: int) -> np.ndarray:
        cells = [row[number - 1] for _, row in rows]
        return numbers(path, str(number), cells, lambda k: f"line {rows[k][0]}")

    positions = np.stack([column(10), column(9), column(8)], axis=1)
    size = np.rint(column(1)).astype(np.int64)
    label = np.rint(column(4)).astype(np.int64)
    return Particles.from_positions(positions, size=size, label=label)
