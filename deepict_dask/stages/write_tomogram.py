"""Write a lazy tomogram with its pyramid and statistics, in one pass over the voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.geometry import Shape, storage_grid
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.kernels.conditioning import is_value
from deepict_dask.kernels.statistics import BlockStatistics, Statistics, block_statistics, combine
from deepict_dask.provenance import Provenance
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_image import Attributes, Form, write_image
from deepict_dask.tomogram import VoxelSize


def write_tomogram(
    location: Location,
    voxels: da.Array,
    *,
    name: str,
    voxel_size: VoxelSize,
    version: str,
    made_by: Provenance,
    work: Work,
    way_out: str = "mend or crop the tomogram first",
    ignore_value: float | None = None,
    **attributes: Any,
) -> Image:
    """Compute a lazy tomogram and write it as OME-Zarr.

    Parameters
    ----------
    location : Location
        The group to make; must be free.
    voxels : dask.array.Array, shape (z, y, x)
        Chunked as `storage_grid`, or it is rechunked.
    name, voxel_size, version
        Of the tomogram (voxel size (z, y, x) in A), and of OME-Zarr.
    made_by : Provenance
        What it depends on.
    work : Work
        Follows the blocks.
    way_out : str
        What to do where nothing can be found in what came of it.
    ignore_value : float, optional
        Voxels of this value were left out of what it is made from, and are left out of its statistics; kept with it.
    **attributes
        Kept with the image.

    Returns
    -------
    Image
        Complete, with statistics.

    Raises
    ------
    FormatError
        If the tomogram holds NaN or infinity, or is constant: nothing can be found in it. The output is
        removed.
    """
    shape: Shape = voxels.shape  # type: ignore[assignment]
    grid = storage_grid(shape)

    def finish(parts: Sequence[BlockStatistics]) -> Attributes:
        statistics = combine(parts)
        check_statistics(statistics, name, way_out)
        own = {} if ignore_value is None else {"ignore_value": ignore_value}
        return {"statistics": asdict(statistics), **own, **attributes}

    form = Form("tomogram", name, voxel_size, grid.core, version)
    chunked = voxels.rechunk(grid.chunks)
    return write_image(
        location,
        chunked,
        form,
        made_by,
        work,
        reduce=partial(_statistics, ignore_value=ignore_value),
        finish=finish,
    )


def check_statistics(
    statistics: Statistics, name: str, way_out: str = "mend or crop the tomogram first"
) -> None:
    """Refuse a tomogram in which nothing can be found; FormatError with the reason."""
    if statistics.n_nan:
        raise FormatError(
            f"{name}: voxels that are NaN or infinite: {statistics.n_nan}; nothing can be segmented there, so {way_out}"
        )
    if statistics.std == 0:
        raise FormatError(
            f"{name}: every voxel is {statistics.minimum:g}; a constant tomogram shows nothing, so {way_out}"
        )


def _statistics(block: np.ndarray, index: tuple[int, ...], ignore_value: float | None) -> BlockStatistics:
    return block_statistics(block if ignore_value is None else block[~is_value(block, ignore_value)])
