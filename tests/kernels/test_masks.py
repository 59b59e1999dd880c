"""Shapes at positions: against brute force, and blocks against the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError
from deepict_dask.geometry import block_grid
from deepict_dask.kernels.masks import paste_shapes

SHAPE = (11, 17, 23)
coordinates = st.tuples(*(st.floats(-6, n + 6, allow_nan=False, width=32) for n in SHAPE))


def by_blocks(core, positions, **what):
    grid = block_grid(SHAPE, core)
    out = np.full(SHAPE, 7, np.uint8)
    for index in grid:
        region = grid.region(index)
        size = tuple(r.stop - r.start for r in region)
        out[region] = paste_shapes(positions, [r.start for r in region], size, **what)
    return out


@given(st.lists(coordinates, max_size=4), st.floats(0.3, 9))
@settings(max_examples=30, deadline=None)
def test_a_voxel_is_labelled_if_its_center_is_within_the_radius(positions, radius):
    expected = np.zeros(SHAPE, bool)
    for p in positions:
        offsets = np.indices(SHAPE) - np.reshape(p, (3, 1, 1, 1))
        expected |= (offsets**2).sum(axis=0) <= radius * radius
    positions = np.array(positions).reshape(-1, 3)
    np.testing.assert_array_equal(paste_shapes(positions, (0, 0, 0), SHAPE, radius), expected)


@given(st.lists(coordinates, max_size=5), st.integers(1, 9), st.booleans())
@settings(max_examples=30, deadline=None)
def test_blocks_side_by_side_are_the_whole(positions, core, is_stamp):
    stamp = np.random.default_rng(1).random((3, 4, 7)) > 0.5
    what = {"stamp": stamp} if is_stamp else {"radius": (2.0, 3.5, 5.0)}
    positions = np.array(positions).reshape(-1, 3)
    whole = paste_shapes(positions, (0, 0, 0), SHAPE, **what)
    np.testing.assert_array_equal(by_blocks(core, positions, **what), whole)


def test_points_at_exactly_the_radius_belong_to_the_sphere():
    # 6-8-10: in units of the radius this sum of squares would round above 1.
    mask = paste_shapes(np.zeros((1, 3)), (0, 0, 0), (1, 11, 11), 10)
    assert mask[0, 6, 8] == mask[0, 8, 6] == mask[0, 0, 10] == 1 and mask[0, 7, 8] == 0


def test_a_radius_per_axis_makes_an_ellipsoid():
    mask = paste_shapes(np.array([[5, 8, 11]]), (0, 0, 0), SHAPE, (1, 3, 7))
    extent = [np.ptp(axis) // 2 for axis in np.nonzero(mask)]
    assert extent == [1, 3, 7]


def test_a_stamp_lies_with_its_middle_on_the_nearest_voxel():
    stamp = np.zeros((3, 5, 7))
    stamp[1, 2, 3] = stamp[0, 0, 0] = -2.5
    mask = paste_shapes(np.array([[4.4, 8.5, 10.6]]), (0, 0, 0), SHAPE, stamp=stamp)
    assert {tuple(v) for v in np.argwhere(mask)} == {(4, 9, 11), (3, 7, 8)}


def test_stamps_that_overlap_do_not_erase_each_other():
    stamp = np.zeros((1, 1, 3))
    stamp[0, 0, [0, 2]] = 1
    mask = paste_shapes(np.array([[0, 0, 1], [0, 0, 2]]), (0, 0, 0), (1, 1, 5), stamp=stamp)
    assert mask[0, 0].tolist() == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("what", [{}, {"radius": 1, "stamp": np.ones((1, 1, 1))}, {"radius": 0}])
def test_what_to_paste_is_said_once_and_has_an_extent(what):
    with pytest.raises(InputError, match="radius"):
        paste_shapes(np.zeros((1, 3)), (0, 0, 0), (2, 2, 2), **what)
