"""Rescaling of whole tomograms: chunking must not show, positions convert exactly."""

from __future__ import annotations

import math

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from deepict_dask.engine.rescale import rescale
from deepict_dask.errors import InputError
from deepict_dask.geometry import block_grid

edge = st.sampled_from([1, 2, 7, 13, 24, 31])
chunk_edge = st.sampled_from([6, 7, 13, 31])


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(edge, edge, edge),
    chunk=st.tuples(chunk_edge, chunk_edge, chunk_edge),
    new=st.tuples(*[st.sampled_from([4.0, 7.3, 10.0, 13.48, 31.36])] * 3),
    order=st.sampled_from(["cubic", "nearest"]),
    core=st.integers(9, 20),
)
def test_chunks_and_blocks_do_not_show(shape, chunk, new, order, core):
    volume = np.random.default_rng(sum(shape)).integers(-50, 50, shape).astype(np.int16)
    whole = rescale(da.from_array(volume, -1), 10.0, new, order=order)
    wanted = whole.compute()
    grid = block_grid(whole.shape, core)
    for source in (da.from_array(volume, chunk), zarr.array(volume, chunks=chunk)):
        for blocks in (None, grid):
            found = rescale(source, 10.0, new, order=order, grid=blocks)
            assert found.dtype == whole.dtype == (np.float32 if order == "cubic" else np.int16)
            np.testing.assert_array_equal(found.compute(), wanted)


@pytest.mark.parametrize("new", [(13.48, 13.48, 13.48), (40.0, 31.36, 20.0)])
def test_a_smooth_tomogram_is_what_scipy_interpolates(new):
    old = 31.36
    volume = gaussian_filter(np.random.default_rng(0).normal(size=(24, 30, 37)), 4, mode="mirror")
    found = rescale(volume, old, new).compute()
    position = np.meshgrid(
        *(np.arange(n) * b / old for n, b in zip(found.shape, new, strict=True)), indexing="ij"
    )
    wanted = map_coordinates(volume, position, order=3, mode="mirror")
    np.testing.assert_allclose(found, wanted, atol=0.02 * np.abs(volume).max())


def test_positions_convert_by_the_ratio_of_voxel_sizes():
    z, y, x = np.indices((40, 40, 40))
    blob = np.exp(-((z - 11) ** 2 + (y - 22.4) ** 2 + (x - 27.7) ** 2) / 18)
    new = (8.0, 13.48, 17.0)
    found = rescale(blob, 10.0, new).compute()
    centroid = [float((i * found).sum() / found.sum()) for i in np.indices(found.shape)]
    np.testing.assert_allclose(np.array(centroid) * new / 10.0, [11, 22.4, 27.7], atol=0.03)


def test_equal_voxel_sizes_change_no_bit():
    volume = np.random.default_rng(0).normal(size=(5, 1, 150)).astype(np.float32)
    np.testing.assert_array_equal(rescale(volume, 10.0, (10.0, 10.0, 10.0)).compute(), volume)


def test_a_stored_block_takes_one_task():
    stored = zarr.zeros((128, 256, 256), chunks=(64, 64, 64), dtype="f4")
    with dask.config.set(scheduler=_refuse):
        lazy = rescale(stored, 31.36, 13.48)
    assert lazy.shape == (296, 594, 594)
    assert len(lazy.__dask_graph__()) <= math.prod(lazy.numblocks) + 2


@pytest.mark.parametrize(
    ("voxel_sizes", "order"),
    [((0.0, 10.0), "cubic"), ((10.0, float("nan")), "cubic"), ((10.0, 9.0), "linear")],
)
def test_nonsense_is_refused(voxel_sizes, order):
    with pytest.raises(InputError):
        rescale(np.ones((3, 3, 3)), *voxel_sizes, order=order)


def _refuse(*_args, **_kwargs):
    raise AssertionError("computed while the graph was built")
