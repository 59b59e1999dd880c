"""Tiles and smoothing of the original's 2D way, against its description written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from deepict_dask.kernels.slices import (
    central_slices,
    predict_in_tiles,
    smooth_along_z,
    smoothing_radius,
    tile_starts,
)


def edges_and_means(tiles):
    """A "network" that shows zero padding and where a tile lies: its mean, and the column in the tile."""
    means = tiles.mean(axis=(1, 2, 3), dtype="f8")[:, None, None, None, None]
    return (means + np.arange(288) / 288).astype("f4") * np.ones((1, 1, 1, 288, 1), "f4")


def by_the_originals_rule(plane, predict):
    """5 x 5 tiles spread evenly over a slice with a mirrored border of 48, cropped by 48, averaged in float64."""
    padded = np.pad(plane, 48, mode="reflect")
    strides = [(n - 288) / 4 for n in padded.shape]
    total, times = np.zeros(plane.shape), np.zeros(plane.shape)
    for row in range(5):
        for column in range(5):
            y, x = int(row * strides[0]), int(column * strides[1])
            tile = predict(padded[None, None, y : y + 288, x : x + 288])[0, 0, 0]
            total[y : y + 192, x : x + 192] += tile[48:-48, 48:-48]
            times[y : y + 192, x : x + 192] += 1
    with np.errstate(invalid="ignore"):
        return total / times


@pytest.mark.parametrize("shape", [(192, 193), (195, 352), (960, 333)])
def test_tiles_are_the_originals(shape):
    plane = np.random.default_rng(0).normal(size=shape).astype("f4")
    expected = by_the_originals_rule(plane, edges_and_means)
    block = np.pad(plane, 48, mode="reflect")[None]
    ours = predict_in_tiles(block, edges_and_means, shape)[0, 0]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


def test_beyond_960_pixels_nothing_is_left_out_where_the_original_leaves_stripes():
    shape = (200, 1200)
    plane = np.random.default_rng(0).normal(size=shape).astype("f4")
    original = by_the_originals_rule(plane, edges_and_means)
    assert np.isnan(original).any()
    ours = predict_in_tiles(
        np.pad(plane, 48, mode="reflect")[None], lambda t: np.ones_like(t)[:, None], shape
    )
    np.testing.assert_array_equal(ours, 1)


@given(st.integers(1, 6000))
def test_tiles_cover_every_pixel_and_stay_within_the_slice(n):
    starts = list(tile_starts(n))
    assert starts == sorted(starts) and starts[0] == 0 and starts[-1] + 192 == max(n, 192)
    assert max(np.diff(starts), default=0) <= 192
    if n <= 960:
        assert sum(tile_starts(n).values()) == 5


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 60), sigma=st.floats(0.2, 7), seed=st.integers(0, 99))
def test_smoothing_of_a_block_has_the_bytes_of_smoothing_the_whole(n, sigma, seed):
    radius = smoothing_radius(sigma)
    whole = np.random.default_rng(seed).random((n, 2, 3), "f4")
    expected = gaussian_filter1d(whole, sigma, axis=0)
    padded = np.pad(whole, [(radius, radius), (0, 0), (0, 0)], mode="symmetric")
    for start, stop in ((0, n), (n // 3, n // 3 + 1), (n // 2, n)):
        block = smooth_along_z(padded[start : stop + 2 * radius], sigma)
        np.testing.assert_array_equal(block, expected[start:stop])


@pytest.mark.parametrize("n", [1, 7, 8, 9])
@pytest.mark.parametrize("z_cutoff", [2, 3, 7, 8, 9, 100])
def test_central_slices_are_the_originals(n, z_cutoff):
    first, stop = central_slices(n, z_cutoff)
    if z_cutoff >= n:
        assert (first, stop) == (0, n)
    else:
        assert list(range(n))[n // 2 - z_cutoff // 2 : n // 2 + z_cutoff // 2] == list(range(first, stop))
