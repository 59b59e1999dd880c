"""Inference with a 2D network: slices as blocks, only the central ones if asked, and smoothing along z."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask.engine.overlap import map_overlap
from deepict_dask.engine.passes import again
from deepict_dask.engine.segment import Predict, segment, usable_statistics
from deepict_dask.engine.shown import conditioned, holes_of
from deepict_dask.engine.stored import readable
from deepict_dask.geometry import BlockGrid, Shape, block_grid
from deepict_dask.kernels.probability import quantize
from deepict_dask.kernels.slices import (
    TILE_CROP,
    TILE_KEPT,
    central_slices,
    smooth_along_z,
    smoothing_radius,
)

# How much longer than its block a core is along y and x: it is thin, and a 2D network looks far.
_WIDER = 5


def slice_grid(
    shape: Shape, tiling: str, block: int, alignment: int, halo: int, sigma: float = 0
) -> tuple[BlockGrid, Shape]:
    """Choose the blocks of an inference slice by slice.

    Parameters
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    tiling : {"exact", "deepict"}
        exact: cores of up to 5 * ``block`` pixels along y and x, aligned to the network's poolings, halo
        its receptive field. deepict: whole slices with the original's border of 48 pixels.
    block : int
        A core has about ``block**3`` voxels.
    alignment, halo : int
        Of the network along y and x: ``2**depth`` and the rounded-up receptive radius, in pixels.
    sigma : float
        Of the smoothing along z, in slices: no core is thinner than it reaches.

    Returns
    -------
    BlockGrid, (int, int, int)
        Grid and halo. They follow from the tomogram's shape, the network and the settings alone.
    """
    n_z, n_y, n_x = shape
    if tiling == "deepict":
        align = (1, *(1 if n > TILE_KEPT else TILE_KEPT for n in (n_y, n_x)))
        target, context = (max(n_y, TILE_KEPT), max(n_x, TILE_KEPT)), (0, TILE_CROP, TILE_CROP)
        least = (1, 1)
    else:
        align, context = (1, alignment, alignment), (0, halo, halo)
        target, least = (_WIDER * block, _WIDER * block), (halo, halo)
    area = math.prod(min(n, t) for n, t in zip((n_y, n_x), target, strict=True))
    thick = max(1, min(block, block**3 // area))
    radius = max(1, smoothing_radius(sigma))
    grid = block_grid(shape, (thick, *target), align=align, at_least=(radius, *least))  # type: ignore[arg-type]
    # A tomogram thinner than the smoothing reaches is one block, without empty slices.
    return BlockGrid(shape, (min(n_z, grid.core[0]), *grid.core[1:]), grid.align), context


def segment_slices(
    source: Any,
    predict: Predict,
    grid: BlockGrid,
    halo: Shape,
    *,
    n_classes: int = 1,
    mean: Any = 0.0,
    std: Any = 1.0,
    in_boxes: bool = False,
    dtype: str = "float32",
    shown: Any = None,
    ignore_value: float | None = None,
    z_cutoff: int | None = None,
    sigma: float = 0,
) -> da.Array:
    """Segment a tomogram slice by slice, and smooth the map along z, lazily.

    Parameters
    ----------
    source, predict, n_classes, in_boxes, dtype, shown
        As for `deepict_dask.engine.segment.segment`.
    grid, halo
        From `slice_grid` with the same sigma.
    mean, std : float or Delayed
        Of the whole tomogram; not used where only some slices are mapped.
    ignore_value : float, optional
        Voxels of this value are left out, as ``shown`` says.
    z_cutoff : int, optional
        Map only so many central slices, standardized by their own mean and standard deviation; the others are 0
        before smoothing, as in the original.
    sigma : float
        Of the smoothing along z, in slices; 0 for none.

    Returns
    -------
    dask.array.Array
        Shape (z, y, x), or (class, z, y, x) for several classes.

    Notes
    -----
    Memory of a task: its block in its own dtype and in float32, the probabilities of its core, and the network's
    activations for one slice, or some tiles of one. Smoothing holds up to three blocks of a column.
    """
    slices = central_slices(grid.shape[0], z_cutoff)
    if slices != (0, grid.shape[0]):
        statistics = slice_statistics(source if shown is None else conditioned(source, shown), slices)
        mean, std = statistics.mean, statistics.std
    probability = segment(
        source,
        predict,
        grid,
        halo,
        n_classes=n_classes,
        mean=mean,
        std=std,
        in_boxes=in_boxes,
        dtype="float32" if sigma else dtype,
        shown=shown,
        slices=slices,
    )
    if not sigma:
        return probability
    smoothed = smooth(probability, grid, sigma, dtype)
    if ignore_value is None:
        return smoothed
    # Smoothing carries probabilities into voxels that are left out, where nothing is.
    holes = holes_of(again(readable(source), mean), ignore_value, grid.chunks)
    return da.map_blocks(_without, smoothed, holes, dtype=smoothed.dtype, meta=smoothed._meta)


def slice_statistics(source: Any, slices: tuple[int, int]) -> Any:
    """Compute the mean and standard deviation of some slices, lazily, see `usable_statistics`.

    Parameters
    ----------
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x).
    slices : (int, int)
        The first of them and the one after the last.
    """
    stored = readable(source)
    part = stored[slice(*slices)] if isinstance(stored, da.Array) else Slab(stored, *slices)
    return usable_statistics(part)


@dataclass(frozen=True)
class Slab:
    """Some slices of a stored array, as a stored array.

    Attributes
    ----------
    array : stored array
        Shape (z, y, x), read with three slices.
    start, stop : int
        First slice, and the one after the last.
    """

    array: Any
    start: int
    stop: int

    @property
    def shape(self) -> Shape:
        """Of the slab."""
        _, y, x = self.array.shape
        return self.stop - self.start, y, x

    @property
    def dtype(self) -> np.dtype:
        """Of the array."""
        return np.dtype(self.array.dtype)

    def __getitem__(self, region: tuple[slice, slice, slice]) -> np.ndarray:
        z, y, x = region
        return np.asarray(self.array[z.start + self.start : z.stop + self.start, y, x])

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token

        return ("slab", normalize_token(self.array), self.start, self.stop)


def smooth(probability: da.Array, grid: BlockGrid, sigma: float, dtype: str) -> da.Array:
    """Smooth a probability map along z by a Gaussian, across the borders of blocks, lazily.

    Parameters
    ----------
    probability : dask.array.Array of float32
        Shape (z, y, x) or (class, z, y, x), chunked as the grid.
    grid : BlockGrid
        From `slice_grid` with the same sigma.
    sigma : float
        Standard deviation in slices; the map is mirrored at its ends with the last slice repeated, as SciPy's
        ``reflect``.
    dtype : {"float32", "float16", "uint8"}
        How probabilities are kept, see `quantize`.

    Returns
    -------
    dask.array.Array
        Of the same shape and chunks.

    Notes
    -----
    Along z a block needs its neighbors: of each column of blocks up to three are in memory at a time.
    """
    if probability.ndim == 4:
        classes = [smooth(one, grid, sigma, dtype) for one in probability]
        return da.stack(classes).rechunk(probability.chunks)
    halo = (smoothing_radius(sigma), 0, 0)
    settings = {"sigma": sigma, "dtype": dtype}
    return map_overlap(_smooth_block, probability, grid, halo, dtype=dtype, kwargs=settings, repeat_edge=True)


def _smooth_block(block: np.ndarray, sigma: float, dtype: str) -> np.ndarray:
    return quantize(smooth_along_z(block, sigma), dtype)


def _without(block: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return np.where(holes, block.dtype.type(0), block)
