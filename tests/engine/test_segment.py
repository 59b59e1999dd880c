"""Inference without a network: any predictor, any chunking, both tilings."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.engine.segment import segment, segment_grid


class Neighborhood:
    """A "network" of receptive radius 3 that reacts to where it is on a grid of 4 (as pooling does)."""

    def __call__(self, block):
        halo = 4
        core = tuple(slice(halo, n - halo) for n in block.shape)
        out = np.zeros_like(block[core])
        for axis in range(3):
            for shift in (-3, 0, 3):
                out += np.roll(block, shift, axis)[core]
        pooled = block[::4, ::4, ::4].repeat(4, 0).repeat(4, 1).repeat(4, 2)[core]
        return np.stack([1 / (1 + np.exp(-out)), 1 / (1 + np.exp(-pooled))])


size = st.integers(1, 23)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(size, size, size),
    chunk=st.tuples(size, size, size),
    block=st.sampled_from([8, 12, 16]),
    seed=st.integers(0, 9),
)
def test_exact_map_is_that_of_one_pass_over_the_whole_tomogram(shape, chunk, block, seed):
    volume = np.random.default_rng(seed).normal(size=shape).astype("f4")
    mean, std = 0.25, 1.5
    padded_shape = [-(-n // 4) * 4 for n in shape]
    padding = [(4, 4 + p - n) for n, p in zip(shape, padded_shape, strict=True)]
    whole = Neighborhood()(np.pad((volume - np.float32(mean)) / np.float32(std), padding, mode="reflect"))
    whole = whole[:, : shape[0], : shape[1], : shape[2]]
    stored = zarr.create_array({}, shape=shape, dtype="f4", chunks=tuple(map(min, chunk, shape)))
    stored[:] = volume
    grid, halo = segment_grid(shape, "exact", block, 4, 4)
    results = [
        segment(s, Neighborhood(), grid, halo, n_classes=2, mean=mean, std=std).compute(scheduler="sync")
        for s in (da.from_array(volume, chunks=chunk), stored)
    ]
    np.testing.assert_array_equal(*results)
    np.testing.assert_allclose(results[0], whole, atol=1e-6)


@pytest.mark.parametrize("block", [40, 80, 200])
def test_deepict_boxes_lie_on_one_global_grid(block):
    volume = np.random.default_rng(0).normal(size=(50, 90, 130)).astype("f4")

    def predict(boxes):  # the mean of a box tells where the box began
        means = boxes.mean(axis=(1, 2, 3), dtype="f8").astype("f4")
        return np.broadcast_to(means[:, None, None, None, None], (len(boxes), 1, 64, 64, 64))

    grid, halo = segment_grid(volume.shape, "deepict", block, 4, 24)
    out = segment(da.from_array(volume, chunks=33), predict, grid, halo, in_boxes=True).compute(
        scheduler="sync"
    )
    padding = [(12, 12 + -n % 40) for n in volume.shape]
    padded = np.pad(volume, padding, mode="reflect")
    for z, y, x in np.ndindex(2, 3, 4):
        box = padded[z * 40 : z * 40 + 64, y * 40 : y * 40 + 64, x * 40 : x * 40 + 64]
        core = out[z * 40 : z * 40 + 40, y * 40 : y * 40 + 40, x * 40 : x * 40 + 40]
        assert core.shape != (0, 0, 0)
        np.testing.assert_allclose(core, box.mean(dtype="f8"), atol=1e-6)


def test_what_is_stored_is_what_quantizing_the_probabilities_gives():
    volume = np.random.default_rng(0).normal(size=(9, 17, 13)).astype("f4")
    grid, halo = segment_grid(volume.shape, "exact", 8, 4, 4)
    p = segment(da.from_array(volume), Neighborhood(), grid, halo, n_classes=2).compute(scheduler="sync")
    u = segment(da.from_array(volume), Neighborhood(), grid, halo, n_classes=2, dtype="uint8").compute(
        scheduler="sync"
    )
    assert u.dtype == np.uint8
    np.testing.assert_array_equal(u, np.rint(p * np.float32(255)))
