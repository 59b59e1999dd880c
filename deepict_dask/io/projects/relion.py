"""RELION 5: the tomograms in ``tomograms.star``.

Block ``global``, see `deepict_dask.io.exchange.tomograms_star`; the tomogram itself is ``rlnTomoReconstructedTomogram``, else the denoised
one, else the first half. RELION starts paths from the folder of the project, which is the working directory or above the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.errors import FormatError
from deepict_dask.io.exchange.tomograms_star import NAME, file_of_project, read_block, read_tomograms
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
        If the file lists no reconstructed tomograms, or a row names none.
    """
    table = read_block(path)
    column = first_of(_TOMOGRAMS, table)
    if column is None:
        raise FormatError(
            f"{path} lists tilt series without tomograms (no column {_TOMOGRAMS[0]}); give the tomograms.star of a job that has "
            "reconstructed them"
        )
    warnings: tuple[str, ...] = ()
    if column == _TOMOGRAMS[-1]:
        warnings = (
            f"{path} lists no whole tomograms, so the first halves ({column}) are taken, which have more noise; reconstruct "
            "whole ones, or name the files themselves",
        )
    series = read_tomograms(path)
    for k, (name, file) in enumerate(zip(table[NAME], table[column], strict=True), start=1):
        if not file.strip() or file.strip().lower() in ("none", "null"):
            raise FormatError(
                f"row {k} of {path} ({name}) names no tomogram in {column}; reconstruct it, or take the row out"
            )
        known = series[name]
        size = None
        if known.pixel_size is not None and known.binning is not None:
            size = float(f"{known.pixel_size * known.binning:.9g}")
        yield row_of(
            str(file_of_project(path, file)),
            known,
            f"row {k} of {path}",
            path.parent,
            voxel_size=size,
            star=os.path.abspath(path),
            warnings=warnings,
        )
