"""How voxels are shown that would spoil others, and the counts that say that some would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.kernels.conditioning import Conditioning, counted, is_value, marked
from deepict_dask.kernels.occurrences import Occurrences, block_occurrences, combine_occurrences


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "f4", "f8"])
def test_what_is_left_out_is_the_mean_and_standardizes_to_nothing(dtype):
    block = np.array([[1, 2, 7, 100]], dtype)
    shown = Conditioning(float(np.float32(1.3)), ignore_value=7, high=50.0)(block)
    assert shown.dtype == (np.float64 if dtype in ("i4", "f8") else np.float32)
    assert (shown - np.float32(1.3)).tolist()[0][2] == 0
    assert shown[0, 3] == 50 and shown[0, 0] == 1
    assert block[0, 3] == 100


def test_inverting_comes_last():
    block = np.array([-9, 0, 1, 9, 4], np.int16)
    conditioning = Conditioning(0.5, ignore_value=4, low=-2, high=3, invert=True)
    assert conditioning(block).tolist() == [2, 0, -1, -3, -0.5]
    assert conditioning.shown_mean == -0.5


@pytest.mark.parametrize(
    ("dtype", "value", "there"),
    [
        ("f4", 0.1, True),
        ("f8", 0.1, True),
        ("u1", 0.1, False),
        ("i1", 200, False),
        ("u1", 200, True),
        ("f2", 1e9, False),
    ],
)
def test_a_value_is_that_of_the_voxels_dtype(dtype, value, there):
    block = np.array([value if there else 3, 4]).astype(dtype)
    assert is_value(block, value).tolist() == [there, False]


def test_only_voxels_that_count_are_taken():
    block = np.array([[np.nan, 5, 0], [-3, 99, 2]], np.float32)
    assert counted(block, 0, -3, 50).tolist() == [5, -3, 2]
    assert counted(block, 0, -np.inf, np.inf)[1:].tolist() == [5, -3, 99, 2]


@pytest.mark.parametrize("value", [0.0, 150.0, -1e-20, 3e38])
def test_marks_are_those_of_what_was_left_out_alone(value):
    block = np.array([value, 1, value], np.float32)
    result = marked(block, np.array([False, False, True]), value)
    assert is_value(result, value).tolist() == [False, False, True]
    assert abs(result[0] - block[0]) <= abs(np.spacing(block[0])) or result[0] == np.finfo(np.float32).tiny
    assert result[1] == 1 and block.tolist() == np.array([value, 1, value], np.float32).tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 9999), max_size=5), st.sampled_from(["i1", "f4"]))
def test_extremes_and_padding_are_counted_exactly_on_any_split(seed, cuts, dtype):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 20, 10_000).astype(dtype)
    values[rng.random(10_000) < 0.4] = -100
    values[:3] = values.max()
    parts = np.split(values, sorted(cuts))
    found = combine_occurrences(block_occurrences(p) for p in parts)
    assert (found.count, found.minimum, found.maximum) == (10_000, values.min(), values.max())
    assert found.n_minimum == (values == values.min()).sum()
    assert found.n_maximum == (values == values.max()).sum()
    # In each part that has a sample of it the padding is common.
    ((value, n),) = found.outstanding
    assert value == -100
    exact = (values == -100).sum()
    assert n <= exact and n >= exact - sum(p.size for p in parts if p.size < 60)
    assert Occurrences.from_json(found.to_json()) == found


def test_few_gray_levels_are_no_padding():
    narrow = np.rint(np.random.default_rng(0).normal(0, 1.5, 200_000)).astype(np.int8)
    assert block_occurrences(narrow).common[0][1] > 0.2 * narrow.size
    assert block_occurrences(narrow).outstanding == ()
    narrow[:100_000] = 30
    assert block_occurrences(narrow).outstanding == ((30.0, 100_000),)


def test_nothing_is_found_in_nothing():
    assert combine_occurrences([block_occurrences(np.full(5, np.nan, np.float32))]).count == 0
    assert block_occurrences(np.empty((0, 3), np.int8)).outstanding == ()
