"""From the probabilities of one block to its foreground, and to scores that are whole numbers."""

from __future__ import annotations

import numpy as np

from deepict_dask.errors import InputError, WorkError

FLOAT_LEVELS = 1 << 24
"""Levels per unit of probability in which floating-point scores are summed.

A float32 of at least 0.5 is a whole number of them, so above the usual threshold nothing is lost;
smaller values are rounded to the nearest level (3e-8).
"""


def score_levels(values: np.ndarray) -> np.ndarray:
    """Turn probabilities into whole numbers (int64) whose sums are exact; see :data:`FLOAT_LEVELS`."""
    if values.dtype.kind in "ui":
        return values.astype(np.int64)
    return np.rint(values.astype(np.float64) * FLOAT_LEVELS).astype(np.int64)


def score_unit(dtype: np.dtype, scale: float | None = None) -> float:
    """Give the probability of one level of :func:`score_levels` for maps of a type.

    Raises
    ------
    InputError
        If a map is neither floating point nor of unsigned integers with a known scale.
    """
    if dtype.kind == "f":
        return 1 / FLOAT_LEVELS
    if dtype == np.uint8 or (dtype == np.uint16 and scale is not None):
        return 1 / 255 if scale is None else float(scale)
    raise InputError(
        f"a probability map of type {dtype} cannot be read as probabilities; "
        "use floating point, or uint8 or uint16 levels with their scale"
    )


def threshold_block(
    probability: np.ndarray,
    threshold: float,
    start: tuple[int, int, int] = (0, 0, 0),
    scale: float | None = None,
) -> np.ndarray:
    """Mark the voxels whose probability is strictly above a threshold.

    The comparison is one of real numbers. A level of an integer map is above the threshold if
    ``float64(level) * scale`` is, and a float16 or float32 is compared with the threshold itself
    and not with the threshold rounded to its type, as numpy would.

    Parameters
    ----------
    probability : shape (z, y, x)
        Floating point in [0, 1], or unsigned levels.
    threshold : float
        Probability that a voxel must exceed.
    start : (int, int, int)
        Position of the block in the tomogram, for the error.
    scale : float, optional
        Probability of one level; 1 / 255 for uint8 unless given.

    Returns
    -------
    bool, shape (z, y, x)

    Raises
    ------
    WorkError
        If there is a NaN in the map: a block that was never written.

    Examples
    --------
    >>> threshold_block(np.array([[[127, 128]]], np.uint8), 0.5)
    array([[[False,  True]]])
    """
    unit = score_unit(probability.dtype, scale)
    if probability.dtype.kind == "u":
        above = np.arange(np.iinfo(probability.dtype).max + 1) * unit > threshold
        if not above.any():
            return np.zeros(probability.shape, bool)
        return probability >= probability.dtype.type(np.argmax(above))
    if probability.size and np.isnan(probability.min()):
        raise WorkError(
            f"there is a hole (NaN) in the probability map in the block at voxel (z, y, x) = {tuple(start)}; "
            "run segment again"
        )
    limit = probability.dtype.type(threshold)
    if float(limit) > threshold:
        limit = np.nextafter(limit, probability.dtype.type(-np.inf))
    return probability > limit


def clear_border(
    mask: np.ndarray, start: tuple[int, int, int], shape: tuple[int, int, int], border: tuple[int, int, int]
) -> None:
    """Clear, in place, what lies within a border of the tomogram's sides.

    Parameters
    ----------
    mask : bool, shape (z, y, x)
        A block.
    start, shape : (int, int, int)
        Position of the block in the tomogram, and the tomogram.
    border : (int, int, int)
        Thickness (z, y, x) in voxels.
    """
    for axis, (s, n, b) in enumerate(zip(start, shape, border, strict=True)):
        thick = mask.shape[axis]
        view = np.moveaxis(mask, axis, 0)
        view[: min(max(b - s, 0), thick)] = False
        view[min(max(n - b - s, 0), thick) :] = False
