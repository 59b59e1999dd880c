"""Resampling: waves known in closed form, scipy for shrunk noise, and exact positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.kernels.resample import cubic_taps, nearest_taps, resample, rescaled_shape


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40), ratio=st.floats(0.2, 5))
def test_new_voxels_lie_within_the_old_and_fill_them(n, ratio):
    (count, _, _) = rescaled_shape((n, 1, 1), (ratio, 1.0, 1.0))
    assert (count - 1) * ratio <= n - 1 + 1e-3
    assert count * ratio > n - 1


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40), ratio=st.floats(0.2, 5), split=st.integers(0, 40))
def test_taps_sum_to_one_lie_inside_and_do_not_depend_on_the_range(n, ratio, split):
    (count, _, _) = rescaled_shape((n, 1, 1), (ratio, 1.0, 1.0))
    split = min(split, count - 1)
    whole, part = cubic_taps(n, 0, count, ratio), cubic_taps(n, split, count, ratio)
    np.testing.assert_array_equal(whole.weight[split:], part.weight)
    np.testing.assert_array_equal(whole.index[split:], part.index)
    np.testing.assert_allclose(whole.weight.sum(axis=1), 1, rtol=1e-5)
    assert whole.index.min() >= 0
    assert whole.index.max() < n


def test_equal_voxel_sizes_change_no_bit():
    block = np.random.default_rng(0).normal(size=(5, 1, 7)).astype(np.float32)
    taps = tuple(cubic_taps(n, 0, n, 1.0) for n in block.shape)
    np.testing.assert_array_equal(resample(block, taps), block)


@pytest.mark.parametrize("ratio", [0.43, 0.5, 1.5, 2.0, 2.33])
def test_slow_waves_keep_amplitude_and_position(ratio):
    n, period = 120, 30.0
    (count, _, _) = rescaled_shape((n, 1, 1), (ratio, 1.0, 1.0))
    wave = np.cos(2 * np.pi * np.arange(n) / period).astype(np.float32)
    wanted = np.cos(2 * np.pi * np.arange(count) * ratio / period)
    for axis in range(3):
        shape, ratios = [1, 1, 1], [1.0, 1.0, 1.0]
        shape[axis], ratios[axis] = n, ratio
        taps = tuple(
            cubic_taps(m, 0, k, r)
            for m, k, r in zip(shape, rescaled_shape(shape, ratios), ratios, strict=True)
        )
        found = resample(wave.reshape(shape), taps).ravel()
        # Away from the ends, where the mirror bends the wave.
        np.testing.assert_allclose(found[10:-10], wanted[10:-10], atol=0.03)


def test_straight_lines_are_interpolated_exactly():
    line = np.arange(20.0).reshape(20, 1, 1)
    taps = (cubic_taps(20, 6, 30, 0.4), cubic_taps(1, 0, 1, 1.0), cubic_taps(1, 0, 1, 1.0))
    block = line[taps[0].region]
    np.testing.assert_allclose(resample(block, taps).ravel(), np.arange(6, 30) * 0.4, rtol=1e-5)


def test_waves_beyond_the_new_nyquist_frequency_vanish():
    wave = np.cos(np.pi * np.arange(200)).astype(np.float32).reshape(200, 1, 1)
    one = cubic_taps(1, 0, 1, 1.0)
    found = resample(wave, (cubic_taps(200, 0, 67, 3.0), one, one))
    assert np.abs(found).max() < 0.05


def test_constants_stay_constant_on_thin_axes():
    block = np.full((1, 2, 3), 7, np.int16)
    shape = rescaled_shape(block.shape, (0.3, 0.4, 2.5))
    taps = tuple(cubic_taps(n, 0, k, r) for n, k, r in zip(block.shape, shape, (0.3, 0.4, 2.5), strict=True))
    found = resample(block, taps)
    assert found.shape == shape == (1, 3, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 7, rtol=1e-6)


def test_nearest_keeps_values_and_dtype():
    labels = np.array([0, 5, 9], np.uint16).reshape(1, 1, 3)
    taps = (nearest_taps(1, 0, 1, 1.0), nearest_taps(1, 0, 1, 1.0), nearest_taps(3, 0, 5, 0.5))
    found = resample(labels, taps)
    assert found.dtype == np.uint16
    # A tie goes to the voxel before it.
    np.testing.assert_array_equal(found.ravel(), [0, 0, 5, 5, 9])
