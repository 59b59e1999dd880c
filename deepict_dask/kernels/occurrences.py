"""How often single values occur in a tomogram: what a mean and a standard deviation do not show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Voxels of a block that are looked at for common values; a share of a tenth is 410 of them, give or take 19.
_SAMPLE = 4096
# Candidates have this share of the sample, and are counted in the whole block.
_CANDIDATE, _MOST = 0.02, 4
# A value stands out if it is so many times as frequent as the next; at most so many of them do together.
_GAP, _MOST_OUTSTANDING = 3, 2


@dataclass(frozen=True)
class Occurrences:
    """How often some values occur, in a block or in a whole tomogram.

    Attributes
    ----------
    count : int
        Voxels that are finite.
    minimum, maximum : float
        Smallest and largest finite value.
    n_minimum, n_maximum : int
        Voxels that have them, exactly.
    common : tuple of (float, int)
        Values that many voxels have, and how many at least: exact for a value that is common in every block that
        holds it; a block in which it is rare may leave it out.
    """

    count: int
    minimum: float
    maximum: float
    n_minimum: int
    n_maximum: int
    common: tuple[tuple[float, int], ...] = ()

    @property
    def outstanding(self) -> tuple[tuple[float, int], ...]:
        """Values far more frequent than all others, at most two, the most frequent first; and how many voxels have them.

        Padding stands out. The levels of a tomogram in few gray levels are frequent, too, but so are their neighbors.
        """
        ordered = sorted(self.common, key=lambda pair: -pair[1])
        for n in range(1, min(_MOST_OUTSTANDING, len(ordered)) + 1):
            following = ordered[n][1] if n < len(ordered) else 0
            if ordered[n - 1][1] >= _GAP * following:
                return tuple(ordered[:n])
        return ()

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "count": self.count,
            "minimum": [self.minimum, self.n_minimum],
            "maximum": [self.maximum, self.n_maximum],
            "common": [list(pair) for pair in self.common],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Occurrences:
        """Read what `to_json` gave; KeyError, TypeError or ValueError where it is something else."""
        (low, n_low), (high, n_high) = content["minimum"], content["maximum"]
        common = tuple((float(value), int(n)) for value, n in content["common"])
        return cls(int(content["count"]), float(low), float(high), int(n_low), int(n_high), common)


def block_occurrences(block: np.ndarray) -> Occurrences:
    """Count the extremes of a block, and its common values.

    Parameters
    ----------
    block : numpy.ndarray
        Any shape; integer, boolean or real floating dtype. NaN and infinities are left out.

    Notes
    -----
    Common values are looked for in a sample of 4096 voxels, drawn alike for all blocks of one size, and counted in the
    whole block. A byte a voxel.

    Examples
    --------
    >>> block_occurrences(np.array([0, 0, 0, 1, 5], np.uint8))
    Occurrences(count=5, minimum=0.0, maximum=5.0, n_minimum=3, n_maximum=1, common=((0.0, 3), (1.0, 1), (5.0, 1)))
    """
    flat = np.ravel(block)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return Occurrences(0, math.nan, math.nan, 0, 0)
    low, high = flat.min(), flat.max()
    sample = flat
    if flat.size > _SAMPLE:
        sample = flat[np.random.default_rng(0).integers(0, flat.size, _SAMPLE)]
    values, counts = np.unique(sample, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST]
    # A value that was met once may be any value.
    candidates = [
        values[i] for i in order if counts[i] >= max(1 if flat is sample else 2, _CANDIDATE * sample.size)
    ]
    common = tuple((float(v), int(np.count_nonzero(flat == v))) for v in candidates)
    return Occurrences(
        int(flat.size),
        float(low),
        float(high),
        int(np.count_nonzero(flat == low)),
        int(np.count_nonzero(flat == high)),
        common,
    )


def combine_occurrences(parts: Iterable[Occurrences]) -> Occurrences:
    """Merge the counts of blocks that tile a tomogram; whole numbers, so in any order."""
    full = [part for part in parts if part.count]
    if not full:
        return Occurrences(0, math.nan, math.nan, 0, 0)
    low, high = min(p.minimum for p in full), max(p.maximum for p in full)
    common: Counter[float] = Counter()
    for part in full:
        for value, n in part.common:
            common[value] += n
    return Occurrences(
        sum(p.count for p in full),
        low,
        high,
        sum(p.n_minimum for p in full if p.minimum == low),
        sum(p.n_maximum for p in full if p.maximum == high),
        tuple(sorted(common.items(), key=lambda pair: (-pair[1], pair[0]))[: 2 * _MOST]),
    )
