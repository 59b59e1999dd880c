"""One map_overlap: both ways to a halo, against numpy's reflect padding."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.engine.overlap import map_overlap
from deepict_dask.errors import InputError
from deepict_dask.geometry import block_grid

small = st.integers(1, 19)


def box_mean(block: np.ndarray, halo: tuple[int, int, int]) -> np.ndarray:
    """Sum over the whole halo's box, by brute force: depends on every voxel of the halo."""
    core = tuple(n - 2 * h for n, h in zip(block.shape, halo, strict=True))
    out = np.zeros(core, np.int64)
    for dz in range(2 * halo[0] + 1):
        for dy in range(2 * halo[1] + 1):
            for dx in range(2 * halo[2] + 1):
                weight = 1 + dz * 49 + dy * 7 + dx
                out += weight * block[dz : dz + core[0], dy : dy + core[1], dx : dx + core[2]]
    return out


def whole(volume: np.ndarray, halo: tuple[int, int, int]) -> np.ndarray:
    return box_mean(np.pad(volume, [(h, h) for h in halo], mode="reflect"), halo)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(small, small, small),
    chunk=st.tuples(small, small, small),
    target=st.tuples(small, small, small),
    halo=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
)
def test_result_is_that_of_the_whole_tomogram_on_any_chunking_and_grid(shape, chunk, target, halo):
    volume = np.random.default_rng(0).integers(-99, 99, shape)
    grid = block_grid(shape, target, at_least=halo)
    stored = zarr.create_array({}, shape=shape, dtype=volume.dtype, chunks=tuple(map(min, chunk, shape)))
    stored[:] = volume
    expected = whole(volume, halo)
    for source in (da.from_array(volume, chunks=chunk), stored):
        lazy = map_overlap(box_mean, source, grid, halo, dtype=np.int64, kwargs={"halo": halo})
        assert lazy.chunks == grid.chunks
        np.testing.assert_array_equal(lazy.compute(scheduler="sync"), expected)


def test_axis_thinner_than_the_halo_is_mirrored_again_and_again():
    volume = np.arange(2 * 3 * 11).reshape(2, 3, 11)
    halo = (5, 4, 1)
    grid = block_grid(volume.shape, 4, at_least=halo)
    lazy = map_overlap(box_mean, da.from_array(volume), grid, halo, dtype=np.int64, kwargs={"halo": halo})
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole(volume, halo))


def two_channels(block: np.ndarray) -> np.ndarray:
    core = block[2:-2, 2:-2, 2:-2]
    return np.stack([core, -core])


@pytest.mark.parametrize("way", ["read", "exchange"])
def test_a_channel_axis_leads(way):
    volume = np.random.default_rng(1).normal(size=(9, 10, 23))
    source = da.from_array(volume, chunks=5) if way == "exchange" else zarr.array(volume, chunks=(4, 4, 4))
    out = map_overlap(two_channels, source, block_grid(volume.shape, 6), (2, 2, 2), dtype=float, n_channels=2)
    assert out.shape == (2, *volume.shape)
    np.testing.assert_array_equal(out.compute(scheduler="sync"), np.stack([volume, -volume]))


def test_reading_costs_one_task_per_block_and_nothing_before_it_is_asked_for():
    stored = zarr.create_array({}, shape=(64, 64, 64), dtype="f4", chunks=(8, 8, 8))

    def forbidden(*_, **__):
        raise AssertionError("computed while the graph was built")

    with dask.config.set(scheduler=forbidden):
        lazy = map_overlap(
            two_channels, stored, block_grid(stored.shape, 16), (2, 2, 2), dtype="f4", n_channels=2
        )
    assert len(dask.optimize(lazy)[0].__dask_graph__()) <= lazy.npartitions


def test_a_halo_larger_than_a_core_is_refused_by_name():
    grid = block_grid((8, 64, 64), 16)
    with pytest.raises(InputError, match="exceeds the core 16 on axis y"):
        map_overlap(two_channels, da.zeros((8, 64, 64)), grid, (2, 24, 2), dtype=float)
    with pytest.raises(InputError, match="not \\(8, 8, 8\\)"):
        map_overlap(two_channels, da.zeros((8, 8, 8)), grid, (2, 2, 2), dtype=float)
