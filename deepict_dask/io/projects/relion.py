"""RELION 5: the tomograms in ``tomograms.star``.

Block ``global``, see `deepict_dask.io.exchange.tomograms_star`; the tomogram itself is ``rlnTomoReconstructedTomogram``, else the denoised
one, else the first half. RELION starts paths from the folder of the project, which is the working directory or above the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.errors import FormatError
from deepict_dask.io.exchange.tomograms_star import NAME, read_block, read_tomograms
from deepict_dask.io.projects.series import row_of
from deepict_dask.io.tables.columns import first_of
from deepict_dask.io.tomogram_row import TomogramRow

_TOMOGRAMS = (
    "rlnTomoReconstructedTomogram", "rlnTomoReconstructedTomogramDenoised", "rlnTomoDenoisedTomogram",
    "rlnTomoReconstructedTomogramHalf1",
)  # fmt: skip


def rows(path: Path) -> Iterator[TomogramRow]:
    """Give a row per tomogram; the voxel size is pixel size times binning.

    Raises
    ------
    FormatError
        If the file lists no reconstructed tomograms.
    """
    table = read_block(path)
    column = first_of(_TOMOGRAMS, table)
    if column is None:
        raise FormatError(
            f"{path} lists tilt series without tomograms (no column {_TOMOGRAMS[0]}); give the tomograms.star of a job that has "
            "reconstructed them"
        )
    series = read_tomograms(path)
    for k, (name, file) in enumerate(zip(table[NAME], table[column], strict=True), start=1):
        known = series[name]
        size = None
        if known.pixel_size is not None and known.binning is not None:
            size = float(f"{known.pixel_size * known.binning:.9g}")
        full = _found(path, file)
        yield row_of(
            full, known, f"row {k} of {path}", path.parent, voxel_size=size, star=os.path.abspath(path)
        )


def _found(star: Path, file: str) -> str:
    """Find a file of a project: from the working directory, else from the first folder above the list that has it."""
    if os.path.isabs(file):
        return file
    for folder in (Path.cwd(), *star.absolute().parents):
        if os.path.lexists(folder / file):
            return str(folder / file)
    return os.path.abspath(file)
