"""Match picks to true positions, one to one, closest pairs first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError


@dataclass(frozen=True)
class Matching:
    """Picks and true positions that belong together.

    Attributes
    ----------
    pairs : int64 (k, 2)
        Row numbers of a pick and of its true position, closest pair first.
    distances : float64 (k,)
        Their distances, in the units of the positions.
    n_picks, n_truth : int
        How many there were of each.
    """

    pairs: np.ndarray
    distances: np.ndarray
    n_picks: int
    n_truth: int

    @property
    def precision(self) -> float:
        """Share of the picks that are true; 0 without picks."""
        return len(self.pairs) / self.n_picks if self.n_picks else 0.0

    @property
    def recall(self) -> float:
        """Share of the true positions that were picked; 0 without any."""
        return len(self.pairs) / self.n_truth if self.n_truth else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 without a match."""
        return 2 * len(self.pairs) / (self.n_picks + self.n_truth) if len(self.pairs) else 0.0


def match(picks: np.ndarray, truth: np.ndarray, tolerance: float) -> Matching:
    """Match picks to true positions one to one, taking the closest pair first.

    Parameters
    ----------
    picks : float, shape (n, 3)
        Positions (z, y, x).
    truth : float, shape (m, 3)
        Positions (z, y, x) in the same units.
    tolerance : float
        Largest distance of a pair, in the same units; a pair at exactly this distance counts.

    Returns
    -------
    Matching

    Raises
    ------
    InputError
        If an array is not of shape (n, 3) or the tolerance is not a positive number.

    Notes
    -----
    The greedy matching of the DeePiCt paper. It is not always the largest possible one, and where
    several pairs have exactly the same distance the order in which a k-d tree lists them decides.

    Examples
    --------
    >>> found = match([[0, 0, 0], [0, 0, 3]], [[0, 0, 1]], tolerance=5)
    >>> found.pairs, found.precision, found.recall
    (array([[0, 0]]), 0.5, 1.0)
    """
    from scipy.spatial import cKDTree

    picks, truth = (_positions(name, p) for name, p in (("picks", picks), ("truth", truth)))
    if not tolerance > 0 or not np.isfinite(tolerance):
        raise InputError(f"tolerance {tolerance!r} is not a positive distance")
    if not len(picks) or not len(truth):
        return Matching(np.zeros((0, 2), np.int64), np.zeros(0), len(picks), len(truth))
    close = cKDTree(picks).sparse_distance_matrix(cKDTree(truth), tolerance, output_type="coo_matrix")
    order = np.argsort(close.data, kind="stable")
    pick, true, distance = (a[order] for a in (close.row, close.col, close.data))

    # A pair that comes first for both its members is taken by the greedy rule whatever happens to
    # the others; take all such pairs, drop what they use, repeat.
    rank = np.arange(len(order))
    taken = np.zeros(len(order), bool)
    while len(rank):
        first_pick = np.empty(len(picks), np.int64)
        first_true = np.empty(len(truth), np.int64)
        first_pick[pick[rank][::-1]] = rank[::-1]
        first_true[true[rank][::-1]] = rank[::-1]
        now = rank[(first_pick[pick[rank]] == rank) & (first_true[true[rank]] == rank)]
        taken[now] = True
        free_pick, free_true = np.ones(len(picks), bool), np.ones(len(truth), bool)
        free_pick[pick[now]] = False
        free_true[true[now]] = False
        rank = rank[free_pick[pick[rank]] & free_true[true[rank]]]
    pairs = np.stack([pick[taken], true[taken]], axis=1).astype(np.int64)
    return Matching(pairs, distance[taken], len(picks), len(truth))


def _positions(name: str, positions: np.ndarray) -> np.ndarray:
    array = np.asarray(positions, np.float64)
    if array.size == 0:
        return array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(
            f"{name} of shape {array.shape} are not positions; give an array of shape (n, 3), z, y, x"
        )
    return array
