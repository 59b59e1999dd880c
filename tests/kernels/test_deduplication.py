"""Duplicates within ellipsoids, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from deepict_dask.errors import InputError
from deepict_dask.kernels.deduplication import best_first, deduplicate, turn


def brute_force(positions, order, axes):
    """Take the picks one after the other, best first, unless a taken one is within the ellipsoid."""
    stands_for = np.arange(len(positions))
    kept = []
    for i in order:
        near = [k for k in kept if (((positions[i] - positions[k]) / axes) ** 2).sum() < 1]
        if near:
            stands_for[i] = near[0]  # kept are best first
        else:
            kept.append(i)
    return stands_for


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(0, 60),
    axes=st.tuples(*[st.sampled_from([0.5, 1.0, 2.5, 6.0])] * 3),
    whole=st.booleans(),
    levels=st.sampled_from([2, 1000]),
    seed=st.integers(0, 999),
)
def test_result_is_that_of_brute_force_for_every_order_of_the_rows(n, axes, whole, levels, seed):
    rng = np.random.default_rng(seed)
    # Unequal edges, so that an axis swap shows; axes that divide them, so that touching occurs.
    positions = rng.random((n, 3)) * [4, 8, 16]
    positions = np.rint(positions) if whole else positions
    scores = rng.integers(0, levels, n) / levels
    found = deduplicate(positions, best_first(scores, positions), axes)
    assert found.tolist() == brute_force(positions, best_first(scores, positions), np.array(axes)).tolist()
    shuffle = rng.permutation(n)
    again = deduplicate(positions[shuffle], best_first(scores[shuffle], positions[shuffle]), axes)
    rows = np.column_stack([positions, scores])
    assert sorted(rows[np.unique(found)].tolist()) == sorted(rows[shuffle[np.unique(again)]].tolist())


def test_kept_picks_are_apart_and_dropped_ones_near_a_better_kept_one():
    rng = np.random.default_rng(1)
    positions, scores, axes = rng.random((400, 3)) * 20, rng.random(400), (2.0, 3.0, 4.0)
    found = deduplicate(positions, best_first(scores, positions), axes)
    points = positions / axes
    kept = np.unique(found)
    apart = np.linalg.norm(points[kept][:, None] - points[kept][None], axis=2)
    assert apart[np.triu_indices(len(kept), 1)].min() >= 1
    dropped = np.setdiff1d(np.arange(400), kept)
    assert 0 < len(dropped) < 400
    assert (np.linalg.norm(points[dropped] - points[found[dropped]], axis=1) < 1).all()
    assert (scores[found[dropped]] >= scores[dropped]).all()


def test_picks_exactly_on_the_ellipsoid_are_two():
    for axis, length in enumerate((2.0, 3.0, 5.0)):
        step = np.zeros(3)
        step[axis] = length
        assert deduplicate([np.zeros(3), step], [0, 1], (2, 3, 5)).tolist() == [0, 1]
        assert deduplicate([np.zeros(3), 0.999 * step], [0, 1], (2, 3, 5)).tolist() == [0, 0]


@settings(max_examples=30, deadline=None)
@given(
    direction=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda d: np.linalg.norm(d) > 0.01),
    seed=st.integers(0, 99),
)
def test_first_axis_follows_the_direction_and_both_its_ends_are_one(direction, seed):
    d = np.array(direction) / np.linalg.norm(direction)
    assert np.abs(turn([3 * d], direction)[0]) == pytest.approx([3, 0, 0], abs=1e-9)
    positions = np.random.default_rng(seed).normal(size=(20, 3))
    turned = turn(positions, direction)
    # A turn keeps lengths, and the shortest one is scipy's.
    assert np.linalg.norm(turned, axis=1) == pytest.approx(np.linalg.norm(positions, axis=1))
    end = d * next(np.sign(c) for c in d if c != 0)
    axis = np.cross([1, 0, 0], end)
    angle = np.arctan2(np.linalg.norm(axis), end[0])
    length = np.linalg.norm(axis)
    rotation = Rotation.from_rotvec(axis / length * angle if length > 1e-12 else np.zeros(3))
    assert turned == pytest.approx(rotation.inv().apply(positions), abs=1e-9)
    assert (turned == turn(positions, tuple(-c for c in direction))).all()


def test_order_is_by_score_then_place_then_ties_and_unknown_scores_last():
    scores = [np.nan, 0.5, 0.9, 0.5, 0.5]
    positions = [[0, 0, 0], [1, 0, 0], [9, 9, 9], [1, 0, 0], [0, 5, 0]]
    assert best_first(scores, positions, np.array([0, 1, 0, 2, 0])).tolist() == [2, 4, 3, 1, 0]


def test_no_picks_are_no_duplicates():
    assert deduplicate(np.zeros((0, 3)), np.zeros(0, int), (1, 1, 1)).tolist() == []


@pytest.mark.parametrize("axes", [(0, 1, 1), (1, 1), (1, -1, 1), (1, 1, float("nan"))])
def test_semi_axes_must_be_three_positive_lengths(axes):
    with pytest.raises(InputError, match="three positive lengths"):
        deduplicate([[0, 0, 0]], [0], axes)


def test_a_direction_must_point_somewhere():
    with pytest.raises(InputError, match="points nowhere"):
        deduplicate([[0, 0, 0]], [0], (1, 1, 1), (0, 0, 0))
