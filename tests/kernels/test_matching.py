"""Matching picks to the truth, against the script that scores the package from outside."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError
from deepict_dask.kernels.matching import match


def greedy(picks, truth, tolerance):
    """Closest pair first, by brute force."""
    distance = np.linalg.norm(picks[:, None] - truth[None], axis=2)
    pairs = []
    while distance.size and distance.min() <= tolerance:
        p, t = np.unravel_index(np.argmin(distance), distance.shape)
        pairs.append((p, t))
        distance[p], distance[:, t] = np.inf, np.inf
    return pairs


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(0, 40),
    m=st.integers(0, 40),
    tolerance=st.sampled_from([0.5, 2.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_pairs_are_the_greedy_ones(n, m, tolerance, seed):
    rng = np.random.default_rng(seed)
    picks, truth = rng.random((n, 3)) * 10, rng.random((m, 3)) * 10
    found = match(picks, truth, tolerance)
    assert list(map(tuple, found.pairs.tolist())) == greedy(picks, truth, tolerance)
    assert (np.diff(found.distances) >= 0).all()
    assert (found.n_picks, found.n_truth) == (n, m)


def test_counts_are_those_of_the_scoring_script(shared):
    spec = importlib.util.spec_from_file_location("score_picks", shared / "tools" / "score_picks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rng = np.random.default_rng(0)
    for whole in (False, True):  # whole voxels: many pairs have the same distance
        for _ in range(20):
            picks, truth = rng.random((120, 3)) * 12, rng.random((90, 3)) * 12
            if whole:
                picks, truth = np.rint(picks), np.rint(truth)
            for tolerance in (1.0, 2.0, 5.0):
                assert len(match(picks, truth, tolerance).pairs) == script.matched(picks, truth, tolerance)


def test_a_chain_is_matched_from_its_closest_pair_outward():
    # p0 - t0 - p1 - t1 on a line: the middle pair is closest and leaves both ends without a match.
    found = match([[0, 0, 0], [0, 0, 5]], [[0, 0, 3], [0, 0, 8.5]], 4)
    assert found.pairs.tolist() == [[1, 0]]
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)


def test_distance_zero_and_exactly_the_tolerance_count():
    found = match([[1, 2, 3], [9, 9, 9]], [[1, 2, 3], [9, 9, 12]], 3)
    assert found.pairs.tolist() == [[0, 0], [1, 1]]
    assert found.distances.tolist() == [0, 3]


def test_scores_without_picks_or_truth_are_zero():
    for found in (match([], [], 1), match([[0, 0, 0]], [], 1), match([], [[0, 0, 0]], 1)):
        assert (found.precision, found.recall, found.f1) == (0, 0, 0)


@pytest.mark.parametrize("tolerance", [0, -1, np.nan, np.inf])
def test_a_tolerance_must_be_a_positive_distance(tolerance):
    with pytest.raises(InputError, match="tolerance"):
        match([[0, 0, 0]], [[0, 0, 0]], tolerance)


def test_positions_must_have_three_axes():
    with pytest.raises(InputError, match=r"truth of shape \(2, 2\)"):
        match([[0, 0, 0]], [[0, 0], [1, 1]], 1)
