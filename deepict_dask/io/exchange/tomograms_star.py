"""RELION 5's list of tomograms, ``tomograms.star``: read for names, bin-1 sizes and pixel sizes, and written.

Block ``global``: ``rlnTomoName``, ``rlnTomoSizeX|Y|Z`` (the tomogram in bin-1 pixels), ``rlnTomoTiltSeriesPixelSize`` (A),
``rlnTomoTomogramBinning``, ``rlnTomoHand`` (``metadata_label.h``, ``tomogram_set.cpp``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError, MissingFileError
from deepict_dask.io.exchange.export import decimals
from deepict_dask.io.exchange.frame import Frame, Series
from deepict_dask.io.tables.columns import numbers
from deepict_dask.io.tables.star_text import Block, loop_head, loop_rows, read_star, star_head

NAME = "rlnTomoName"
SIZES = ("rlnTomoSizeZ", "rlnTomoSizeY", "rlnTomoSizeX")
PIXEL, BINNING, HAND = "rlnTomoTiltSeriesPixelSize", "rlnTomoTomogramBinning", "rlnTomoHand"


def read_tomograms(path: Path) -> dict[str, Series]:
    """Read what a project knows of its tilt series, by name.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it has no block with tomograms, or holds something that is not a number.
    """
    table = read_block(path)
    columns = {
        name: numbers(path, name, table[name], lambda k: f"row {k + 1}", empty=np.nan).tolist()
        for name in (*SIZES, PIXEL, BINNING, HAND)
        if name in table
    }
    series = {}
    for k, name in enumerate(table[NAME]):

        def value(column: str, k: int = k) -> float | None:
            cell = columns[column][k] if column in columns else np.nan
            return float(cell) if np.isfinite(cell) and cell != 0 else None

        z, y, x = (value(size) for size in SIZES)
        size = (z, y, x) if z and y and x else None
        series[name] = Series(name, value(PIXEL), size, value(BINNING), value(HAND))
    return series


def read_block(path: Path) -> Block:
    """Read the block that lists the tomograms."""
    if not path.is_file():
        raise MissingFileError(f"there is no list of tomograms {path}; check the path")
    blocks = read_star(path)
    table = blocks.get("global") or next((b for b in blocks.values() if NAME in b), {})
    if NAME not in table:
        raise FormatError(
            f"{path} is no tomograms.star of RELION 5: it has no block with {NAME} (blocks {', '.join(blocks) or 'none'})"
        )
    return table


def file_of_project(star: Path, file: str) -> Path:
    """Find a file that a list of a project names: from the working directory, else from the first folder above the list that has it."""
    if os.path.isabs(file):
        return Path(file)
    for folder in (Path.cwd(), *star.absolute().parents):
        if os.path.lexists(folder / file):
            return folder / file
    return Path(os.path.abspath(file))


def write_tomograms(frames: Sequence[Frame], path: Path) -> None:
    """Write what is known of the tomograms.

    RELION itself also wants ``rlnTomoTiltSeriesStarFile``, ``rlnVoltage`` and so on, which only the project that reconstructed the
    tomograms knows: give its own list with ``--tomograms`` where particles are to be extracted.
    """
    columns: dict[str, list[str]] = {NAME: [frame.name for frame in frames]}
    sizes = [frame.unbinned_shape for frame in frames]
    for axis in (2, 1, 0):
        columns[SIZES[axis]] = [str(int(np.rint(size[axis]))) for size in sizes]
    columns[PIXEL] = decimals(np.array([frame.pixel_size for frame in frames]))
    columns[BINNING] = decimals(np.array([frame.voxel_size[2] / frame.pixel_size for frame in frames]))
    if all(frame.series.hand is not None for frame in frames):
        columns[HAND] = decimals(np.array([frame.series.hand for frame in frames]))
    path.write_text(
        star_head() + loop_head("global", list(columns)) + loop_rows(columns) + "\n", encoding="utf-8"
    )
