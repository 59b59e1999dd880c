"""Write a lazy tomogram as OME-Zarr, with its pyramid and statistics, in one pass over the voxels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask import __version__
from deepict_dask.engine.execute import execute, per_block
from deepict_dask.errors import FormatError
from deepict_dask.geometry import Shape, storage_grid
from deepict_dask.io.ome_zarr import Image, create_image, mark_complete, open_image, update_attributes
from deepict_dask.kernels.pyramid import mean_pyramid_block
from deepict_dask.kernels.statistics import BlockStatistics, Statistics, block_statistics, combine
from deepict_dask.stages.output import remove
from deepict_dask.stages.report import Reporter
from deepict_dask.tomogram import VoxelSize


class PyramidTarget:
    """Takes the blocks that ``dask.array.store`` delivers and writes them at every level of a pyramid.

    Cores are whole shards at every level, so no two tasks meet in a file.
    """

    def __init__(self, image: Image):
        self.image = image
        self.shape, self.dtype, self.ndim = image.shape, image.dtype, len(image.shape)

    def __setitem__(self, region: tuple[slice, ...], block: np.ndarray) -> None:
        levels = self.image.levels
        for i, (level, values) in enumerate(zip(levels, mean_pyramid_block(block, len(levels)), strict=True)):
            # Starts are multiples of 2**i by the grid; a last core may end anywhere.
            place = tuple(
                slice(r.start >> i, (r.start >> i) + n) for r, n in zip(region, values.shape, strict=True)
            )
            level[place] = values

    def __dask_tokenize__(self) -> Any:
        return ("pyramid", self.image.path, self.shape, str(self.dtype))


def write_tomogram(
    path: Path,
    voxels: da.Array,
    *,
    name: str,
    voxel_size: VoxelSize,
    version: str,
    made_by: dict[str, Any],
    stage: str,
    reporter: Reporter,
    **attributes: Any,
) -> Image:
    """Compute a lazy tomogram and write it as OME-Zarr; marked complete last.

    Parameters
    ----------
    path : Path
        The group to make; must be free.
    voxels : dask.array.Array, shape (z, y, x)
        Chunked as `storage_grid`, or it is rechunked.
    name, voxel_size, version
        Of the tomogram (voxel size (z, y, x) in A), and of OME-Zarr.
    made_by : dict
        What the output depends on, for `is_finished`.
    stage : str
        For progress.
    reporter : Reporter
        Follows the blocks.
    **attributes
        Kept with the image.

    Raises
    ------
    FormatError
        If the tomogram holds NaN or infinity, or is constant: nothing can be found in it. The output is
        removed.
    """
    shape: Shape = voxels.shape  # type: ignore[assignment]
    grid = storage_grid(shape)
    voxels = voxels.rechunk(grid.chunks)
    create_image(
        path,
        shape=shape,
        dtype=voxels.dtype,
        voxel_size=voxel_size,
        name=name,
        core=grid.core,
        version=version,
    )
    update_attributes(path, made_by=made_by)
    image = open_image(path, mode="r+")
    stores = [da.store(voxels, PyramidTarget(image), lock=False, compute=False)]
    with reporter.progress(stage, name, grid.n_blocks) as advance:
        parts = execute(per_block(_statistics, voxels), stores, advance)
    statistics = combine(parts)
    problem = _problem(statistics)
    if problem:
        remove(path)
        raise FormatError(f"{name}: {problem}")
    mark_complete(
        path, statistics=asdict(statistics), core=list(grid.core), package_version=__version__, **attributes
    )
    return open_image(path)


def _statistics(block: np.ndarray, index: tuple[int, ...]) -> BlockStatistics:
    return block_statistics(block)


def _problem(statistics: Statistics) -> str | None:
    if statistics.n_nan:
        return (
            f"{statistics.n_nan} voxels are NaN or infinite; nothing can be segmented there, "
            "so mend or crop the tomogram first"
        )
    if statistics.std == 0:
        return f"every voxel is {statistics.minimum:g}; a constant tomogram shows nothing"
    return None
