"""Spectrum in 1/A: known amplitudes of noise and waves, and independence of shape and voxel size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.kernels.periodogram import WindowGrid, periodogram_sums, physical_spectrum
from deepict_dask.spectrum import Spectrum


def spectrum(volume: np.ndarray, voxel_size: tuple[float, float, float], edge: int = 16) -> Spectrum:
    grid = WindowGrid(volume.shape, edge)
    starts = tuple(grid.starts(axis) for axis in range(3))
    sums = periodogram_sums(volume, starts, grid.window, volume.mean(), voxel_size)
    return physical_spectrum(sums, volume.shape, grid.window, voxel_size)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 300), edge=st.integers(1, 64))
def test_windows_cover_the_axis_evenly(n, edge):
    grid = WindowGrid((n, 1, 1), edge)
    starts, w = grid.starts(0), grid.window[0]
    assert starts[0] == 0
    assert starts[-1] + w == n
    assert all(0 < b - a <= max(1, 3 * w // 4) for a, b in itertools.pairwise(starts))
    assert list(itertools.chain(*grid.groups(0))) == starts


def test_white_noise_has_its_density_at_every_frequency():
    volume = np.random.default_rng(0).normal(10, 3, (40, 50, 60))
    found = spectrum(volume, (5.0, 5.0, 5.0))
    # Magnitudes of complex Gaussian noise: sqrt(pi) / 2 of the root mean square, 3 * sqrt(5**3).
    wanted = 3 * np.sqrt(5.0**3 * np.pi) / 2
    np.testing.assert_allclose(found.amplitude[2:], wanted, rtol=0.05)
    assert found.frequency[-1] == pytest.approx(1 / (2 * 5.0))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_wave_peaks_at_its_physical_frequency_on_every_axis(axis):
    voxel_size = (20.0, 10.0, 5.0)
    frequency = 1 / 80
    position = np.arange(64) * voxel_size[axis]
    along = [1, 1, 1]
    along[axis] = 64
    wave = np.cos(2 * np.pi * frequency * position).reshape(along)
    volume = np.broadcast_to(wave, (64, 64, 64)) + 1e-3 * np.random.default_rng(0).normal(size=(64, 64, 64))
    found = spectrum(volume, voxel_size, 32)
    peak = found.frequency[np.argmax(found.amplitude * found.frequency**2)]
    assert abs(peak - frequency) <= found.frequency[0]


def test_the_same_field_gives_the_same_amplitudes_at_another_voxel_size():
    rng = np.random.default_rng(3)
    shape = (48, 96, 96)
    transform = np.fft.rfftn(rng.normal(size=shape))
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")))[..., :49]
    field = np.fft.irfftn(
        transform * (radius < 0.2) * (1 + 3 * np.exp(-((radius / 0.08) ** 2))), shape, axes=(0, 1, 2)
    )
    fine, coarse = spectrum(field, (10.0,) * 3, 32), spectrum(field[::2, ::2, ::2], (20.0,) * 3, 16)
    inside = coarse.frequency < 0.016
    at_coarse = np.interp(coarse.frequency[inside], fine.frequency, fine.amplitude)
    np.testing.assert_allclose(coarse.amplitude[inside], at_coarse, rtol=0.06)


def test_half_of_the_frequencies_are_weighted_as_a_full_fft():
    volume = np.random.default_rng(5).normal(size=(5, 6, 7))
    sums = periodogram_sums(volume, ([0], [0], [0]), (5, 6, 7), volume.mean(), (1.0, 1.0, 1.0))
    tapers = [np.hanning(2 * n + 1)[1::2] for n in (5, 6, 7)]
    taper = np.einsum("z,y,x->zyx", *tapers)
    magnitude = np.abs(np.fft.fftn((volume - volume.mean()) * taper)) / np.sqrt((taper**2).sum())
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*map(np.fft.fftfreq, (5, 6, 7)), indexing="ij")))
    shell = np.floor(radius * 7 + 0.5).astype(int)
    for k in range(sums.shape[1]):
        assert sums[1, k] == (shell == k).sum()
        np.testing.assert_allclose(sums[0, k], magnitude[shell == k].sum(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 3, 40), (1, 1, 9), (2, 2, 2)])
def test_thin_tomograms_have_finite_spectra(shape):
    found = spectrum(np.random.default_rng(1).normal(size=shape), (10.0, 10.0, 3.0))
    assert len(found.frequency) >= 1
    assert (found.amplitude > 0).all()
    assert (np.diff(found.frequency) > 0).all()


def test_empty_shells_are_interpolated():
    sums = np.array([[9.0, 2.0, 0.0, 8.0], [1.0, 1.0, 0.0, 2.0]])
    found = physical_spectrum(sums, (6, 6, 6), (6, 6, 6), (1.0, 1.0, 1.0))
    np.testing.assert_allclose(found.amplitude, [2, 3, 4])
