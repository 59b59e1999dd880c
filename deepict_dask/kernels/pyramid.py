"""The mean pyramid of one block."""

from __future__ import annotations

import numpy as np


def mean_pyramid_block(block: np.ndarray, n_levels: int) -> list[np.ndarray]:
    """Average a block over cells of 1, 2, 4, ... voxels per axis.

    Parameters
    ----------
    block : numpy.ndarray, shape (..., z, y, x)
        Voxels of one core. In a tomogram of several blocks each core but the last of an axis
        must be a multiple of ``2**(n_levels - 1)``; then the levels of the blocks, put side by
        side, are the levels of the whole.
    n_levels : int
        Levels in all, the block itself included.

    Returns
    -------
    list of numpy.ndarray
        Level i has shape (..., ceil(z / 2**i), ceil(y / 2**i), ceil(x / 2**i)) and the dtype of
        the block; level 0 is the block itself, not a copy.

    Notes
    -----
    Each cell is the mean of the *original* voxels in it: sums are carried from level to level
    (int64 or float64) and rounded once, integers half to even. Cells at an odd far edge average
    the voxels that exist. NaN spreads to the cells that contain it. Memory beyond the result:
    about the size of a float32 block.

    Examples
    --------
    >>> [level.ravel().tolist() for level in mean_pyramid_block(np.array([[[1, 2, 6]]]), 3)]
    [[1, 2, 6], [2, 6], [3]]
    """
    accumulator = np.float64 if block.dtype.kind == "f" else np.int64
    levels = [block]
    sums = block
    counts = [np.ones(n, dtype=np.int64) for n in block.shape[-3:]]
    for _ in range(n_levels - 1):
        # z first: whole planes are added before the strided sums along y and x.
        for axis in (-3, -2, -1):
            sums = _pair_sums(sums, axis, accumulator)
        counts = [_pair_sums(count, -1, np.int64) for count in counts]
        z, y, x = counts
        means = sums / (z[:, None, None] * y[:, None] * x)
        if block.dtype.kind != "f":
            means = np.rint(means, out=means)
        levels.append(means.astype(block.dtype))
    return levels


def _pair_sums(values: np.ndarray, axis: int, dtype: type[np.generic]) -> np.ndarray:
    values = np.moveaxis(values, axis, 0)
    sums = values[0::2].astype(dtype)
    sums[: len(values) // 2] += values[1::2]
    return np.moveaxis(sums, 0, axis)
