from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.kernels.pyramid import mean_pyramid_block

small = st.integers(1, 13)


def brute_force(block: np.ndarray, level: int) -> np.ndarray:
    """The mean of each cell, voxel by voxel."""
    step = 2**level
    shape = tuple(-(-n // step) for n in block.shape)
    out = np.empty(shape)
    for z, y, x in np.ndindex(shape):
        cell = block[z * step : z * step + step, y * step : y * step + step, x * step : x * step + step]
        out[z, y, x] = cell.astype(np.float64).mean()
    return out


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(small, small, small), st.sampled_from(["i1", "u1", "i2", "u2", "f2", "f4"]), st.integers(0, 99)
)
def test_every_cell_is_the_mean_of_its_original_voxels(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    block = (np.random.default_rng(seed).random(shape) * 100).astype(dtype)
    levels = mean_pyramid_block(block, 3)
    assert levels[0] is block
    for i in (1, 2):
        expected = brute_force(block, i)
        if levels[i].dtype.kind != "f":
            expected = np.rint(expected)
        assert levels[i].dtype == block.dtype
        np.testing.assert_allclose(levels[i], expected.astype(dtype), rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(9, 23), st.integers(1, 2), st.integers(0, 99))
def test_blocks_side_by_side_give_the_levels_of_the_whole(n: int, cells: int, seed: int) -> None:
    whole = np.random.default_rng(seed).normal(size=(3, 5, n)).astype(np.float32)
    core = 4 * cells
    parts = [mean_pyramid_block(whole[:, :, i : i + core], 3) for i in range(0, n, core)]
    for i, level in enumerate(mean_pyramid_block(whole, 3)):
        np.testing.assert_array_equal(np.concatenate([p[i] for p in parts], axis=2), level)


def test_integers_are_rounded_half_to_even_once() -> None:
    block = np.array([[[0, 1, 1, 2, 3, 4]]], np.uint8)  # 0.5, 1.5, 3.5
    assert mean_pyramid_block(block, 2)[1].ravel().tolist() == [0, 2, 4]
    # Rounded at each level, 0.5 -> 0 and 1.5 -> 2 would give 1.0 too, but 0.5 and 0.5 would give 0, not 0.5 -> 0.
    twice = np.array([[[1, 2, 1, 2]]], np.uint8)  # unrounded 1.5 -> 2; 1.5, 1.5 -> 1.5 -> 2
    assert mean_pyramid_block(twice, 3)[2].ravel().tolist() == [2]
    uneven = np.array([[[0, 1, 1, 1]]], np.uint8)  # 0.5 -> 0 and 1 would give 0.5 -> 0; the mean is 0.75 -> 1
    assert mean_pyramid_block(uneven, 3)[2].ravel().tolist() == [1]


def test_extreme_integers_do_not_overflow() -> None:
    assert mean_pyramid_block(np.full((4, 4, 4), -128, np.int8), 3)[2].item() == -128
    assert mean_pyramid_block(np.full((4, 4, 4), 65535, np.uint16), 3)[2].item() == 65535


def test_nan_spreads_to_its_own_cells_only() -> None:
    block = np.zeros((4, 4, 4), np.float32)
    block[0, 0, 0] = np.nan
    level = mean_pyramid_block(block, 2)[1]
    assert np.isnan(level[0, 0, 0]) and np.isnan(level).sum() == 1


def test_leading_class_axis_is_not_averaged() -> None:
    block = np.stack([np.zeros((3, 4, 5)), np.ones((3, 4, 5))]).astype(np.float32)
    level = mean_pyramid_block(block, 2)[1]
    assert level.shape == (2, 2, 2, 3)
    assert level[0].max() == 0 and level[1].min() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_levels_are_c_contiguous(dtype: type) -> None:
    assert all(level.flags.c_contiguous for level in mean_pyramid_block(np.ones((5, 6, 7), dtype), 3))
