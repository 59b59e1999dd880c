"""Inference over a tomogram: where the blocks lie, how far they look, what they keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from deepict_dask.engine.execute import per_block
from deepict_dask.engine.overlap import map_overlap
from deepict_dask.engine.passes import again
from deepict_dask.engine.shown import holes_of
from deepict_dask.engine.spectrum import global_statistics
from deepict_dask.engine.stored import readable
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape, block_grid
from deepict_dask.kernels.conditioning import Conditioning
from deepict_dask.kernels.probability import BOX_OVERLAP, BOX_STRIDE, predict_in_boxes, quantize, standardize
from deepict_dask.kernels.slices import predict_in_tiles
from deepict_dask.kernels.statistics import Statistics

Predict = Callable[[np.ndarray], np.ndarray]


def segment_grid(shape: Shape, tiling: str, block: int, alignment: int, halo: int) -> tuple[BlockGrid, Shape]:
    """Choose the blocks of an inference.

    Parameters
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    tiling : {"exact", "deepict"}
        exact: cores aligned to the network's poolings, halo its receptive field. deepict: cores of
        whole boxes on one global grid of boxes, halo the original's overlap.
    block : int
        Largest wanted core edge in voxels.
    alignment, halo : int
        Of the network: ``2**depth`` and the rounded-up receptive radius, in voxels.

    Returns
    -------
    BlockGrid, (int, int, int)
        Grid and halo. They follow from the tomogram's shape, the network and the settings alone, so
        the map does not depend on how the tomogram is stored or who computes it.
    """
    align, context = (BOX_STRIDE, BOX_OVERLAP) if tiling == "deepict" else (alignment, halo)
    grid = block_grid(shape, block, align=align, at_least=context)
    return grid, (context, context, context)


def segment(
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
    slices: tuple[int, int] | None = None,
) -> da.Array:
    """Segment a tomogram, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x); see `map_overlap` for what the two mean.
    predict : callable
        Importable on the workers. Standardized float32 block (z, y, x) of core + 2 * halo to probabilities
        (class, *core); with ``in_boxes`` boxes (n, 64, 64, 64) to (n, class, 64, 64, 64).
    grid, halo
        From `segment_grid`, or `slice_grid` for a 2D network.
    n_classes : int
        Classes that ``predict`` returns.
    mean, std : float or Delayed
        Of the whole tomogram; see `usable_statistics`.
    in_boxes : bool
        Whether to go box by box, as the original does; of a 2D network tile by tile.
    dtype : {"float32", "float16", "uint8"}
        How probabilities are kept; uint8 in multiples of 1 / 255.
    shown : Conditioning or Delayed, optional
        How voxels are shown to the network. Where they are left out probabilities are 0; blocks of nothing else are not
        predicted, see `empty_blocks`.
    slices : (int, int), optional
        For a 2D network: the first slice that is mapped and the one after the last; the others are 0.

    Returns
    -------
    dask.array.Array
        Shape (z, y, x), or (class, z, y, x) for several classes.

    Notes
    -----
    Memory of a task: the block in its own dtype and in float32, the network's activations (most of it),
    and the core's probabilities. A Dask array is computed once more if its statistics are lazy, after them.
    """
    source = again(readable(source), std)
    settings = {
        "predict": predict,
        "mean": mean,
        "std": std,
        "in_boxes": in_boxes,
        "dtype": dtype,
        "n_classes": n_classes,
        "shown": shown,
        "halo": halo,
    }
    kernel: Callable[..., np.ndarray] = _segment_block
    if slices is not None:
        kernel, settings = _segment_slices, settings | {"slices": slices, "slice_shape": grid.shape[1:]}
    channels = n_classes if n_classes > 1 else None
    return map_overlap(
        kernel,
        source,
        grid,
        halo,
        dtype=dtype,
        n_channels=channels,
        kwargs=settings,
        is_placed=slices is not None,
    )


def empty_blocks(source: Any, grid: BlockGrid, ignore_value: float) -> da.Array:
    """Tell which blocks hold nothing but voxels that are left out, lazily.

    Parameters
    ----------
    source : stored array
        Shape (z, y, x).
    grid : BlockGrid
        Of the inference.
    ignore_value : float
        Voxels of this value are left out.

    Returns
    -------
    dask.array.Array of object
        One bool per block.
    """
    return per_block(_is_empty, holes_of(source, ignore_value, grid.chunks))


def usable_statistics(source: Any) -> Any:
    """Compute the mean and standard deviation that `segment` needs, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x), any real dtype.

    Returns
    -------
    dask.delayed.Delayed
        Of `deepict_dask.kernels.statistics.Statistics`, the same for every chunking; computing it raises InputError
        for a tomogram that is constant or holds NaN.
    """
    return delayed(usable)(global_statistics(source))


def usable(statistics: Statistics) -> Statistics:
    """Give statistics back if a tomogram of these can be segmented; InputError if not."""
    if statistics.n_nan or not statistics.std > 0:
        raise InputError(
            f"the tomogram has {statistics.n_nan} voxels that are NaN or infinite and a standard deviation of "
            f"{statistics.std:g}; nothing can be segmented in it"
        )
    return statistics


def _segment_block(
    block: np.ndarray,
    predict: Predict,
    mean: float,
    std: float,
    in_boxes: bool,
    dtype: str,
    n_classes: int,
    shown: Conditioning | None,
    halo: Shape,
    slice_shape: tuple[int, int] | None = None,
) -> np.ndarray:
    ignored: np.ndarray | None = None
    if shown is not None:
        if shown.ignore_value is not None:
            ignored = shown.ignored(
                block[tuple(slice(h, n - h) for h, n in zip(halo, block.shape, strict=True))]
            )
            if ignored.all():
                nothing = np.zeros((n_classes, *ignored.shape), dtype)
                return nothing if n_classes > 1 else nothing[0]
        block = shown(block)
    x = standardize(block, mean, std)
    if not in_boxes:
        probability = predict(x)
    elif slice_shape is None:
        probability = predict_in_boxes(x, predict)
    else:
        probability = predict_in_tiles(x, predict, slice_shape)
    stored = quantize(probability, dtype)
    if ignored is not None:
        stored = stored.copy() if stored is probability else stored
        stored[:, ignored] = 0
    return stored if n_classes > 1 else stored[0]


def _is_empty(holes: np.ndarray, index: tuple[int, ...]) -> bool:
    return bool(holes.all())


def _segment_slices(
    block: np.ndarray, slices: tuple[int, int], start: Shape, halo: Shape, **settings: Any
) -> np.ndarray:
    """Segment the slices of a block that are to be mapped; the others stay 0."""
    n_z, n_y, n_x = (n - 2 * h for n, h in zip(block.shape, halo, strict=True))
    classes = (settings["n_classes"],) if settings["n_classes"] > 1 else ()
    out = np.zeros((*classes, n_z, n_y, n_x), settings["dtype"])
    first, last = max(slices[0], start[0]) - start[0], min(slices[1] - start[0], n_z)
    if first < last:
        out[..., first:last, :, :] = _segment_block(block[first:last], halo=halo, **settings)
    return out
