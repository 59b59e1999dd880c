"""Resample a block to another voxel size, one axis after the other.

The center of the first voxel stays where it is, so the position of output voxel j is
``j * new_voxel_size / voxel_size`` in input voxels, exactly. Weights come from these positions in
the whole tomogram and not in the block, so they do not depend on the blocks.

References
----------
Keys, R. G. (1981), Cubic convolution interpolation for digital image processing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepict_dask.geometry import Shape, reflect_indices

# Positions that miss an integer by less are taken for it: 20 A / 10 A must not lose a voxel to rounding.
_CLOSE = 1e-6


@dataclass(frozen=True)
class Taps:
    """What each output voxel of a range takes of an axis.

    Attributes
    ----------
    index : numpy.ndarray of int64, shape (voxel, tap)
        Input voxels, mirrored at the ends of the axis.
    weight : numpy.ndarray of float32, shape (voxel, tap)
        They sum to 1 for every voxel.
    """

    index: np.ndarray
    weight: np.ndarray

    @property
    def region(self) -> slice:
        """Input voxels that are needed."""
        return slice(int(self.index.min()), int(self.index.max()) + 1)


def rescaled_shape(shape: Shape, ratio: tuple[float, float, float]) -> Shape:
    """Give the shape of a tomogram after resampling.

    Parameters
    ----------
    shape : (int, int, int)
        In voxels, (z, y, x).
    ratio : (float, float, float)
        New voxel size over old, (z, y, x).

    Returns
    -------
    (int, int, int)
        All voxels whose centers lie between the first and the last center of the input.

    Examples
    --------
    >>> rescaled_shape((5, 6, 7), (2.0, 1.0, 0.5))
    (3, 6, 13)
    """
    z, y, x = (math.floor((n - 1) / r + _CLOSE) + 1 for n, r in zip(shape, ratio, strict=True))
    return z, y, x


def cubic_taps(n: int, start: int, stop: int, ratio: float) -> Taps:
    """Give the taps of cubic interpolation, widened against aliasing where the axis shrinks.

    Parameters
    ----------
    n : int
        Length of the input axis in voxels.
    start, stop : int
        Output voxels, counted in the whole tomogram.
    ratio : float
        New voxel size over old.

    Returns
    -------
    Taps
        4 per voxel, or about 4 * ratio where the axis shrinks.
    """
    position = np.arange(start, stop) * ratio
    nearest = np.rint(position)
    position = np.where(np.abs(position - nearest) < _CLOSE, nearest, position)
    width = max(1.0, ratio)
    first = np.floor(position - 2 * width).astype(np.int64) + 1
    index = first[:, None] + np.arange(math.ceil(4 * width))
    weight = _keys(np.abs(index - position[:, None]) / width)
    weight /= weight.sum(axis=1, keepdims=True)
    low, high = int(index.min()), int(index.max()) + 1
    return Taps(reflect_indices(low, high, n)[index - low], weight.astype(np.float32))


def nearest_taps(n: int, start: int, stop: int, ratio: float) -> Taps:
    """Give the taps of nearest-neighbor interpolation; parameters as of `cubic_taps`."""
    index = np.floor(np.arange(start, stop) * ratio + 0.5 - _CLOSE).astype(np.int64)
    index = np.clip(index, 0, n - 1)[:, None]
    return Taps(index, np.ones(index.shape, np.float32))


def resample(block: np.ndarray, taps: tuple[Taps, Taps, Taps]) -> np.ndarray:
    """Resample a block.

    Parameters
    ----------
    block : numpy.ndarray, any real dtype, shape (z, y, x)
        The input voxels of the taps' regions.
    taps : (Taps, Taps, Taps)
        Along z, y and x.

    Returns
    -------
    numpy.ndarray, shape (z, y, x)
        float32; the block's own dtype if every voxel has one tap only (nearest neighbor).
    """
    for axis, tap in enumerate(taps):
        index = tap.index - tap.region.start
        if index.shape[1] == 1:
            block = np.take(block, index[:, 0], axis=axis)
            continue
        block = block.astype(np.float32, copy=False)
        along = [1, 1, 1]
        along[axis] = len(index)
        result = np.zeros((*block.shape[:axis], len(index), *block.shape[axis + 1 :]), np.float32)
        for column, weight in zip(index.T, tap.weight.T, strict=True):
            if weight.any():
                result += np.take(block, column, axis=axis) * weight.reshape(along)
        block = result
    return np.ascontiguousarray(block)


def _keys(x: np.ndarray) -> np.ndarray:
    """Cubic convolution kernel with a = -1/2, for distances that are not negative."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    kernel: np.ndarray = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return kernel
