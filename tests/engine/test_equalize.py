"""Equalization of whole tomograms: chunking must not show, spectra must match, the original come out."""

from __future__ import annotations

import dataclasses
import math

import dask
import dask.array as da
import mrcfile
import numpy as np
import pytest
import zarr
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from deepict_dask.engine.equalize import equalize_deepict, equalize_physical
from deepict_dask.engine.spectrum import extract_spectrum
from deepict_dask.errors import InputError
from deepict_dask.geometry import block_grid
from deepict_dask.kernels.physical_gain import Gain, physical_gain
from deepict_dask.spectrum import Spectrum

edge = st.sampled_from([1, 2, 7, 13, 24, 31])
chunk_edge = st.sampled_from([6, 7, 13, 31])
shapes = st.tuples(edge, edge, edge).filter(lambda s: max(s) > 2)
GAIN = Gain(
    tuple(np.arange(1, 9) / 160),
    (0.5, 0.8, 1.2, 2.0, 2.2, 1.5, 1.0, 0.7),
    (10.0, 10.0, 10.0),
    cutoff=25,
    edge=0.02,
)


def volume_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(4, 2, shape).astype(np.float32)


def sources_of(volume: np.ndarray, chunk: tuple[int, ...]) -> list:
    return [da.from_array(volume, -1), da.from_array(volume, chunk), zarr.array(volume, chunks=chunk)]


@settings(max_examples=10, deadline=None)
@given(shape=shapes, chunk=st.tuples(chunk_edge, chunk_edge, chunk_edge), core=st.integers(9, 20))
def test_physical_equalization_does_not_show_the_chunking(shape, chunk, core):
    volume = volume_of(shape)
    mean = float(volume.mean(dtype=np.float64))
    grid = block_grid(shape, core, at_least=5)
    default = [equalize_physical(s, GAIN, mean, halo=5).compute() for s in sources_of(volume, chunk)]
    blocks = [
        equalize_physical(s, GAIN, mean, halo=5, grid=grid).compute() for s in sources_of(volume, chunk)
    ]
    for result in default[1:]:
        np.testing.assert_array_equal(result, default[0])
    for result in blocks:
        np.testing.assert_array_equal(result, blocks[0])
        np.testing.assert_allclose(result, default[0], rtol=1e-5, atol=1e-5)
    assert default[0].dtype == np.float32
    assert np.isfinite(default[0]).all()


@settings(max_examples=15, deadline=None)
@given(shape=shapes, chunk=st.tuples(chunk_edge, chunk_edge, chunk_edge), large=st.sampled_from([1, 2**27]))
def test_deepict_equalization_does_not_show_the_chunking(shape, chunk, large):
    volume = volume_of(shape)
    target = Spectrum("deepict", np.arange(20.0), np.linspace(50, 1, 20))
    one, *others = (
        equalize_deepict(s, target, 9, 3, large=large).compute() for s in sources_of(volume, chunk)
    )
    for other in others:
        np.testing.assert_array_equal(other, one)
    assert np.isfinite(one).all()


@pytest.mark.parametrize("shape", [(20, 31, 17), (3, 40, 8), (37, 2, 11)])
def test_pieces_give_what_one_task_gives(shape):
    volume = volume_of(shape)
    target = Spectrum("deepict", np.arange(20.0), np.linspace(50, 1, 20))
    wanted = equalize_deepict(volume, target).compute()
    for source in sources_of(volume, (7, 9, 8)):
        found = equalize_deepict(source, target, large=1).compute()
        np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max(), rtol=1e-6)


@pytest.mark.parametrize(("name", "low_pass"), [("matched", ()), ("matched_lowpass", (40, 10))])
def test_matched_tomograms_of_the_original_come_out(shared, name, low_pass):
    folder = shared / "reference" / "equalize"
    volume, wanted = mrcfile.read(folder / "defocus.mrc"), mrcfile.read(folder / f"{name}.mrc")
    amplitude = np.loadtxt(folder / "target_spectrum.tsv", skiprows=1)[:, 1]
    target = Spectrum("deepict", np.arange(float(len(amplitude))), amplitude)
    stored = zarr.array(volume, chunks=(32, 32, 32))
    np.testing.assert_array_equal(equalize_deepict(stored, target, *low_pass).compute(), wanted)
    for settings_ in ({"large": 1}, {"exact": False}):
        found = equalize_deepict(stored, target, *low_pass, **settings_).compute()
        difference = np.linalg.norm((found - wanted).astype(float)) / np.linalg.norm(wanted.astype(float))
        assert difference <= 1e-5


def test_a_tomogram_equalized_to_itself_stays_as_it_is():
    volume = gaussian_filter(volume_of((40, 50, 60)), 1)
    spectrum = extract_spectrum(volume, 10.0).compute()
    result = equalize_physical(volume, physical_gain(spectrum, spectrum)).compute()
    np.testing.assert_allclose(result, volume, rtol=1e-6, atol=1e-6)


def test_the_result_has_the_target_s_spectrum_and_the_input_s_mean():
    rng = np.random.default_rng(0)
    volume = gaussian_filter(rng.normal(size=(64, 96, 96)), 0.7) + 30
    other = gaussian_filter(rng.normal(size=(96, 64, 80)), 1.1) * 5
    spectrum, target = (extract_spectrum(v, 10.0).compute() for v in (volume, other))
    result = equalize_physical(volume, physical_gain(spectrum, target, smooth=1)).compute()
    found = extract_spectrum(result, 10.0).compute()
    inside = (found.frequency > 0.004) & (target.amplitude > 0.01 * target.amplitude.max())
    assert inside.sum() > 10
    np.testing.assert_allclose(found.amplitude[inside], target.amplitude[inside], rtol=0.06)
    assert result.mean() == pytest.approx(volume.mean(), abs=0.02)


def test_tomograms_of_other_voxel_size_are_matched_in_angstrom_and_not_by_index():
    rng = np.random.default_rng(1)
    fine = gaussian_filter(rng.normal(size=(96, 96, 96)), 2.5, mode="wrap")
    coarse = np.asarray(fine[::2, ::2, ::2])  # the same field, at twice the voxel size
    spectrum, target = extract_spectrum(coarse, 20.0, window=16), extract_spectrum(fine, 10.0, window=32)
    gain = physical_gain(spectrum.compute(), target.compute())
    inside = np.asarray(gain.frequency) < 0.015
    np.testing.assert_allclose(np.asarray(gain.value)[inside], 1, atol=0.03)


def test_everything_may_be_lazy():
    volume = volume_of((30, 40, 50))
    stored = zarr.array(volume, chunks=(16, 16, 16))
    with dask.config.set(scheduler=_refuse):
        spectrum = extract_spectrum(stored, 10.0)
        target = delayed(lambda s: dataclasses.replace(s, amplitude=s.amplitude * np.exp(-30 * s.frequency)))(
            spectrum
        )
        gain = delayed(physical_gain)(spectrum, target)
        lazy = [equalize_physical(s, gain, halo=8) for s in (stored, da.from_array(volume, (16, 30, 17)))]
        by_index = extract_spectrum(stored, None, "deepict")
        original = [equalize_deepict(stored, by_index, large=n) for n in (1, 2**27)]
    wanted = equalize_physical(stored, gain.compute(), volume.mean(dtype=np.float64), halo=8).compute()
    for array in lazy:
        np.testing.assert_array_equal(array.compute(), wanted)
    for array in original:
        scaled = (volume - volume.min()) / (volume.max() - volume.min())
        assert np.corrcoef(array.compute().ravel(), scaled.ravel())[0, 1] > 0.5


def test_a_stored_block_takes_one_task():
    stored = zarr.zeros((300, 300, 300), chunks=(64, 64, 64), dtype="f4")
    lazy = equalize_physical(stored, GAIN, 0.0)
    assert len(lazy.__dask_graph__()) <= math.prod(lazy.numblocks) + 2
    target = Spectrum("deepict", np.arange(20.0), np.ones(20))
    assert len(equalize_deepict(stored, target).__dask_graph__()) <= 3


def test_each_column_of_a_large_tomogram_is_transformed_once():
    calls = []
    volume = volume_of((16, 20, 12))

    def seen(block):
        calls.append(block.shape)
        return block

    source = da.from_array(volume, (8, 20, 12)).map_blocks(
        seen, dtype=np.float32, meta=np.empty((0, 0, 0), "f4")
    )
    target = Spectrum("deepict", np.arange(20.0), np.ones(20))
    equalize_deepict(source, target, minimum=-5, maximum=14, large=1).compute(scheduler="synchronous")
    assert len(calls) == 2


def test_a_spectrum_of_the_other_convention_is_refused():
    flat = Spectrum("physical", np.arange(1, 5) / 80, np.ones(4), (10.0,) * 3)
    with pytest.raises(InputError, match='"deepict"'):
        equalize_deepict(np.ones((4, 4, 4)), flat)


@pytest.mark.parametrize("convention", ["physical", "deepict"])
def test_thin_tomograms_of_anisotropic_voxels_give_no_nan(convention):
    volume = volume_of((2, 9, 9))
    if convention == "physical":
        spectrum = extract_spectrum(volume, (10.0, 5.0, 5.0)).compute()
        result = equalize_physical(volume, physical_gain(spectrum, spectrum, cutoff=30)).compute()
    else:
        result = equalize_deepict(volume, extract_spectrum(volume, None, "deepict").compute()).compute()
    assert result.shape == volume.shape
    assert np.isfinite(result).all()


def _refuse(*_args, **_kwargs):
    raise AssertionError("computed while the graph was built")
