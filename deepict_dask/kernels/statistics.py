"""Mean, standard deviation and range of a tomogram from partial sums of its blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

# Voxels handled at once: bounds the float64 copies whatever the size of a block.
_SLAB = 1 << 21


@dataclass(frozen=True)
class BlockStatistics:
    """Partial sums over one block, small enough to travel to the scheduler.

    Attributes
    ----------
    count : int
        Voxels that are finite.
    n_nan : int
        Voxels left out: NaN and infinities.
    mean, m2 : float
        Mean of the finite voxels and sum of their squared differences from it.
    minimum, maximum : float
        Range of the finite voxels; NaN where there are none.
    total, total_squares : int or None
        Exact sums of the voxels and of their squares, for integer dtypes only.
    """

    count: int
    n_nan: int
    mean: float
    m2: float
    minimum: float
    maximum: float
    total: int | None = None
    total_squares: int | None = None


@dataclass(frozen=True)
class Statistics:
    """Statistics of a whole tomogram.

    Attributes
    ----------
    count : int
        Voxels that are finite.
    mean, std : float
        Mean and population standard deviation (``ddof=0``) of the finite voxels, float64.
    minimum, maximum : float
        Range of the finite voxels.
    n_nan : int
        Voxels left out: NaN and infinities.
    """

    count: int
    mean: float
    std: float
    minimum: float
    maximum: float
    n_nan: int


def block_statistics(block: np.ndarray) -> BlockStatistics:
    """Sum up one block.

    Parameters
    ----------
    block : numpy.ndarray
        Any shape; integer, boolean or real floating dtype.

    Returns
    -------
    BlockStatistics
        Integer dtypes are summed exactly; floating ones in float64, in two passes.

    Examples
    --------
    >>> part = block_statistics(np.array([[1.0, 2.0], [3.0, np.nan]]))
    >>> part.count, part.n_nan, part.mean, part.m2
    (3, 1, 2.0, 2.0)
    """
    if block.dtype.kind in "iub":
        return _integer_statistics(block)
    return _float_statistics(block)


def combine(parts: Iterable[BlockStatistics]) -> Statistics:
    """Merge the partial sums of blocks that tile a tomogram.

    Parameters
    ----------
    parts : iterable of BlockStatistics
        Merged in the given order, so the same order gives the same last bit. For integer
        dtypes the result is exact and independent of order and chunking.

    Returns
    -------
    Statistics
        All NaN (and ``count`` 0) where no voxel is finite.

    References
    ----------
    Chan, Golub, LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample
    variances.
    """
    listed = list(parts)
    full = [part for part in listed if part.count]
    n_nan = sum(part.n_nan for part in listed)
    if not full:
        return Statistics(0, math.nan, math.nan, math.nan, math.nan, n_nan)
    count, mean, m2 = full[0].count, full[0].mean, full[0].m2
    for part in full[1:]:
        both = count + part.count
        delta = part.mean - mean
        mean += delta * (part.count / both)
        m2 += part.m2 + delta * delta * (count * (part.count / both))
        count = both
    std = math.sqrt(m2 / count)
    if all(part.total is not None for part in full):
        total = sum(part.total or 0 for part in full)
        squares = sum(part.total_squares or 0 for part in full)
        mean = float(Fraction(total, count))
        std = math.sqrt(Fraction(count * squares - total * total, count * count))
    return Statistics(
        count,
        mean,
        std,
        min(part.minimum for part in full),
        max(part.maximum for part in full),
        n_nan,
    )


def _slabs(block: np.ndarray) -> Iterator[np.ndarray]:
    flat = block.reshape(-1)
    for start in range(0, flat.size, _SLAB):
        yield flat[start : start + _SLAB]


def _integer_statistics(block: np.ndarray) -> BlockStatistics:
    if block.size == 0:
        return BlockStatistics(0, 0, math.nan, math.nan, math.nan, math.nan, 0, 0)
    total = squares = 0
    for slab in _slabs(block):
        limbs = _limbs(slab)
        total += sum(int(values.sum()) << shift for shift, values in limbs)
        for i, (shift_a, a) in enumerate(limbs):
            for shift_b, b in limbs[i:]:
                twice = 1 if shift_a == shift_b else 2
                squares += twice * int(np.dot(a, b)) << (shift_a + shift_b)
    n = block.size
    return BlockStatistics(
        n,
        0,
        float(Fraction(total, n)),
        float(Fraction(n * squares - total * total, n)),
        float(block.min()),
        float(block.max()),
        total,
        squares,
    )


def _limbs(values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Split integers into signed or unsigned 16-bit digits, whose products cannot overflow sums in int64."""
    if values.dtype.itemsize <= 2:
        return [(0, values.astype(np.int64))]
    digits = []
    for shift in range(0, 8 * values.dtype.itemsize, 16):
        digit = values >> values.dtype.type(shift)
        if shift + 16 < 8 * values.dtype.itemsize:
            digit = digit & values.dtype.type(0xFFFF)
        digits.append((shift, digit.astype(np.int64)))
    return digits


def _float_statistics(block: np.ndarray) -> BlockStatistics:
    count = 0
    sums: list[float] = []
    low, high = math.inf, -math.inf
    for slab in _slabs(block):
        good = _finite(slab)
        if good.size:
            count += good.size
            sums.append(float(good.sum(dtype=np.float64)))
            low, high = min(low, float(good.min())), max(high, float(good.max()))
    if count == 0:
        return BlockStatistics(0, block.size, math.nan, math.nan, math.nan, math.nan)
    mean = math.fsum(sums) / count
    squares, rests = [], []
    for slab in _slabs(block):
        difference = _finite(slab).astype(np.float64) - mean
        squares.append(float(np.dot(difference, difference)))
        rests.append(float(difference.sum()))
    # The rounding of the mean is taken back out of the second pass (corrected two-pass).
    rest = math.fsum(rests)
    m2 = max(0.0, math.fsum(squares) - rest * rest / count)
    return BlockStatistics(count, block.size - count, mean, m2, low, high)


def _finite(slab: np.ndarray) -> np.ndarray:
    good = np.isfinite(slab)
    return slab if good.all() else slab[good]
