"""Inference slice by slice: the same map on any chunking, in any block; the original's with its tiles."""

from __future__ import annotations

import functools

import dask.array as da
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from deepict_dask.engine.slices import segment_slices, slice_grid, slice_statistics
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.unet2d import build_unet

# Small, so that a halo of 28 pixels is enough; one class, and two with batch normalization.
ARCHITECTURES = [
    Architecture(2, 3, batch_norm=False, network="unet2d"),
    Architecture(1, 2, out_classes=2, network="unet2d"),
    Architecture(1, 1, batch_norm=False, network="unet2d"),
]


class Net:
    """A network with random weights, in float64 so that blocks differ in nothing but what they see."""

    def __init__(self, architecture, halo, seed=0):
        torch.manual_seed(seed)
        self.net, self.halo = build_unet(architecture).double().eval(), halo
        for p in self.net.parameters():
            torch.nn.init.normal_(p, 0, 0.3)

    def core(self, block):
        with torch.no_grad():
            return (
                self.net.forward_core(torch.from_numpy(block).double()[None, None], self.halo)[0]
                .sigmoid()
                .numpy()
                .astype("f4")
            )

    def tiles(self, tiles):
        with torch.no_grad():
            return self.net(torch.from_numpy(tiles).double()[:, None]).sigmoid().numpy().astype("f4")


def standardized(volume, slices):
    part = volume[slice(*slices)].astype("f8")
    out = np.zeros(volume.shape)
    out[slice(*slices)] = (part - part.mean()) / part.std()
    return out.astype("f4")


size = st.integers(1, 40)


@settings(max_examples=25, deadline=None)
@given(
    which=st.sampled_from([0, 1]),
    shape=st.tuples(st.integers(1, 23), size, size),
    chunk=st.tuples(size, size, size),
    block=st.sampled_from([8, 9, 16]),
    sigma=st.sampled_from([0, 0.6, 1.5]),
    cutoff=st.sampled_from([None, 2, 5, 8]),
    seed=st.integers(0, 99),
)
def test_exact_map_is_that_of_one_pass_over_whole_mirrored_slices(
    which, shape, chunk, block, sigma, cutoff, seed
):
    volume = np.random.default_rng(seed).normal(3, 2, shape).astype("f4")
    if volume.size < 4:
        return
    architecture = ARCHITECTURES[which]
    a, h = architecture.alignment, architecture.halo()
    grid, halo = slice_grid(shape, "exact", block, a, h, sigma)
    net = Net(architecture, halo, seed)
    n = shape[0]
    first, stop = (0, n) if cutoff is None or cutoff >= n else (n // 2 - cutoff // 2, n // 2 + cutoff // 2)
    seen = standardized(volume, (first, stop))
    padded = np.pad(seen, [(0, 0), *((h, h + -m % a) for m in shape[1:])], mode="reflect")
    whole = Net(architecture, (0, h, h), seed).core(padded)[:, :, : shape[1], : shape[2]]
    whole[:, :first], whole[:, stop:] = 0, 0
    if sigma:
        whole = gaussian_filter1d(whole, sigma, axis=1)
    stored = zarr.create_array({}, shape=shape, dtype="f4", chunks=tuple(map(min, chunk, shape)))
    stored[:] = volume
    results = []
    for source in (da.from_array(volume, chunks=chunk), stored):
        statistics = slice_statistics(source, (0, n))
        lazy = segment_slices(
            source, net.core, grid, halo, n_classes=architecture.out_classes,
            mean=statistics.mean, std=statistics.std, z_cutoff=cutoff, sigma=sigma,
        )  # fmt: skip
        results.append(lazy.compute(scheduler="sync"))
    np.testing.assert_array_equal(*results)
    np.testing.assert_allclose(results[0].reshape(whole.shape), whole, rtol=0, atol=1e-5)


def test_blocks_of_any_size_give_the_same_map():
    volume = np.random.default_rng(0).normal(size=(31, 60, 70)).astype("f4")
    architecture = ARCHITECTURES[0]
    maps = []
    for block in (8, 12, 40):
        grid, halo = slice_grid(volume.shape, "exact", block, 4, architecture.halo(), 1.2)
        assert grid.core[0] >= 5
        net = Net(architecture, halo)
        maps.append(segment_slices(volume, net.core, grid, halo, sigma=1.2).compute(scheduler="sync"))
    assert len({slice_grid(volume.shape, "exact", b, 4, 28, 1.2)[0].n_blocks for b in (8, 12, 40)}) == 3
    np.testing.assert_allclose(maps[0], maps[1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(maps[0], maps[2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("cutoff", [None, 4])
@pytest.mark.parametrize("shape", [(7, 210, 40), (6, 97, 200)])
def test_deepict_tiling_is_the_originals_whatever_the_blocks(shape, cutoff):
    volume = np.random.default_rng(0).normal(size=shape).astype("f4")
    n = shape[0]
    first, stop = (0, n) if cutoff is None else (n // 2 - 2, n // 2 + 2)
    net = Net(ARCHITECTURES[2], None)

    @functools.cache
    def tile(z, y, x):
        return net.tiles(padded[z][None, None, y : y + 288, x : x + 288])[0, 0, 0, 48:-48, 48:-48]

    seen = standardized(volume, (first, stop))
    # A slice narrower than the inner part of a tile is filled up by mirroring.
    padded = np.pad(seen, [(0, 0), *((48, 48 + max(0, 192 - m)) for m in shape[1:])], mode="reflect")
    expected = np.zeros(shape)
    for z in range(first, stop):
        total, times = np.zeros(padded.shape[1:]), np.zeros(padded.shape[1:])
        for row, column in np.ndindex(5, 5):
            y, x = (int(i * (m - 288) / 4) for i, m in zip((row, column), padded.shape[1:], strict=True))
            total[y + 48 : y + 240, x + 48 : x + 240] += tile(z, y, x)
            times[y + 48 : y + 240, x + 48 : x + 240] += 1
        expected[z] = (total / np.maximum(times, 1))[48 : 48 + shape[1], 48 : 48 + shape[2]]
    for block, sigma in ((208, 0), (8, 0.5)):
        grid, halo = slice_grid(shape, "deepict", block, 4, 28, sigma)
        assert grid.n_blocks == 1 if block == 208 else grid.n_blocks > 1
        lazy = segment_slices(
            da.from_array(volume, chunks=(3, 50, 60)), net.tiles, grid, halo, in_boxes=True,
            mean=float(volume.mean(dtype="f8")), std=float(volume.std(dtype="f8")), z_cutoff=cutoff, sigma=sigma,
        )  # fmt: skip
        smooth = gaussian_filter1d(expected.astype("f4"), sigma, axis=0) if sigma else expected
        np.testing.assert_allclose(lazy.compute(scheduler="sync"), smooth, rtol=0, atol=1e-5)


def test_slices_that_are_not_mapped_are_not_computed():
    seen = []

    def count(block):
        seen.append(len(block))
        return np.ones((1, len(block), 32, 32), "f4")

    volume = np.random.default_rng(0).normal(size=(40, 32, 32)).astype("f4")
    grid, halo = slice_grid(volume.shape, "exact", 8, 4, 28, 0)
    lazy = segment_slices(volume, count, grid, halo, z_cutoff=6)
    result = lazy.compute(scheduler="sync")
    assert sum(seen) == 6
    np.testing.assert_array_equal(np.flatnonzero(result[:, 0, 0]), np.arange(17, 23))


def test_nothing_is_computed_before_it_is_asked_for_and_tasks_per_block_are_bounded():
    def raises(block):
        raise AssertionError("computed")

    source = zarr.create_array({}, shape=(500, 960, 928), dtype="f4", chunks=(50, 96, 96))
    grid, halo = slice_grid(source.shape, "exact", 208, 16, 128, 5)
    assert grid.core == (20, 960, 928) and halo == (0, 128, 128)
    lazy = segment_slices(source, raises, grid, halo, sigma=5, dtype="uint8")
    assert lazy.dtype == np.uint8 and lazy.chunks == grid.chunks
    assert len(dict(lazy.__dask_graph__())) <= 12 * grid.n_blocks


@pytest.mark.parametrize(
    ("shape", "tiling"), [((500, 4096, 4096), "exact"), ((3, 20, 30), "exact"), ((300, 960, 960), "deepict")]
)
def test_blocks_hold_few_voxels_whatever_the_tomogram(shape, tiling):
    grid, halo = slice_grid(shape, tiling, 208, 16, 128, 5)
    core = [min(n, k) for n, k in zip(shape, grid.core, strict=True)]
    assert np.prod(core) <= 3 * 208**3
    assert halo[0] == 0
