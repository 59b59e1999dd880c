"""Mean and standard deviation without what spoils them: numpy on the whole tomogram is the oracle, chunking never shows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.engine.conditioning import condition_lazily, measure
from deepict_dask.engine.execute import execute
from deepict_dask.engine.segment import empty_blocks, segment, segment_grid
from deepict_dask.engine.shown import Holes, conditioned, with_holes
from deepict_dask.engine.spectrum import extract_spectrum, global_statistics

edge = st.sampled_from([7, 13, 30, 41])


def spoiled(shape, seed, dtype):
    """Noise with padding of -77 and some hot voxels."""
    rng = np.random.default_rng(seed)
    volume = rng.normal(10, 5, shape)
    volume[:, :, : shape[2] // 3] = -77
    volume.flat[rng.integers(0, volume.size, 3)] = 30_000
    return volume.astype(dtype)


def by_numpy(volume, clip, value):
    voxels = volume.astype(np.float64).ravel()
    voxels = voxels if value is None else voxels[volume.ravel() != volume.dtype.type(value)]
    low, high = -np.inf, np.inf
    kept = voxels
    for _ in range(3 if clip else 0):
        low = max(low, kept.mean() - clip * kept.std())
        high = min(high, kept.mean() + clip * kept.std())
        kept = voxels[(voxels >= low) & (voxels <= high)]
    return kept


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(edge, edge, edge),
    chunk=st.tuples(edge, edge, edge),
    seed=st.integers(0, 9),
    dtype=st.sampled_from(["i2", "f4", "f8"]),
    clip=st.sampled_from([None, 3.0, 6.0]),
    value=st.sampled_from([None, -77.0]),
    invert=st.booleans(),
)
def test_it_is_numpys_on_the_whole_and_no_bit_depends_on_chunks(
    shape, chunk, seed, dtype, clip, value, invert
):
    volume = spoiled(shape, seed, dtype)
    kept = by_numpy(volume, clip, value)
    asked = {"clip": clip, "ignore_value": value, "invert": invert}
    stored = zarr.array(volume, chunks=chunk)
    shown, statistics, _ = measure(stored, execute, **asked)
    for source in (stored, da.from_array(volume, chunk), da.from_array(volume, -1)):
        assert condition_lazily(source, **asked).compute(scheduler="sync") == (shown, statistics)
    assert statistics.count == kept.size
    sign = -1 if invert else 1
    assert sign * statistics.mean == pytest.approx(kept.mean(), rel=1e-6)
    assert statistics.std == pytest.approx(kept.std(), rel=1e-9)
    # What is shown: limits, holes at the mean, sign.
    seen = conditioned(stored, shown)[...]
    expected = volume.astype(np.float64)
    if clip:
        expected = np.clip(expected, kept.mean() - clip * kept.std(), kept.mean() + clip * kept.std())
    if value is not None:
        expected[volume == value] = kept.mean()
    np.testing.assert_allclose(seen, sign * expected, rtol=1e-6, atol=1e-6)
    assert statistics.minimum == pytest.approx(seen[volume != value].min() if value else seen.min(), rel=1e-6)
    assert statistics.maximum == pytest.approx(seen[volume != value].max() if value else seen.max(), rel=1e-6)
    lazy = conditioned(da.from_array(volume, chunk), shown).compute(scheduler="sync")
    np.testing.assert_array_equal(lazy, seen)


def test_without_settings_the_exact_statistics_stay_bit_for_bit():
    volume = spoiled((30, 41, 50), 1, "f4")
    exact = global_statistics(zarr.array(volume, chunks=(16, 16, 16))).compute(scheduler="sync")
    _, _, (first, _) = measure(volume, execute)
    assert first == exact


class Local:
    """A "network" that says how far a voxel and its neighbor along x are from the mean."""

    def __call__(self, block):
        assert np.isfinite(block).all()
        core = block[4:-4, 4:-4, 4:-4]
        return np.abs(np.tanh(core + block[4:-4, 4:-4, 3:-5]))[None]


@pytest.mark.parametrize("chunk", [(64, 64, 64), (9, 20, 13)])
def test_a_network_sees_nothing_in_holes_and_gives_nothing_there(chunk):
    volume = spoiled((20, 24, 40), 3, "i2")
    volume[:, :, :20] = -77
    stored = zarr.array(volume, chunks=chunk)
    shown, statistics, _ = measure(stored, execute, clip=6, ignore_value=-77)
    grid, halo = segment_grid(volume.shape, "exact", 8, 4, 4)
    lazy, read = (
        segment(s, Local(), grid, halo, mean=statistics.mean, std=statistics.std, shown=shown).compute(
            scheduler="sync"
        )
        for s in (da.from_array(volume, chunk), stored)
    )
    np.testing.assert_array_equal(lazy, read)
    x = (np.clip(volume, shown.low, shown.high) - statistics.mean) / statistics.std
    x[volume == -77] = 0
    x[:, :, 1:] += x[:, :, :-1].copy()
    wanted = np.abs(np.tanh(x))
    wanted[volume == -77] = 0
    np.testing.assert_allclose(read[:, :, 1:], wanted[:, :, 1:], atol=1e-5)
    is_empty = execute(empty_blocks(stored, grid, -77))
    assert [bool((volume[grid.region(i)] == -77).all()) for i in grid] == is_empty
    assert 0 < sum(is_empty) < len(is_empty)


def test_the_spectrum_of_noise_is_that_of_the_part_that_is_no_padding():
    volume = np.random.default_rng(0).normal(3, 2, (64, 96, 200)).astype("f4")
    padded = volume.copy()
    padded[:, :, 90:] = 1e4
    padded[:20, :50] = 1e4
    for convention, tolerance in (("physical", 0.03), ("deepict", 0.1)):
        plain = extract_spectrum(volume, 10.0, convention, window=32).compute(scheduler="sync")
        shown, s, _ = measure(padded, execute, ignore_value=1e4)
        holes = extract_spectrum(
            conditioned(padded, shown), 10.0, convention, window=32, has_holes=True,
            mean=s.mean, minimum=s.minimum, maximum=s.maximum,
        ).compute(scheduler="sync")  # fmt: skip
        factor = 1.0
        if convention == "deepict":
            # By the root of the share that is left; both are scaled to their own range.
            share = (padded != 1e4).mean()
            factor = np.sqrt(share) * (volume.max() - volume.min()) / (s.maximum - s.minimum)
        ratio = holes.amplitude / plain.amplitude / factor
        assert np.median(ratio) == pytest.approx(1, abs=tolerance)


def test_holes_have_their_value_again_in_what_is_made():
    volume = np.arange(24, dtype="f4").reshape(2, 3, 4)
    made = da.from_array(np.full((2, 3, 4), 5, "f4"), (1, 2, 3))
    for source in (volume, da.from_array(volume, (2, 1, 1)), Holes(volume, 5)):
        result = with_holes(made, source, 5).compute(scheduler="sync")
        assert np.array_equal(result == 5, volume == 5)
        np.testing.assert_allclose(result, 5, rtol=1e-6)
