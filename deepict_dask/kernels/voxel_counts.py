"""Count the voxels of a block by probability and truth: whole numbers, which add up exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import WorkError
from deepict_dask.kernels.thresholding import score_unit, threshold_block

FLOAT_BINS = 4096
"""Bins per unit of probability for floating-point maps; a power of two, so that bounds are exact."""

# Voxels handled at once: bounds the copies whatever the size of a block.
_SLAB = 1 << 21


@dataclass(frozen=True, eq=False)
class VoxelCounts:
    """Voxels of a block, or of all blocks added up.

    Attributes
    ----------
    true, false : int64 (k,)
        Voxels that belong to the truth and that do not, by bin of probability from low to high; empty
        for masks, which have no probabilities.
    unit : float
        Bin i holds probabilities from ``i * unit`` on; levels of an integer map are exactly that.
    n : int
        All voxels.
    n_predicted, n_truth, n_both : int
        Above the threshold, in the truth, and both; counted voxel by voxel and not from the bins.
    """

    true: np.ndarray
    false: np.ndarray
    unit: float
    n: int
    n_predicted: int
    n_truth: int
    n_both: int

    def __add__(self, other: VoxelCounts) -> VoxelCounts:
        """Add up two blocks of one map."""
        return VoxelCounts(
            self.true + other.true,
            self.false + other.false,
            self.unit,
            self.n + other.n,
            self.n_predicted + other.n_predicted,
            self.n_truth + other.n_truth,
            self.n_both + other.n_both,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted voxels that is true; 0 without any."""
        return self.n_both / self.n_predicted if self.n_predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the true voxels that is predicted; 0 without any."""
        return self.n_both / self.n_truth if self.n_truth else 0.0

    @property
    def f1(self) -> float:
        """Dice coefficient, the F1 of voxels; 0 without any."""
        both = self.n_predicted + self.n_truth
        return 2 * self.n_both / both if both else 0.0

    @property
    def values(self) -> np.ndarray:
        """Lower bounds of the bins, float64 (k,)."""
        return np.arange(len(self.true)) * self.unit


def count_voxels(
    predicted: np.ndarray,
    truth: np.ndarray,
    *,
    threshold: float = 0.5,
    scale: float | None = None,
    is_mask: bool = False,
    start: tuple[int, int, int] = (0, 0, 0),
) -> VoxelCounts:
    """Count the voxels of one block.

    Parameters
    ----------
    predicted : shape (z, y, x)
        Probabilities in [0, 1], unsigned levels, or a mask (what is not 0 is predicted).
    truth : bool, shape (z, y, x)
        Which voxels belong to the class.
    threshold : float
        A voxel is predicted if its probability is strictly above, as in picking.
    scale : float, optional
        Probability of one level; 1 / 255 for uint8 unless given.
    is_mask : bool
        Whether ``predicted`` is a mask.
    start : (int, int, int)
        Position of the block in the tomogram, for the error.

    Returns
    -------
    VoxelCounts
        uint8 maps are binned by level, exactly; others in :data:`FLOAT_BINS` equal bins.

    Raises
    ------
    WorkError
        If a floating-point map holds NaN or a value outside [0, 1].

    Examples
    --------
    >>> counts = count_voxels(np.array([[[255, 200, 10]]], np.uint8), np.array([[[True, False, True]]]))
    >>> counts.n_predicted, counts.n_truth, counts.n_both
    (2, 2, 1)
    """
    if is_mask:
        above = predicted != 0
        both = int(np.count_nonzero(above & truth))
        none = np.zeros(0, np.int64)
        n_predicted, n_truth = int(np.count_nonzero(above)), int(np.count_nonzero(truth))
        return VoxelCounts(none, none, 1.0, predicted.size, n_predicted, n_truth, both)
    by_level = predicted.dtype == np.uint8
    unit = score_unit(predicted.dtype, scale) if by_level else 1 / FLOAT_BINS
    bins = 256 if by_level else FLOAT_BINS + 1
    histogram = np.zeros(2 * bins, np.int64)
    n_predicted = n_both = 0
    for values, true in _slabs(predicted, truth):
        above = threshold_block(values, threshold, start, scale)
        n_predicted += int(np.count_nonzero(above))
        n_both += int(np.count_nonzero(above & true))
        level = values.astype(np.intp) if by_level else _bin(values, scale, start)
        level += bins * true
        histogram += np.bincount(level.ravel(), minlength=2 * bins)
    false, positive = histogram.reshape(2, bins)
    return VoxelCounts(positive, false, unit, predicted.size, n_predicted, int(positive.sum()), n_both)


def _slabs(predicted: np.ndarray, truth: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    a, b = predicted.reshape(-1), truth.reshape(-1)
    for first in range(0, a.size, _SLAB):
        yield a[first : first + _SLAB], b[first : first + _SLAB]


def _bin(values: np.ndarray, scale: float | None, start: tuple[int, int, int]) -> np.ndarray:
    probability = values.astype(np.float64)
    if values.dtype.kind == "u":
        probability *= score_unit(values.dtype, scale)
    low, high = float(probability.min()), float(probability.max())
    if not (low >= 0 and high <= 1):
        raise WorkError(
            f"the map holds {low if low < 0 else high:g} in the block at voxel (z, y, x) = {tuple(start)}, which is "
            "no probability; evaluate a map of values in [0, 1]"
        )
    return (probability * FLOAT_BINS).astype(np.intp)
