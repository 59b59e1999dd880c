"""Points as napari writes and opens them: ``index,axis-0,axis-1,axis-2`` and features, one file per tomogram and class.

Axes are z, y, x in voxels of the tomogram, the center of the first voxel being 0 (napari's built-in CSV format for points layers).
Files lie in ``NAME/CLASS.csv``. Drag one onto the tomogram, or ``viewer.open(path)``.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.exchange.export import ANY_CLASS, Export, decimals
from deepict_dask.io.exchange.orientation import ANGLES, angles_of
from deepict_dask.io.exchange.reading import Reading
from deepict_dask.io.exchange.table import on_frames
from deepict_dask.io.tables.columns import numbers, require
from deepict_dask.io.tables.csv_table import read_cells
from deepict_dask.particles import Particles, join

AXES = ("axis-0", "axis-1", "axis-2")


def write(export: Export, folder: Path) -> None:
    """Write ``NAME/CLASS.csv``, with scores and angles as features where they are known."""
    for frame, particles in export.parts():
        (folder / frame.name).mkdir(parents=True, exist_ok=True)
        for name, _, chosen in export.by_class(particles):
            columns = {"index": [str(k) for k in range(len(chosen))]}
            for axis, values in zip(AXES, chosen.positions.T, strict=True):
                columns[axis] = decimals(values)
            if export.has_scores:
                columns["score"] = ["" if np.isnan(s) else repr(float(s)) for s in chosen.score]
            if export.has_angles:
                columns |= {a: decimals(v) for a, v in zip(ANGLES, angles_of(chosen).T, strict=True)}
            with (folder / frame.name / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))


def read(path: Path, reading: Reading) -> Particles:
    """Read a file, ``NAME/CLASS.csv`` of one tomogram, or all of a folder.

    In a folder of ``NAME/CLASS.csv`` the places say tomogram and class; ``--tomogram`` and ``--class`` name what a
    single file holds, or files that lie side by side, of which nothing is sure.

    Raises
    ------
    FormatError
        If there are no three axes, or something is not a number.
    """
    if path.is_dir():
        files = sorted([*path.glob("*/*.csv")] or [*path.glob("*.csv")])
        if not files:
            raise InputError(f"{path} holds no NAME/CLASS.csv; give a file, or a folder of them")
        # Folders say the tomogram and files the class, where they lie as this program and napari's users lay them.
        return join([_read(file, reading, by_place=file.parent != path) for file in files])
    return _read(path, reading, by_place=False)


def _read(path: Path, reading: Reading, *, by_place: bool) -> Particles:
    """Read a file; ``by_place`` if it is one of ``NAME/CLASS.csv``, whose place is not overridden."""
    table, lines = read_cells(reading.opening(path))
    require(path, AXES, list(table))

    def column(name: str, empty: float | None = None) -> np.ndarray:
        return numbers(path, name, table[name], lambda k: f"line {lines[k]}", empty=empty)

    n = len(lines)
    folder = path.resolve().parent.name
    called = "" if path.stem in (ANY_CLASS, "points") else path.stem
    tomogram = folder if by_place else reading.tomogram or folder
    kind = (called or reading.class_name) if by_place else (reading.class_name or called)
    angles = {a: column(a) for a in ANGLES} if set(ANGLES) <= set(table) else {}
    return on_frames(
        np.stack([column(axis) for axis in AXES], axis=1),
        np.full(n, tomogram, object),
        np.full(n, kind, object),
        column("score", np.nan) if "score" in table else np.full(n, np.nan),
        angles,
        replace(reading, tomogram=tomogram, class_name=kind),
    )
