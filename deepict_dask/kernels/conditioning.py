"""What spectra, filters and networks are shown of voxels that would spoil them: left out, limited, inverted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Times that the mean and the standard deviation are taken anew of the voxels within the limits.
ROUNDS = 3


@dataclass(frozen=True)
class Conditioning:
    """How the voxels of a tomogram are shown; called on blocks.

    Attributes
    ----------
    mean : float
        Of the voxels that count. What is left out is shown as this.
    ignore_value : float or None
        Voxels of this value, rounded to their dtype, are left out.
    low, high : float
        Voxels beyond are shown as these.
    invert : bool
        Whether the sign is changed, after all else.
    """

    mean: float
    ignore_value: float | None = None
    low: float = -np.inf
    high: float = np.inf
    invert: bool = False

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Show voxels as they count.

        Parameters
        ----------
        block : numpy.ndarray
            Any real dtype and shape.

        Returns
        -------
        numpy.ndarray
            A copy of `shown_dtype`.

        Examples
        --------
        >>> Conditioning(1.0, ignore_value=9, high=2.0, invert=True)(np.array([0, 1, 5, 9], np.int8))
        array([-0., -1., -2., -1.], dtype=float32)
        """
        shown = np.array(block, self.shown_dtype(block.dtype))
        if (self.low, self.high) != (-np.inf, np.inf):
            np.clip(shown, self.low, self.high, out=shown)
        if self.ignore_value is not None:
            shown[is_value(block, self.ignore_value)] = self.mean
        if self.invert:
            np.negative(shown, out=shown)
        return shown

    @staticmethod
    def shown_dtype(dtype: Any) -> np.dtype:
        """Give the dtype of what is shown: float32, or float64 where that would lose digits."""
        return np.result_type(np.dtype(dtype), np.float32)

    def ignored(self, block: np.ndarray) -> np.ndarray:
        """Mark the voxels that are left out; bool, of the block's shape."""
        if self.ignore_value is None:
            return np.zeros(block.shape, bool)
        return is_value(block, self.ignore_value)

    @property
    def shown_mean(self) -> float:
        """Mean of what is shown; voxels that are left out have it."""
        return -self.mean if self.invert else self.mean


def is_value(block: np.ndarray, value: float) -> np.ndarray:
    """Mark the voxels that have a value.

    Parameters
    ----------
    block : numpy.ndarray
        Any real dtype and shape.
    value : float
        Rounded to a floating-point dtype; integers have it only if it is one of them.

    Returns
    -------
    numpy.ndarray of bool

    Examples
    --------
    >>> is_value(np.array([0.1, 0.2], np.float32), 0.1), is_value(np.array([0, 1], np.uint8), -1)
    (array([ True, False]), array([False, False]))
    """
    if block.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(block == block.dtype.type(value))
    if block.dtype.kind == "b":
        return np.asarray(block == value)
    limits = np.iinfo(block.dtype)
    if value != int(value) or not limits.min <= value <= limits.max:
        return np.zeros(block.shape, bool)
    return np.asarray(block == block.dtype.type(int(value)))


def counted(block: np.ndarray, ignore_value: float | None, low: float, high: float) -> np.ndarray:
    """Take the voxels that count for mean and standard deviation.

    Parameters
    ----------
    block : numpy.ndarray
        Any real dtype and shape.
    ignore_value : float or None
        As for `Conditioning`.
    low, high : float
        Limits, both within; NaN is in no range.

    Returns
    -------
    numpy.ndarray, one axis
        In the block's order.
    """
    flat = np.ravel(block)
    if (low, high) != (-np.inf, np.inf):
        flat = flat[(flat >= low) & (flat <= high)]
    return flat if ignore_value is None else flat[~is_value(flat, ignore_value)]


def marked(block: np.ndarray, holes: np.ndarray, value: float) -> np.ndarray:
    """Give voxels that were left out their value again, so that what comes after knows them.

    Parameters
    ----------
    block : numpy.ndarray of float32
        What was made of a tomogram without them.
    holes : numpy.ndarray of bool
        Where they are, in the block's shape.
    value : float
        Theirs; others that have it by chance are moved by their last bit.

    Returns
    -------
    numpy.ndarray of float32
        A copy.

    Examples
    --------
    >>> marked(np.array([0.0, 5.0], np.float32), np.array([False, True]), 0)
    array([1.1754944e-38, 0.0000000e+00], dtype=float32)
    """
    result = block.copy()
    exact = result.dtype.type(value)
    beside = np.nextafter(exact, result.dtype.type(np.inf))
    # Some runtimes take denormal numbers for 0.
    smallest = np.finfo(result.dtype).tiny
    result[result == exact] = smallest if abs(beside) < smallest else beside
    result[holes] = exact
    return result
