"""Precision-recall curves, against a matching at every threshold and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError
from deepict_dask.kernels.curves import added_matches, precision_recall_curve
from deepict_dask.kernels.matching import match

CASES = {
    "n": st.integers(0, 30),
    "m": st.integers(0, 30),
    "levels": st.sampled_from([3, 1000]),  # few levels: many picks have one score
    "whole": st.booleans(),  # whole voxels: many pairs have one distance
    "seed": st.integers(0, 999),
}


def case(n, m, levels, whole, seed):
    rng = np.random.default_rng(seed)
    picks, truth = rng.random((n, 3)) * 6, rng.random((m, 3)) * 6
    if whole:
        picks, truth = np.rint(picks), np.rint(truth)
    return picks, truth, rng.integers(0, levels, n) / levels


@settings(max_examples=60, deadline=None)
@given(**{name: s for name, s in CASES.items() if name != "whole"})
def test_every_point_is_the_matching_of_the_picks_above_its_threshold(n, m, levels, seed):
    picks, truth, scores = case(n, m, levels, False, seed)
    curve = precision_recall_curve(scores, added_matches(picks, truth, scores, 2.0), 1, m)
    for k, threshold in enumerate(curve.thresholds):
        alone = match(picks[scores >= threshold], truth, 2.0)
        assert curve.hits[k] == len(alone.pairs)
        assert curve.precision[k] == alone.precision
        assert curve.recall[k] == alone.recall
        assert curve.f1[k] == pytest.approx(alone.f1, abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_the_last_point_is_everything_without_a_threshold(n, m, levels, whole, seed):
    picks, truth, scores = case(n, m, levels, whole, seed)
    added = added_matches(picks, truth, scores, 2.0)
    assert added.sum() == len(match(picks, truth, 2.0).pairs)
    curve = precision_recall_curve(scores, added, 1, m)
    if n:
        assert (curve.hits[-1], curve.picked[-1]) == (added.sum(), n)


@settings(max_examples=40, deadline=None)
@given(**CASES)
def test_average_precision_is_that_of_scikit_learn_times_the_share_that_was_found(n, m, levels, whole, seed):
    from sklearn.metrics import average_precision_score

    picks, truth, scores = case(n, m, levels, whole, seed)
    added = added_matches(picks, truth, scores, 2.0)
    area = precision_recall_curve(scores, added, 1, m).average_precision
    if not m:
        assert np.isnan(area)
    elif not added.any():
        assert area == 0
    else:
        # scikit-learn takes the true ones among the picks for all there are.
        assert area == pytest.approx(average_precision_score(added, scores) * added.sum() / m, abs=1e-12)
        assert 0 < area <= added.sum() / m + 1e-12


def test_a_far_pick_with_a_better_score_counts_until_the_near_one_comes():
    picks, truth = np.array([[0, 0, 3.0], [0, 0, 0.5]]), np.zeros((1, 3))
    assert added_matches(picks, truth, np.array([0.9, 0.5]), 4.0).tolist() == [True, False]


def test_a_pick_that_is_displaced_takes_its_next_choice():
    # b is nearer to t0 than a, so a moves on to t1; both picks add a match.
    picks, truth = np.array([[0, 0, 2.0], [0, 0, 0.5]]), np.array([[0, 0, 0.0], [0, 0, 5.0]])
    assert added_matches(picks, truth, np.array([0.9, 0.5]), 4.0).tolist() == [True, True]


def test_pooling_is_concatenation_in_any_order():
    rng = np.random.default_rng(0)
    scores, hits = np.round(rng.random(50), 1), rng.random(50) < 0.4
    order = rng.permutation(50)
    one, other = (precision_recall_curve(scores[o], hits[o], 1, 40) for o in (np.arange(50), order))
    assert (one.hits == other.hits).all() and (one.picked == other.picked).all()
    assert one.average_precision == other.average_precision


def test_picks_without_a_score_come_last_and_without_any_there_is_no_area():
    curve = precision_recall_curve([np.nan, 0.5, np.nan], [1, 1, 0], 1, 2)
    assert curve.thresholds[0] == 0.5 and np.isnan(curve.thresholds[1])
    assert curve.picked.tolist() == [1, 3] and curve.hits.tolist() == [1, 2]
    assert curve.average_precision == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert np.isnan(precision_recall_curve([np.nan], [1], 1, 1).average_precision)


def test_nothing_picked_has_area_zero_and_no_best_threshold():
    curve = precision_recall_curve([], [], 1, 3)
    assert curve.average_precision == 0 and len(curve) == 0
    assert np.isnan(curve.best[0]) and curve.best[1] == 0


def test_the_best_threshold_is_the_highest_with_the_best_f1():
    curve = precision_recall_curve([0.9, 0.8, 0.1], [1, 0, 1], 1, 2)
    assert curve.f1.tolist() == pytest.approx([2 / 3, 0.5, 0.8])
    assert curve.best == (0.1, pytest.approx(0.8))


def test_scores_must_be_as_many_as_picks():
    with pytest.raises(InputError, match="2 scores for 1 picks"):
        added_matches(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros(2), 1.0)
