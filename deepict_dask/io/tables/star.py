"""RELION STAR: one block ``particles`` with coordinates in voxels of the picked tomogram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.tables.columns import numbers, require
from deepict_dask.particles import Particles

NAME, SCORE, EDGE = "rlnTomoName", "rlnAutopickFigureOfMerit", "rlnPixelSize"
COORDINATES = ("rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")


def write(particles: Particles, path: Path) -> None:
    """Write name, coordinates (first voxel 0), mean probability and, if isotropic, the voxel size."""
    import pandas as pd
    import starfile

    # As text, since starfile would cut floats to six decimals.
    columns: dict[str, list[str]] = {NAME: [particles.tomogram] * len(particles)}
    for name, values in zip(COORDINATES, (particles.x, particles.y, particles.z), strict=True):
        columns[name] = [repr(float(v)) for v in values]
    if not np.isnan(particles.score).all() or not len(particles):
        columns[SCORE] = [repr(float(v)) for v in particles.score]
    edges = particles.voxel_size
    if edges is not None and len(set(edges)) == 1:
        columns[EDGE] = [repr(float(edges[0]))] * len(particles)
    starfile.write({"particles": pd.DataFrame(columns, dtype=str)}, path)


def read(path: Path, class_name: str | None = None) -> Particles:
    """Read the block that has coordinates.

    Raises
    ------
    FormatError
        If there is none or it holds something that is not a number.
    InputError
        If a class is asked for; this dialect names none.
    """
    import starfile

    if class_name is not None:
        raise InputError(
            f"{path} is a STAR file, which names no classes here; leave out the class {class_name!r}"
        )
    text = [NAME, SCORE, EDGE, *COORDINATES]
    try:
        blocks = starfile.read(path, always_dict=True, parse_as_string=text)
    except Exception as error:
        raise FormatError(
            f"{path} is not a STAR file ({error}); give one with {', '.join(COORDINATES)}"
        ) from error
    tables = {key: block for key, block in blocks.items() if set(COORDINATES) <= set(block)}
    if not tables:
        require(path, COORDINATES, [str(column) for block in blocks.values() for column in block])
    table = tables.get("particles", next(iter(tables.values())))

    def column(name: str, empty: float | None = None) -> np.ndarray:
        cells = np.atleast_1d(np.asarray(table[name], object)).tolist()
        return numbers(path, name, cells, lambda k: f"row {k + 1}", empty=empty)

    others: dict[str, Any] = {}
    if SCORE in table:
        others["score"] = column(SCORE, np.nan)
    if EDGE in table and len(set(column(EDGE, np.nan))) == 1:
        others["voxel_size"] = (float(column(EDGE)[0]),) * 3
    names = {str(n) for n in np.atleast_1d(np.asarray(table[NAME], object))} if NAME in table else set()
    if len(names) == 1:
        others["tomogram"] = names.pop()
    positions = np.stack([column(name) for name in reversed(COORDINATES)], axis=1)
    return Particles.from_positions(positions, **others)
