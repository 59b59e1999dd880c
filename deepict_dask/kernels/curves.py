"""Precision and recall at every threshold, and the area under their curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError


@dataclass(frozen=True, eq=False)
class Curve:
    """How many were picked, and how many of these rightly, at every threshold from high to low.

    The last point is the one without a threshold: everything that was picked.

    Attributes
    ----------
    thresholds : float64 (k,)
        Distinct scores, highest first; a point counts what has at least this score. NaN last, where
        some picks have no score.
    hits, picked : int64 (k,)
        True ones among the picked, and all picked.
    n_truth : int
        All that there is to find.
    """

    thresholds: np.ndarray
    hits: np.ndarray
    picked: np.ndarray
    n_truth: int

    def __len__(self) -> int:
        return len(self.thresholds)

    @property
    def precision(self) -> np.ndarray:
        """Share of the picked that is true, float64 (k,)."""
        return np.asarray(self.hits / np.maximum(self.picked, 1))

    @property
    def recall(self) -> np.ndarray:
        """Share of the truth that is picked, float64 (k,); 0 without any truth."""
        return np.asarray(self.hits / max(self.n_truth, 1))

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, float64 (k,); for voxels this is the Dice coefficient."""
        return np.asarray(2 * self.hits / np.maximum(self.picked + self.n_truth, 1))

    @property
    def average_precision(self) -> float:
        """Area under the curve: the sum of precision times the step in recall, over all points.

        What was missed at every threshold counts as recall that is never reached, so the area is at
        most the last recall. NaN where there is no truth, or nothing that was picked has a score;
        0 where nothing was picked.

        Notes
        -----
        scikit-learn's ``average_precision_score`` times the last recall: that function knows only
        what was picked and takes the truth among it for all there is.
        """
        if not self.n_truth or (len(self) and np.isnan(self.thresholds).all()):
            return float("nan")
        return float(np.sum(self.precision * np.diff(self.recall, prepend=0.0)))

    @property
    def best(self) -> tuple[float, float]:
        """Threshold with the highest F1, and that F1; the highest such threshold, (NaN, 0) on an empty curve."""
        if not len(self):
            return float("nan"), 0.0
        k = int(np.argmax(self.f1))
        return float(self.thresholds[k]), float(self.f1[k])


def precision_recall_curve(
    scores: np.ndarray, hits: np.ndarray, picked: np.ndarray | int, n_truth: int
) -> Curve:
    """Sum up what was picked from the highest score down.

    Parameters
    ----------
    scores : float (n,)
        In any order; NaN is the lowest.
    hits : bool or int (n,)
        How many true ones come with each.
    picked : int (n,) or int
        How many in all come with each: 1 for picks, counts for the bins of a histogram.
    n_truth : int
        All that there is to find, missed ones included.

    Returns
    -------
    Curve
        One point per distinct score. Tables and histograms of several tomograms are pooled by
        concatenating them; the order does not matter.

    Examples
    --------
    >>> curve = precision_recall_curve([0.9, 0.7, 0.7, 0.2], [1, 0, 1, 0], 1, n_truth=4)
    >>> curve.thresholds, curve.hits, curve.picked
    (array([0.9, 0.7, 0.2]), array([1, 2, 2]), array([1, 3, 4]))
    >>> round(curve.average_precision, 4)  # 1 * 1/4 + 2/3 * 1/4
    0.4167
    """
    scores = np.asarray(scores, np.float64)
    weights = [np.broadcast_to(np.asarray(w, np.int64), scores.shape) for w in (hits, picked)]
    # np.unique sorts NaN last and, since numpy 1.21, takes all NaN for one.
    values, group = np.unique(-scores, return_inverse=True)
    sums = []
    for weight in weights:
        total = np.zeros(len(values), np.int64)
        np.add.at(total, group, weight)
        sums.append(np.cumsum(total))
    return Curve(-values, sums[0], sums[1], int(n_truth))


def added_matches(picks: np.ndarray, truth: np.ndarray, scores: np.ndarray, tolerance: float) -> np.ndarray:
    """Tell which picks add a match when picks are taken one after the other, best score first.

    Parameters
    ----------
    picks : float, shape (n, 3)
        Positions (z, y, x).
    truth : float, shape (m, 3)
        Positions (z, y, x) in the same units.
    scores : float (n,)
        NaN is the lowest.
    tolerance : float
        Largest distance of a pair, in the same units.

    Returns
    -------
    bool (n,)
        The number of True among the picks with at least some score is the number of pairs that
        :func:`deepict_dask.kernels.matching.match` finds for these picks alone. So every point of
        the curve is what an evaluation of the picks above that threshold gives, and the last point
        is what an evaluation of all of them gives.

    Notes
    -----
    Matching closest pairs first is the stable matching in which both sides prefer the nearer partner.
    A pick that comes in asks for the nearest true position, takes it if it is free or held by a
    farther pick, which then asks for its own next one; a true position once matched stays
    matched, so a pick adds one match or none. One pass over the close pairs in all.
    """
    from scipy.spatial import cKDTree

    picks, truth = (np.asarray(p, np.float64).reshape(-1, 3) for p in (picks, truth))
    if len(scores) != len(picks):
        raise InputError(f"there are {len(scores)} scores for {len(picks)} picks; give one each")
    added = np.zeros(len(picks), bool)
    if not len(picks) or not len(truth):
        return added
    close = cKDTree(picks).sparse_distance_matrix(cKDTree(truth), tolerance, output_type="coo_matrix")
    # The number of a pair in this order decides, as in `match`, also between equal distances.
    order = np.argsort(close.data, kind="stable")
    pick, true = close.row[order].tolist(), close.col[order].tolist()
    wishes = np.argsort(close.row[order], kind="stable")
    bounds = np.searchsorted(close.row[order][wishes], np.arange(len(picks) + 1)).tolist()
    wishes_list = wishes.tolist()
    following = bounds[:-1].copy()
    held = [len(pick)] * len(truth)
    for newcomer in np.argsort(-np.asarray(scores, np.float64), kind="stable").tolist():
        asking = newcomer
        while following[asking] < bounds[asking + 1]:
            pair = wishes_list[following[asking]]
            following[asking] += 1
            before = held[true[pair]]
            if pair < before:
                held[true[pair]] = pair
                if before == len(pick):
                    added[newcomer] = True
                    break
                asking = pick[before]
    return added
