"""Resample a tomogram to another voxel size, block by block of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import dask.array as da
import numpy as np

from deepict_dask.engine.stored import Stored, readable
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape, storage_grid
from deepict_dask.kernels.resample import Taps, cubic_taps, nearest_taps, resample, rescaled_shape
from deepict_dask.tomogram import VoxelSize, per_axis

_TAPS: dict[str, Callable[[int, int, int, float], Taps]] = {"cubic": cubic_taps, "nearest": nearest_taps}


def rescale(
    source: Any,
    voxel_size: float | VoxelSize,
    new_voxel_size: float | VoxelSize,
    *,
    order: Literal["cubic", "nearest"] = "cubic",
    grid: BlockGrid | None = None,
) -> da.Array:
    """Resample a tomogram, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x), any real dtype. Anything that is no Dask array is read by the
        tasks, region by region.
    voxel_size, new_voxel_size : float or (float, float, float)
        In A, (z, y, x).
    order : {"cubic", "nearest"}
        ``cubic``: cubic convolution, widened against aliasing on axes that shrink. ``nearest``: for masks
        and labels, keeps the dtype.
    grid : BlockGrid, optional
        Blocks of the result; by default of up to 128 voxels, from its shape only.

    Returns
    -------
    dask.array.Array, shape (z, y, x)
        float32 (``cubic``) or of the source's dtype (``nearest``), chunked as the grid. The center of the
        first voxel stays where it is: a position in the result times ``new_voxel_size / voxel_size`` is
        the position in the source, per axis. The source is mirrored at its edges.

    Raises
    ------
    InputError
        If a voxel size is not positive, or the order unknown.

    Notes
    -----
    One task per block for a stored array; the same bits on every chunking of the source.
    """
    if order not in _TAPS:
        raise InputError(f'order is "{order}", but must be "cubic" or "nearest"; choose one of the two')
    source = readable(source)
    old, new = per_axis(voxel_size), per_axis(new_voxel_size)
    if not all(np.isfinite(v) and v > 0 for v in old + new):
        raise InputError(f"voxel sizes {old} and {new} must be positive lengths in A; give the true ones")
    z, y, x = (b / a for a, b in zip(old, new, strict=True))
    ratio = (z, y, x)
    shape: Shape = tuple(source.shape)  # type: ignore[assignment]
    target_shape = rescaled_shape(shape, ratio)
    if grid is None:
        grid = storage_grid(target_shape)
    if tuple(grid.shape) != target_shape:
        raise InputError(
            f"the block grid is for a tomogram of shape {grid.shape}, not {target_shape}; make a new one"
        )
    dtype = np.dtype(np.float32) if order == "cubic" else np.dtype(source.dtype)
    common = {
        "grid": grid,
        "ratio": ratio,
        "shape": shape,
        "order": order,
        "dtype": dtype,
        "meta": np.empty((0, 0, 0), dtype),
    }
    if not isinstance(source, da.Array):
        return da.map_blocks(_read_block, source=Stored(source), chunks=grid.chunks, **common)
    return da.block(_nested(source, common, grid, ()))


def _nested(source: da.Array, common: dict[str, Any], grid: BlockGrid, index: tuple[int, ...]) -> Any:
    """Lay out one array per block of the grid as the nested lists that ``da.block`` takes."""
    if len(index) < 3:
        return [_nested(source, common, grid, (*index, i)) for i in range(grid.counts[len(index)])]
    taps = _block_taps(grid, common["shape"], common["ratio"], common["order"], index)
    piece = source[tuple(tap.region for tap in taps)]
    core = tuple(chunks[i] for chunks, i in zip(grid.chunks, index, strict=True))
    return da.map_blocks(
        _piece, piece.rechunk(piece.shape), index=index, chunks=tuple((n,) for n in core), **common
    )


def _block_taps(
    grid: BlockGrid, shape: Shape, ratio: tuple[float, float, float], order: str, index: tuple[int, ...]
) -> tuple[Taps, Taps, Taps]:
    region = grid.region(index)  # type: ignore[arg-type]
    z, y, x = (
        _TAPS[order](n, r.start, r.stop, step) for n, r, step in zip(shape, region, ratio, strict=True)
    )
    return z, y, x


def _piece(
    block: np.ndarray, *, grid: BlockGrid, ratio: Any, shape: Shape, order: str, index: tuple[int, ...]
) -> np.ndarray:
    return resample(block, _block_taps(grid, shape, ratio, order, index))


def _read_block(
    source: Stored,
    *,
    grid: BlockGrid,
    ratio: Any,
    shape: Shape,
    order: str,
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    taps = _block_taps(grid, shape, ratio, order, block_id)
    return resample(np.asarray(source.array[tuple(tap.region for tap in taps)]), taps)
