"""The original's way through slices: which of them, in which tiles, and smoothed along z."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d

TILE, TILE_CROP = 288, 48
TILE_KEPT = TILE - 2 * TILE_CROP
# Of the original along each axis; there are more where so many would leave gaps.
FEWEST_TILES = 5


def central_slices(n: int, z_cutoff: int | None) -> tuple[int, int]:
    """Give the first of the central slices and the one after the last, as the original counts them.

    Parameters
    ----------
    n : int
        Slices of the tomogram.
    z_cutoff : int or None
        How many to take, at least 2; of an odd number one less is taken. All where there are no more than that.

    Examples
    --------
    >>> central_slices(9, 6), central_slices(8, 5), central_slices(8, 9), central_slices(8, None)
    ((1, 7), (2, 6), (0, 8), (0, 8))
    """
    if z_cutoff is None or z_cutoff >= n:
        return 0, n
    return n // 2 - z_cutoff // 2, n // 2 + z_cutoff // 2


def tile_starts(n: int) -> dict[int, int]:
    """Give where tiles begin along an axis, counted from the first pixel of the slice with its mirrored border.

    Parameters
    ----------
    n : int
        Pixels of the slice along the axis, without the border of 48 pixels on each side.

    Returns
    -------
    dict of int to int
        How many tiles begin there. There are five in all, evenly spread, as the original has them; more where
        an axis is longer than 960 pixels, so that the inner 192 pixels of the tiles leave no gap.

    Examples
    --------
    >>> tile_starts(320), tile_starts(194)
    ({0: 1, 32: 1, 64: 1, 96: 1, 128: 1}, {0: 2, 1: 2, 2: 1})
    """
    room = max(0, n + 2 * TILE_CROP - TILE)
    count = max(FEWEST_TILES, -(-n // TILE_KEPT))
    return dict(Counter(i * room // (count - 1) for i in range(count)))


def predict_in_tiles(
    block: np.ndarray, predict: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    """Predict slices as the original does: in tiles of 288 pixels whose inner 192 are averaged where they overlap.

    Parameters
    ----------
    block : numpy.ndarray of float32, shape (z, y, x)
        Whole slices, normalized, with a border of 48 mirrored pixels on each side; at least 288 pixels wide.
    predict : callable
        Tiles (n, 1, 288, 288) to probabilities (n, class, 1, 288, 288).
    shape : (int, int)
        Of a slice without its border, (y, x).

    Returns
    -------
    numpy.ndarray of float32, shape (class, z, *core)
        The core is the block without its border; 0 behind the slice, where a narrow one was filled up.

    References
    ----------
    de Teresa-Trueba et al., Nature Methods 20, 284 (2023); the original's ``2d_cnn``.
    """
    n_z, n_y, n_x = (n - 2 * h for n, h in zip(block.shape, (0, TILE_CROP, TILE_CROP), strict=True))
    rows, columns = (tile_starts(n).items() for n in shape)
    weights = {(y, x): a * b for y, a in rows for x, b in columns}
    inner = slice(TILE_CROP, TILE - TILE_CROP)
    total = np.zeros((n_y, n_x), np.float32)
    for (y, x), weight in weights.items():
        total[y : y + TILE_KEPT, x : x + TILE_KEPT] += weight
    out: np.ndarray | None = None
    for z in range(n_z):
        tiles = np.stack([block[z, y : y + TILE, x : x + TILE] for y, x in weights])
        kept = predict(tiles[:, None])[:, :, 0, inner, inner]
        if out is None:
            out = np.zeros((kept.shape[1], n_z, n_y, n_x), np.float32)
        for ((y, x), weight), tile in zip(weights.items(), kept, strict=True):
            out[:, z, y : y + TILE_KEPT, x : x + TILE_KEPT] += weight * tile
    assert out is not None
    out /= np.maximum(total, 1)
    return out


def smoothing_radius(sigma: float) -> int:
    """Give how many slices on each side a Gaussian of a standard deviation reaches: four of them, as in SciPy.

    >>> smoothing_radius(5), smoothing_radius(0)
    (20, 0)
    """
    return int(4 * sigma + 0.5)


def smooth_along_z(block: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth a block along z by a Gaussian.

    Parameters
    ----------
    block : numpy.ndarray of float32, shape (z, y, x)
        With `smoothing_radius` slices of context on each side.
    sigma : float
        Standard deviation in slices.

    Returns
    -------
    numpy.ndarray of float32, shape (z - 2 * radius, y, x)
        The bytes of ``scipy.ndimage.gaussian_filter1d`` over the whole, since each voxel is summed up alike.
    """
    radius = smoothing_radius(sigma)
    smooth: np.ndarray = gaussian_filter1d(block, sigma, axis=0, mode="nearest", radius=radius)
    return smooth[radius : len(smooth) - radius]
