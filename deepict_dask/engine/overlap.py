"""The one ``map_overlap`` of the package: a kernel applied to cores with their halos.

Every kernel sees the same thing, however the tomogram is stored: a block of the fixed shape
``core + 2 * halo`` whose voxels beyond the tomogram are mirrored at the *tomogram's* edge (numpy's
``reflect``, unless the edge is to be repeated). Two ways lead there, byte for byte the same:

``exchange``
    ``dask.array.map_overlap``: blocks borrow halos from their neighbors. For lazy arrays of any
    origin. 20 to 30 tasks per block, and a halo slice keeps its whole neighbor in memory: two to three
    layers of blocks are alive at a time.
``read``
    Each task reads core and halo from the store itself: one task per block, memory bounded by
    the block and not by the tomogram. For stored arrays, and for Dask arrays from `open_lazily`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask.engine.stored import Stored, readable
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape, align_up, reflect_indices

Kernel = Callable[..., np.ndarray]


def map_overlap(
    kernel: Kernel,
    source: Any,
    grid: BlockGrid,
    halo: Shape,
    *,
    dtype: Any,
    n_channels: int | None = None,
    kwargs: dict[str, Any] | None = None,
    is_placed: bool = False,
    repeat_edge: bool = False,
) -> da.Array:
    """Apply a kernel to every block of a tomogram, lazily.

    Parameters
    ----------
    kernel : callable
        ``kernel(block, **kwargs)`` with a block of shape ``core + 2 * halo``; returns the core, shape
        ``core`` or ``(n_channels, *core)``. Pure, and importable on the workers.
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x). A Dask array goes the ``exchange`` way (rechunked to the
        grid if need be) unless `readable` knows what it was made from; anything else that has ``shape``, ``dtype``
        and slices (a ``zarr.Array``, a memory map, a ``Source``) the ``read`` way.
    grid : BlockGrid
        Where the cores lie. With a Dask array no core may be thinner than the halo.
    halo : (int, int, int)
        Voxels of context on each side, (z, y, x).
    dtype : dtype
        Of the result.
    n_channels : int, optional
        Length of a leading channel axis that the kernel adds.
    kwargs : dict, optional
        For the kernel; travels once with the graph, so nothing large belongs here.
    is_placed : bool
        Whether the kernel wants to know where it is: ``start=``, the first voxel (z, y, x) of the core.
    repeat_edge : bool
        Whether the mirror shows the voxel at the tomogram's edge twice, see `reflect_indices`.

    Returns
    -------
    dask.array.Array
        Shape (z, y, x) or (channel, z, y, x), chunked as the grid.

    Notes
    -----
    A task holds the block, ``prod(core + 2 * halo)`` voxels, and what the kernel needs.
    """
    if tuple(source.shape) != tuple(grid.shape):
        raise InputError(
            f"the block grid is for a tomogram of shape {grid.shape}, not {tuple(source.shape)}; make a new one"
        )
    source = readable(source)
    chunks: tuple[Any, ...] = grid.chunks if n_channels is None else ((n_channels,), *grid.chunks)
    common = {
        "window": Window(grid, halo, repeat_edge),
        "kernel": kernel,
        "kernel_kwargs": kwargs or {},
        "is_placed": is_placed,
    }
    meta = np.empty((0,) * len(chunks), dtype)
    if not isinstance(source, da.Array):
        return da.map_blocks(
            _read_block, source=Stored(source), chunks=chunks, dtype=dtype, meta=meta, **common
        )
    for axis, (sizes, h) in enumerate(zip(grid.chunks, halo, strict=True)):
        if len(sizes) > 1 and min(sizes) < h:
            raise InputError(
                f"halo {halo} exceeds the core {min(sizes)} on axis {'zyx'[axis]}; "
                f"use a core of at least {h} or a shallower network"
            )
    blocks = source.rechunk(grid.chunks)
    return da.map_overlap(
        _exchange_block,
        blocks,
        # An axis in one piece has no neighbor to borrow from, and may be thinner than the halo.
        depth=tuple(h if len(sizes) > 1 else 0 for h, sizes in zip(halo, grid.chunks, strict=True)),
        boundary="none",
        trim=False,
        allow_rechunk=False,
        chunks=chunks,
        new_axis=None if n_channels is None else 0,
        dtype=dtype,
        meta=meta,
        **common,
    )


@dataclass(frozen=True)
class Window:
    """What blocks show of a tomogram.

    Attributes
    ----------
    grid : BlockGrid
        Where the cores lie.
    halo : (int, int, int)
        Voxels of context on each side, (z, y, x).
    repeat_edge : bool
        As in `map_overlap`.
    """

    grid: BlockGrid
    halo: Shape
    repeat_edge: bool = False

    def indices(self, index: Shape) -> list[np.ndarray]:
        """Voxels (indices on each axis) that a block shows: core + 2 * halo, mirrored at the tomogram's edge.

        Behind a last core that is smaller than the others (filled up to the grid's alignment) the
        window stands still at the end of its halo: nothing that is kept depends on those voxels, but
        they must be alike on both ways.
        """
        grid, shown = self.grid, []
        for i, n, k, h, step in zip(index, grid.shape, grid.core, self.halo, grid.align_zyx, strict=True):
            start = i * k
            stop = start + min(k, align_up(n - start, step))
            positions = reflect_indices(start - h, stop + h, n, repeat_edge=self.repeat_edge)
            shown.append(np.concatenate([positions, np.full(start + k - stop, positions[-1])]))
        return shown


def _take(block: np.ndarray, indices: list[np.ndarray]) -> np.ndarray:
    """Outer-index a block; a run of consecutive voxels costs a slice only."""
    for axis, index in enumerate(indices):
        if index.size != block.shape[axis] or (np.diff(index) != 1).any():
            block = np.take(block, index, axis=axis)
    return np.ascontiguousarray(block)


def _apply(
    block: np.ndarray, index: Shape, grid: BlockGrid, kernel: Kernel, kwargs: dict[str, Any], is_placed: bool
) -> np.ndarray:
    region = grid.region(index)
    place = {"start": tuple(r.start for r in region)} if is_placed else {}
    core = kernel(block, **kwargs, **place)
    z, y, x = (slice(r.stop - r.start) for r in region)
    return np.ascontiguousarray(core[..., z, y, x])


def read_window(source: Any, grid: BlockGrid, halo: Shape, index: Shape) -> np.ndarray:
    """Read core and halo of one block from a stored array, mirrored at the tomogram's edge.

    Parameters
    ----------
    source : stored array
        Shape (z, y, x), sliced with three slices.
    grid, halo, index
        As in `map_overlap`; ``index`` is the block's (z, y, x) number.

    Returns
    -------
    numpy.ndarray
        Shape ``core + 2 * halo``, dtype of the source, C-contiguous.
    """
    return _read(source, Window(grid, halo), index)


def _read(source: Any, window: Window, index: Shape) -> np.ndarray:
    shown = window.indices(index)
    region = tuple(slice(int(i.min()), int(i.max()) + 1) for i in shown)
    return _take(np.asarray(source[region]), [i - r.start for i, r in zip(shown, region, strict=True)])


def _read_block(
    source: Stored,
    window: Window,
    kernel: Kernel,
    kernel_kwargs: dict[str, Any],
    is_placed: bool,
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    index: Shape = block_id[-3:]  # type: ignore[assignment]
    return _apply(_read(source.array, window, index), index, window.grid, kernel, kernel_kwargs, is_placed)


def _exchange_block(
    block: np.ndarray,
    window: Window,
    kernel: Kernel,
    kernel_kwargs: dict[str, Any],
    is_placed: bool,
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    index: Shape = block_id[-3:]  # type: ignore[assignment]
    # What map_overlap delivers begins a halo before the core, but for the first block of an axis.
    begins = [i * k - (h if i else 0) for i, k, h in zip(index, window.grid.core, window.halo, strict=True)]
    shown = [i - b for i, b in zip(window.indices(index), begins, strict=True)]
    return _apply(_take(block, shown), index, window.grid, kernel, kernel_kwargs, is_placed)
