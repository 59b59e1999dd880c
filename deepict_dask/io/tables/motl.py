"""The 20-column TOM motive list as the original DeePiCt writes it: CSV without a header.

Columns, from 1: size as the score; x, y; number in the list; number of the tomogram; 0, 0; x, y, z; shifts; angles; class.
Positions are whole voxels, rounded half to even, and the first voxel is 0 as in the original. Shifts
(columns 11 to 13) of lists that other programs have refined are added to the positions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.tables.columns import TableContext, numbers
from deepict_dask.particles import Particles

N_COLUMNS = 20


def write(particles: Particles, path: Path) -> None:
    """Write the list; an empty one is an empty file. Tomograms are numbered from 1 where there are several."""
    rounded = np.rint(particles.positions).astype(np.int64).tolist()
    names = particles.names("tomogram")
    number = {name: k + 1 if len(names) > 1 else 0 for k, name in enumerate(names)}
    of_row = [number.get(name, 0) for name in particles["tomogram"].tolist()]
    with path.open("w", encoding="ascii", newline="") as file:
        rows = zip(particles.size.tolist(), rounded, of_row, strict=True)
        for k, (size, (z, y, x), tomogram) in enumerate(rows, start=1):
            file.write(f"{size},{x},{y},{k},{tomogram},0,0,{x},{y},{z},0,0,0,0,0,0,0,0,0,1\n")


def read(path: Path, context: TableContext) -> Particles:
    """Read a list; positions from columns 8 to 13, the size from column 1, the tomogram's number from column 5.

    Raises
    ------
    FormatError
        If a row has not 20 numbers.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a motl ({error}); give a table of text") from None
    rows = [(k, row.split(",")) for k, row in enumerate(lines, start=1) if row.strip()]
    for k, row in rows:
        if len(row) != N_COLUMNS:
            raise FormatError(f"{path} has {len(row)} columns in line {k}; a motl has {N_COLUMNS}")

    def column(number: int) -> np.ndarray:
        cells = [row[number - 1] for _, row in rows]
        return numbers(path, str(number), cells, lambda k: f"line {rows[k][0]}")

    positions = np.stack([column(10) + column(13), column(9) + column(12), column(8) + column(11)], axis=1)
    tomograms = np.rint(column(5)).astype(np.int64)
    several = {}
    if len(set(tomograms.tolist())) > 1:
        several["tomograms"] = np.array([str(number) for number in tomograms.tolist()], object)
    grid = context.grid
    return Particles.from_positions(
        positions,
        size=np.rint(column(1)).astype(np.int64),
        label=np.rint(column(4)).astype(np.int64),
        tomogram=context.tomogram,
        class_name=context.class_name,
        voxel_size=grid.voxel_size,
        shape=grid.shape,
        origin=grid.origin,
        **several,
    )
