"""Which of many picks are one particle: the best-scored of those within an ellipsoid of each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepict_dask.errors import InputError


def deduplicate(
    positions: np.ndarray,
    order: np.ndarray,
    semi_axes: Sequence[float],
    direction: Sequence[float] | None = None,
) -> np.ndarray:
    """Keep the best of all picks that lie within an ellipsoid of each other.

    Parameters
    ----------
    positions : float, shape (n, 3)
        (z, y, x).
    order : int (n,)
        Row numbers, best pick first, see :func:`best_first`.
    semi_axes : (float, float, float)
        Of the ellipsoid, (z, y, x), in the units of the positions. Two picks are one particle if the
        one lies strictly inside the ellipsoid about the other.
    direction : (float, float, float), optional
        Direction (z, y, x) of filaments: the ellipsoid is turned the shortest way so that its first
        axis points there, or the opposite way. The other two axes turn with it.

    Returns
    -------
    int64 (n,)
        The row that stands for each pick: its own if it is kept, else that of the best kept pick
        in whose ellipsoid it lies.

    Raises
    ------
    InputError
        If an axis is not a positive length, or the direction has no length.

    Notes
    -----
    A pick is kept if no better pick that is kept itself lies within the ellipsoid. So any two kept
    picks are apart, and every dropped one is near a better kept one.

    Examples
    --------
    >>> deduplicate([[0, 0, 0], [0, 0, 5], [0, 0, 9]], [1, 2, 0], (3, 3, 6))
    array([1, 1, 1])
    >>> deduplicate([[0, 0, 0], [0, 0, 5], [0, 0, 9]], [0, 1, 2], (3, 3, 6))
    array([0, 0, 2])
    """
    from scipy.spatial import cKDTree

    axes = check_semi_axes(semi_axes)
    points = turn(positions, direction)
    order = np.asarray(order, np.int64)
    n = len(points)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    points = points[order]
    # Scaled so that ellipsoids are unit spheres the tree finds candidates a little beyond; one formula, the
    # same both ways round, decides. Differences are scaled, not positions, so that touching stays exact.
    pairs = np.zeros((0, 2), np.int64)
    if n:
        pairs = np.sort(cKDTree(points / axes).query_pairs(1 + 1e-6, output_type="ndarray"), axis=1)
    square = ((points[pairs[:, 0]] - points[pairs[:, 1]]) / axes) ** 2
    pairs = pairs[square[:, 0] + square[:, 1] + square[:, 2] < 1]
    dropped, undecided, open_pairs = np.zeros(n, bool), np.ones(n, bool), pairs
    while len(open_pairs):
        # Picks without a better undecided neighbor are kept; what is near them is dropped; repeat.
        blocked = np.zeros(n, bool)
        blocked[open_pairs[:, 1]] = True
        now = open_pairs[~blocked[open_pairs[:, 0]]]
        dropped[now[:, 1]] = True
        undecided[now.ravel()] = False
        open_pairs = open_pairs[undecided[open_pairs[:, 0]] & undecided[open_pairs[:, 1]]]
    stands_for = np.where(dropped, n, np.arange(n))
    near = pairs[~dropped[pairs[:, 0]]]
    np.minimum.at(stands_for, near[:, 1], near[:, 0])
    return order[stands_for][rank]


def best_first(scores: np.ndarray, positions: np.ndarray, *ties: np.ndarray) -> np.ndarray:
    """Order picks by score, the best first, in a way that does not depend on how they were listed.

    Parameters
    ----------
    scores : float (n,)
        NaN is the lowest.
    positions : float, shape (n, 3)
        Decide between equal scores: the smallest z, then y, then x, comes first.
    *ties : (n,)
        Decide between picks at the same position; the largest first, NaN last.

    Returns
    -------
    int64 (n,)

    Examples
    --------
    >>> best_first([0.5, 0.9, 0.5], [[2, 0, 0], [3, 0, 0], [1, 0, 0]])
    array([1, 2, 0])
    """
    positions = np.asarray(positions, np.float64).reshape(-1, 3)
    keys = [-np.asarray(scores, np.float64), *positions.T, *(-np.asarray(t, np.float64) for t in ties)]
    return np.asarray(np.lexsort(keys[::-1]), np.int64)


def check_semi_axes(semi_axes: Sequence[float]) -> np.ndarray:
    """Give semi-axes as float64 (3,).

    Raises
    ------
    InputError
        If they are not three positive lengths.
    """
    axes = np.asarray(semi_axes, np.float64)
    if axes.shape != (3,) or not (np.isfinite(axes).all() and (axes > 0).all()):
        raise InputError(f"semi-axes {tuple(semi_axes)!r} are not three positive lengths (z, y, x)")
    return axes


def turn(positions: np.ndarray, direction: Sequence[float] | None) -> np.ndarray:
    """Express positions along the axes of ellipsoids whose first axis follows a direction.

    Parameters
    ----------
    positions : float, shape (n, 3)
        (z, y, x).
    direction : (float, float, float), optional
        As for :func:`deduplicate`; without one the axes are z, y and x.

    Returns
    -------
    float64 (n, 3)

    Raises
    ------
    InputError
        If the direction has no length.
    """
    points = np.asarray(positions, np.float64).reshape(-1, 3)
    if direction is None:
        return points
    # Sums written out: a matrix product may round a row differently from place to place.
    z, y, x = points.T
    return np.stack([z * f[0] + y * f[1] + x * f[2] for f in _frame(direction)], axis=1)


def _frame(direction: Sequence[float]) -> np.ndarray:
    """Give the ellipsoid's axes as rows: z, y, x after the shortest turn that takes z onto the direction's line."""
    d = np.asarray(direction, np.float64)
    length = np.linalg.norm(d) if d.shape == (3,) else 0.0
    if not (np.isfinite(length) and length > 0):
        raise InputError(
            f"direction {tuple(direction)!r} points nowhere; give three numbers (z, y, x), not all 0"
        )
    d = d / length
    # A line has no sense: of its two ends the one nearer to z, or else to y, or to x, is meant.
    d = d * next(np.sign(c) for c in d if c != 0)
    c, y, x = d
    return np.array(
        [
            [c, y, x],
            [-y, 1 - y * y / (1 + c), -x * y / (1 + c)],
            [-x, -x * y / (1 + c), 1 - x * x / (1 + c)],
        ]
    )
