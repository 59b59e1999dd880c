"""Motive lists of TOM and AV3 (``.em``, and the same as CSV) and of STOPGAP.

Positions are voxels of the tomogram, x, y, z; MATLAB counts from 1, so the center of the first voxel is 1 (``--first-voxel 0``
for lists that programs outside of MATLAB have written). Angles phi, psi, theta turn the reference, z-x-z. The lists number
tomograms; ``tomograms.txt`` beside them says their names, and ``classes.txt`` those of classes.

Twenty values per particle (TOM toolbox, ``av3``; cryoCAT ``cryomotl.py``): 1 score, 4 number of the particle, 5 number of the tomogram,
6 number of the object (a filament), 8 to 10 x, y, z, 11 to 13 shifts, 17 phi, 18 psi, 19 theta, 20 class. STOPGAP says the same
in a STAR file (block ``stopgap_motivelist``), where positions are whole and shifts say the rest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.exchange.companions import tomogram_and_class, write_companions
from deepict_dask.io.exchange.export import Export, decimals
from deepict_dask.io.exchange.orientation import angles_of, from_motl, to_motl
from deepict_dask.io.exchange.reading import Reading
from deepict_dask.io.exchange.table import on_frames
from deepict_dask.io.formats.em import HEADER_BYTES, looks_like_em, open_em
from deepict_dask.io.tables.columns import numbers, require
from deepict_dask.io.tables.star_text import loop_head, loop_rows, read_star, star_head
from deepict_dask.particles import Particles

EM, CSV, STOPGAP = "particles.em", "particles_tom.csv", "particles.star"
N_VALUES = 20
BLOCK = "stopgap_motivelist"
STOPGAP_COLUMNS = (
    "motl_idx", "tomo_num", "object", "subtomo_num", "halfset", "orig_x", "orig_y", "orig_z", "score",
    "x_shift", "y_shift", "z_shift", "phi", "psi", "the", "class",
)  # fmt: skip


def write_em(export: Export, folder: Path) -> None:
    """Write ``particles.em``: float32, 20 x particles, one after the other."""
    header = np.zeros(HEADER_BYTES, np.uint8)
    header[0], header[3] = 6, 5  # little endian, float32
    header[4:16] = np.array([N_VALUES, export.n, 1], "<i4").view(np.uint8)
    with (folder / EM).open("wb") as file:
        file.write(header.tobytes())
        for _, _, rows in _motls(export):
            file.write(rows.astype("<f4").tobytes())
    write_companions(export, folder)


def write_csv(export: Export, folder: Path) -> None:
    """Write ``particles_tom.csv``: the twenty values, without a header."""
    with (folder / CSV).open("w", encoding="ascii") as file:
        for _, _, rows in _motls(export):
            cells = [decimals(column) for column in rows.T]
            for k in (1, 2, 3, 4, 5, 6, 19):
                cells[k] = [str(int(v)) for v in rows[:, k]]
            file.writelines(",".join(row) + "\n" for row in zip(*cells, strict=True))
    write_companions(export, folder)


def write_stopgap(export: Export, folder: Path) -> None:
    """Write ``particles.star`` for STOPGAP; odd and even particles are the half sets A and B."""
    with (folder / STOPGAP).open("w", encoding="utf-8") as file:
        file.write(star_head() + loop_head(BLOCK, STOPGAP_COLUMNS))
        for _, particles, rows in _motls(export):
            # Rounded first: what is read back is cut into the same whole number and rest.
            exact = np.round(rows[:, 7:10], 6)
            whole = np.rint(exact)
            number = [str(int(k)) for k in rows[:, 3]]
            columns = {
                "motl_idx": number,
                "tomo_num": [str(int(k)) for k in rows[:, 4]],
                "object": [str(int(k)) for k in rows[:, 5]],
                "subtomo_num": number,
                "halfset": _halfsets(particles, rows[:, 3]),
                **{f"orig_{a}": [str(int(v)) for v in whole[:, k]] for k, a in enumerate("xyz")},
                "score": decimals(rows[:, 0]),
                **{f"{a}_shift": decimals(exact[:, k] - whole[:, k]) for k, a in enumerate("xyz")},
                "phi": decimals(rows[:, 16]),
                "psi": decimals(rows[:, 17]),
                "the": decimals(rows[:, 18]),
                "class": [str(int(k)) for k in rows[:, 19]],
            }
            file.write(loop_rows(columns))
        file.write("\n")
    write_companions(export, folder)


def _halfsets(particles: Particles, numbers: np.ndarray) -> list[str]:
    halves = particles.others.get("halfset")
    if halves is not None and all(str(half) in "AB" and str(half) for half in halves.tolist()):
        return [str(half) for half in halves.tolist()]
    return ["A" if k % 2 else "B" for k in numbers.astype(int).tolist()]


def _motls(export: Export):  # type: ignore[no-untyped-def]
    """Give frame, particles and the twenty values (n, 20) of each tomogram."""
    first = export.geometry.first_voxel_or(1.0)
    count = 0
    for frame, particles in export.parts():
        n = len(particles)
        rows = np.zeros((n, N_VALUES))
        rows[:, 0] = export.scores(particles)
        rows[:, 3] = np.arange(count + 1, count + n + 1)
        rows[:, 4] = frame.number
        tube = particles.others.get("filament")
        if tube is not None and np.asarray(tube).dtype.kind in "iuf":
            rows[:, 5] = np.nan_to_num(np.asarray(tube, np.float64))
        rows[:, 7:10] = particles.positions[:, ::-1] + first
        if export.has_angles:
            phi, theta, psi = to_motl(angles_of(particles)).T
            rows[:, 16], rows[:, 17], rows[:, 18] = phi, psi, theta
        rows[:, 19] = export.numbers_of_classes(particles)
        count += n
        yield frame, particles, rows


def read_em(path: Path, reading: Reading) -> Particles:
    """Read a list in an EM file.

    Raises
    ------
    FormatError
        If it is no EM file of 20 values per particle.
    """
    head = reading.opening(path).open("rb").read(HEADER_BYTES)
    if not looks_like_em(head, path.stat().st_size) and path.stat().st_size != HEADER_BYTES:
        raise FormatError(f"{path} is not an EM file; give a motive list of 20 x N values")
    if path.stat().st_size == HEADER_BYTES:
        return _particles(path, np.zeros((0, N_VALUES)), reading)
    shape = open_em(path).shape
    if shape[2] != N_VALUES or 1 not in shape[:2]:
        raise FormatError(
            f"{path} holds {' x '.join(map(str, shape[::-1]))} values, and a motive list has {N_VALUES} x N"
        )
    order = "<" if head[0] in (1, 6) else ">"
    kind = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 9: "f8"}[head[3]]
    rows = np.fromfile(path, order + kind, offset=HEADER_BYTES).reshape(-1, N_VALUES).astype(np.float64)
    return _particles(path, rows, reading)


def read_csv(path: Path, reading: Reading) -> Particles:
    """Read a list in a CSV without a header; FormatError if a row has not 20 numbers."""
    lines = [
        (k, line.split(",")) for k, line in enumerate(reading.text(path).splitlines(), 1) if line.strip()
    ]
    for k, cells in lines:
        if len(cells) != N_VALUES:
            raise FormatError(f"{path} has {len(cells)} columns in line {k}; a motive list has {N_VALUES}")
    columns = [
        numbers(path, str(c + 1), [cells[c] for _, cells in lines], lambda k: f"line {lines[k][0]}")
        for c in range(N_VALUES)
    ]
    return _particles(path, np.stack(columns, axis=1) if lines else np.zeros((0, N_VALUES)), reading)


def read_stopgap(path: Path, reading: Reading) -> Particles:
    """Read a list of STOPGAP; FormatError if it has no block of that name."""
    blocks = read_star(reading.opening(path))
    table = blocks.get(BLOCK)
    if table is None:
        raise FormatError(
            f"{path} has no block {BLOCK} (blocks {', '.join(blocks) or 'none'}); it is no list of STOPGAP"
        )
    needed = ("tomo_num", "orig_x", "orig_y", "orig_z")
    require(path, needed, list(table))
    n = len(table["orig_x"])

    def column(name: str) -> np.ndarray:
        if name not in table:
            return np.zeros(n)
        return numbers(path, name, table[name], lambda k: f"row {k + 1}")

    rows = np.zeros((n, N_VALUES))
    places = {
        "score": 0, "subtomo_num": 3, "tomo_num": 4, "object": 5, "orig_x": 7, "orig_y": 8, "orig_z": 9,
        "x_shift": 10, "y_shift": 11, "z_shift": 12, "phi": 16, "psi": 17, "the": 18, "class": 19,
    }  # fmt: skip
    for name, place in places.items():
        rows[:, place] = column(name)
    other_columns = {"halfset": np.array(table["halfset"], object)} if "halfset" in table else {}
    return _particles(path, rows, reading, other_columns)


def _particles(
    path: Path, rows: np.ndarray, reading: Reading, other_columns: dict[str, np.ndarray] | None = None
) -> Particles:
    """Make particles of twenty values each."""
    first = reading.geometry.first_voxel_or(1.0)
    # Shifts of refinement are how far the particle lies from where it was picked.
    positions = np.round(rows[:, 7:10] + rows[:, 10:13], 9)[:, ::-1] - first
    other_columns = dict(other_columns or {})
    if rows[:, 16:19].any():
        phi, psi, theta = rows[:, 16:19].T
        angles = from_motl(np.stack([phi, theta, psi], axis=1))
        other_columns |= dict(zip(("rot", "tilt", "psi"), angles.T, strict=True))
    if rows[:, 5].any():
        other_columns["filament"] = np.rint(rows[:, 5]).astype(np.int64)
    tomograms, classes = tomogram_and_class(
        path,
        np.rint(rows[:, 4]).astype(np.int64),
        np.rint(rows[:, 19]).astype(np.int64),
        reading,
    )
    score = rows[:, 0] if rows[:, 0].any() else np.full(len(rows), np.nan)
    return on_frames(positions, tomograms, classes, score, other_columns, reading)
