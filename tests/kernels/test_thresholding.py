"""The threshold is strict and compares real numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deepict_dask.errors import InputError, WorkError
from deepict_dask.kernels.thresholding import clear_border, threshold_block


@pytest.mark.parametrize(
    "threshold", [0.0, 0.1, 0.25, 1 / 3, 0.5, 127 / 255, 128 / 255, 0.7, 254 / 255, 0.999]
)
def test_levels_are_compared_as_their_float64_probability(threshold):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    expected = levels.astype(np.float64) * (1 / 255) > threshold
    np.testing.assert_array_equal(threshold_block(levels, threshold), expected)


def test_a_half_means_level_128_of_255_and_a_representable_threshold_is_strict():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 256)
    assert np.flatnonzero(threshold_block(levels, 0.5))[0] == 128
    assert np.flatnonzero(threshold_block(levels, 0.5, scale=1 / 256))[0] == 129
    assert not threshold_block(levels, 0.999, scale=1 / 256).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_threshold_is_not_rounded_to_the_type_of_the_map(dtype):
    for threshold, shift in itertools.product((0.1, 0.3, 0.5, 0.7), (-1, 0, 1)):
        value = dtype(threshold)
        if shift:
            value = np.nextafter(value, dtype(2 * shift))
        found = threshold_block(np.full((1, 1, 1), value, dtype), threshold)
        assert found.item() == (float(value) > threshold)


def test_a_hole_in_the_map_is_an_error_that_says_where():
    probability = np.zeros((2, 3, 4), np.float32)
    probability[1, 2, 3] = np.nan
    with pytest.raises(WorkError, match=r"\(64, 0, 128\).*run segment again"):
        threshold_block(probability, 0.5, (64, 0, 128))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.complex64, bool])
def test_maps_that_are_no_probabilities_are_refused(dtype):
    with pytest.raises(InputError, match="probability map of type"):
        threshold_block(np.zeros((1, 1, 1), dtype), 0.5)


@pytest.mark.parametrize("border", [(0, 0, 0), (1, 2, 3), (2, 3, 4), (0, 3, 0)])
def test_a_border_cleared_block_by_block_is_that_of_the_whole(border):
    shape = (5, 7, 9)
    mask, expected = np.ones(shape, bool), np.zeros(shape, bool)
    expected[tuple(slice(b, n - b) for b, n in zip(border, shape, strict=True))] = True
    for start in itertools.product(range(0, 5, 2), range(0, 7, 3), range(0, 9, 2)):
        block = mask[tuple(slice(s, s + t) for s, t in zip(start, (2, 3, 2), strict=True))]
        clear_border(block, start, shape, border)
    np.testing.assert_array_equal(mask, expected)
