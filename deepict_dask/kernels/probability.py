"""Before and after the network: standardized voxels in, stored probabilities out; the original's boxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LEVELS = 255
BOX, BOX_OVERLAP = 64, 12
BOX_STRIDE = BOX - 2 * BOX_OVERLAP


def standardize(block: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Subtract the tomogram's mean and divide by its standard deviation.

    Parameters
    ----------
    block : numpy.ndarray, shape (z, y, x)
        Any real dtype.
    mean, std : float
        Of the whole tomogram.

    Returns
    -------
    numpy.ndarray of float32
        Computed in float64, a plane at a time, since the mean may be many standard deviations from 0.
    """
    out = np.empty(block.shape, np.float32)
    scale = 1.0 / std
    for plane, target in zip(block, out, strict=True):
        np.multiply(plane - np.float64(mean), scale, out=target, casting="same_kind")
    return out


def quantize(probability: np.ndarray, dtype: str) -> np.ndarray:
    """Turn probabilities into what is stored.

    Parameters
    ----------
    probability : numpy.ndarray of float32
        In [0, 1].
    dtype : {"uint8", "float16", "float32"}
        uint8 stores the nearest multiple of 1 / 255.

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> quantize(np.array([0.0, 0.5, 1.0], np.float32), "uint8")
    array([  0, 128, 255], dtype=uint8)
    """
    if dtype != "uint8":
        return probability.astype(dtype, copy=False)
    levels = probability * np.float32(LEVELS)
    np.rint(levels, out=levels)
    return levels.astype(np.uint8)


def predict_in_boxes(block: np.ndarray, predict: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Predict a core as the original does: in boxes of 64 voxels of which the inner 40 are kept.

    Parameters
    ----------
    block : numpy.ndarray of float32, shape (z, y, x)
        Core plus 12 voxels on each side; the core's edges are multiples of 40 and begin at one.
    predict : callable
        Boxes (n, 64, 64, 64) to probabilities (n, class, 64, 64, 64).

    Returns
    -------
    numpy.ndarray of float32, shape (class, *core)

    References
    ----------
    de Teresa-Trueba et al., Nature Methods 20, 284 (2023); the original's partition of tomograms.
    """
    counts = [(n - 2 * BOX_OVERLAP) // BOX_STRIDE for n in block.shape]
    inner = slice(BOX_OVERLAP, BOX - BOX_OVERLAP)
    out: np.ndarray | None = None
    for z, y in np.ndindex(counts[0], counts[1]):
        # One row of boxes at a time: a batch large enough for the network, small enough for memory.
        starts = [(z * BOX_STRIDE, y * BOX_STRIDE, x * BOX_STRIDE) for x in range(counts[2])]
        boxes = np.stack([block[a : a + BOX, b : b + BOX, c : c + BOX] for a, b, c in starts])
        kept = predict(boxes)[..., inner, inner, inner]
        if out is None:
            out = np.empty((kept.shape[1], *(n * BOX_STRIDE for n in counts)), np.float32)
        for (a, b, c), box in zip(starts, kept, strict=True):
            out[:, a : a + BOX_STRIDE, b : b + BOX_STRIDE, c : c + BOX_STRIDE] = box
    assert out is not None
    return out
