"""Dynamo tables (``.tbl``) and the list of tomograms that belongs to them.

42 columns, separated by blanks, without a header (Dynamo's table convention; ``dynamotable`` ``constants.py``): 1 tag, 2 aligned, 3
averaged, 4 to 6 shifts dx, dy, dz, 7 to 9 tdrot, tilt, narot, 10 cc, 20 number of the tomogram, 21 region (a filament),
22 class, 24 to 26 x, y, z, 36 pixel size. Positions are voxels of the tomogram; MATLAB counts from 1, so the center of the
first voxel is 1 (``--first-voxel 0`` otherwise). ``particles.doc`` has ``NUMBER PATH`` of each tomogram.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.exchange.companions import tomogram_and_class, write_companions
from deepict_dask.io.exchange.export import Export, decimals, number_map
from deepict_dask.io.exchange.orientation import angles_of, from_dynamo, to_dynamo
from deepict_dask.io.exchange.reading import Reading
from deepict_dask.io.exchange.table import on_frames, stated_edge
from deepict_dask.io.tables.columns import numbers
from deepict_dask.particles import Particles

TABLE, LIST = "particles.tbl", "particles.doc"
N_COLUMNS = 42
_WHOLE = {0, 1, 2, 19, 20, 21, 12, 30, 31, 33, 34}


def write(export: Export, folder: Path) -> None:
    """Write ``particles.tbl`` and ``particles.doc``; paths of tomograms as ``--tomogram-path`` says."""
    first, count = export.geometry.first_voxel_or(1.0), 0
    with (folder / TABLE).open("w", encoding="ascii") as file:
        for frame, particles in export.parts():
            n = len(particles)
            rows = np.zeros((n, N_COLUMNS))
            rows[:, 0] = np.arange(count + 1, count + n + 1)
            rows[:, 1:3] = 1
            if export.has_angles:
                rows[:, 6:9] = to_dynamo(angles_of(particles))
            rows[:, 9] = export.scores(particles)
            rows[:, 12] = 1
            rows[:, 19] = frame.number
            tube = particles.others.get("filament")
            if tube is not None and np.asarray(tube).dtype.kind in "iuf":
                rows[:, 20] = np.nan_to_num(np.asarray(tube, np.float64))
            rows[:, 21] = export.numbers_of_classes(particles)
            rows[:, 23:26] = particles.positions[:, ::-1] + first
            rows[:, 35] = frame.cubic("Dynamo") if frame.grid.voxel_size is not None else 0
            cells = [
                [str(int(v)) for v in column] if k in _WHOLE or not column.any() else decimals(column)
                for k, column in enumerate(rows.T)
            ]
            file.writelines(" ".join(row) + "\n" for row in zip(*cells, strict=True))
            count += n
    paths = [
        f"{frame.number} {export.details.tomogram_path.replace('{name}', frame.name)}\n"
        for frame in export.frames
    ]
    (folder / LIST).write_text("".join(paths), encoding="utf-8")
    write_companions(export, folder)


def read(path: Path, reading: Reading) -> Particles:
    """Read a table; tomograms are called as ``tomograms.txt`` says, else as the files that its ``.doc`` lists.

    Raises
    ------
    FormatError
        If a row has fewer than 26 columns, or something else than numbers.
    """
    lines = [(k, line.split()) for k, line in enumerate(reading.text(path).splitlines(), 1) if line.strip()]
    for k, cells in lines:
        if len(cells) < 26:
            raise FormatError(
                f"{path} has {len(cells)} columns in line {k}; a table of Dynamo has at least 26"
            )

    def column(number: int) -> np.ndarray:
        cells = [cells[number - 1] for _, cells in lines]
        return numbers(path, str(number), cells, lambda k: f"line {lines[k][0]}")

    shifted = np.stack([column(26) + column(6), column(25) + column(5), column(24) + column(4)], axis=1)
    positions = np.round(shifted, 9) - reading.geometry.first_voxel_or(1.0)
    other_columns: dict[str, np.ndarray] = {}
    angles = np.stack([column(7), column(8), column(9)], axis=1)
    if angles.any():
        other_columns |= dict(zip(("rot", "tilt", "psi"), from_dynamo(angles).T, strict=True))
    tubes = np.rint(column(21)).astype(np.int64)
    if tubes.any():
        other_columns["filament"] = tubes
    numbers_of_tomograms, kinds = (np.rint(column(k)).astype(np.int64) for k in (20, 22))
    tomograms, classes = tomogram_and_class(
        path, numbers_of_tomograms, kinds, reading, _listed(path, reading)
    )
    cc = column(10)
    score = cc if cc.any() else np.full(len(cc), np.nan)
    grids = {}
    if lines and all(len(cells) >= 36 for _, cells in lines):
        edges = column(36)
        grids = {n: stated_edge(path, n, edges[tomograms == n]) for n in dict.fromkeys(tomograms.tolist())}
    return on_frames(positions, tomograms, classes, score, other_columns, reading, grids)


def _listed(table: Path, reading: Reading) -> dict[int, str]:
    """Give the names of tomograms by the files that the list of Dynamo names."""
    from deepict_dask.io.inputs import tomogram_name

    listed = table.with_suffix(".doc")
    if not listed.is_file():
        return {}
    names = number_map(reading.text(listed), listed)
    return {k: tomogram_name(name) for k, name in names.items()}
