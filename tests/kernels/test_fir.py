"""The compact kernel: exact on a block, and its finite support costs what is predicted."""

from __future__ import annotations

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter

from deepict_dask.kernels.fir import choose_halo, filter_block, fir_kernel, halo_voxels, truncation_error
from deepict_dask.kernels.periodogram import WindowGrid, periodogram_sums, physical_spectrum, radial_frequency
from deepict_dask.kernels.physical_gain import Gain, physical_gain
from deepict_dask.spectrum import Spectrum


def spectrum_of(volume: np.ndarray, voxel_size: tuple[float, float, float]) -> Spectrum:
    grid = WindowGrid(volume.shape)
    starts = tuple(grid.starts(axis) for axis in range(3))
    sums = periodogram_sums(volume, starts, grid.window, volume.mean(dtype=np.float64), voxel_size)
    return physical_spectrum(sums, volume.shape, grid.window, voxel_size)


def whole_volume(volume: np.ndarray, gain: Gain) -> np.ndarray:
    """Apply the gain to the mirrored tomogram by one FFT over its period, without any cut in space."""
    mean = volume.mean(dtype=np.float64)
    mirrored = np.pad(volume - mean, [(0, max(0, n - 2)) for n in volume.shape], mode="reflect")
    transform = np.fft.rfftn(mirrored) * gain(radial_frequency(mirrored.shape, gain.voxel_size))
    filtered = np.fft.irfftn(transform, mirrored.shape, axes=(0, 1, 2))
    return filtered[tuple(slice(n) for n in volume.shape)] + mean


def by_blocks(volume: np.ndarray, gain: Gain, halo: tuple[int, int, int]) -> np.ndarray:
    padded = np.pad(volume, [(h, h) for h in halo], mode="reflect")
    return filter_block(padded, gain, halo, volume.mean(dtype=np.float64))


def relative(difference: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt((difference.astype(float) ** 2).mean()) / wanted.astype(float).std())


def random_gain(seed: int, voxel_size: tuple[float, float, float], spread: float = 1.5) -> Gain:
    rng = np.random.default_rng(seed)
    log_gain = gaussian_filter(rng.normal(0, spread, 32), 2, mode="reflect")
    frequency = np.arange(1, 33) / (64 * max(voxel_size))
    return Gain(tuple(frequency), tuple(np.exp(log_gain)), voxel_size)


@pytest.mark.parametrize("shape", [(5, 4, 3), (1, 6, 2)])
def test_a_block_is_convolved_with_the_kernel(shape):
    halo = (3, 4, 5)
    gain = random_gain(1, (10.0, 9.0, 8.0))
    block = np.random.default_rng(0).normal(100, 2, [n + 2 * h for n, h in zip(shape, halo, strict=True)])
    core = tuple(slice(h, h + n) for h, n in zip(halo, shape, strict=True))
    wanted = convolve(block - 100, fir_kernel(gain, halo), mode="constant")[core] + 100
    np.testing.assert_allclose(filter_block(block, gain, halo, 100.0), wanted, rtol=1e-6)


def test_kernel_is_symmetric_and_ends_within_the_halo():
    gain = random_gain(2, (20.0, 10.0, 10.0))
    halo = halo_voxels(gain.voxel_size, 6)
    assert halo == (6, 12, 12)
    kernel = fir_kernel(gain, halo)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1, ::-1], atol=1e-15)
    z, y, x = (np.arange(-h, h + 1) * v for h, v in zip(halo, gain.voxel_size, strict=True))
    r = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    assert (kernel[r >= 140] == 0).all()
    assert np.abs(kernel[r < 135]).max() > 0


def test_kernel_is_isotropic_in_angstrom():
    gain = random_gain(2, (20.0, 10.0, 10.0))
    kernel = fir_kernel(gain, (12, 24, 24))
    # 2 voxels along z are 4 along x; the density of samples differs by the voxel size alone. Compared
    # where neither axis aliases, with a gain that is low-pass.
    soft = Gain(gain.frequency, tuple(np.exp(-((np.array(gain.frequency) / 0.008) ** 2))), gain.voxel_size)
    kernel = fir_kernel(soft, (12, 24, 24))
    np.testing.assert_allclose(kernel[12:, 24, 24], kernel[12, 24, 24::2], atol=0.01 * kernel.max())


def test_gain_of_one_changes_nothing():
    volume = np.random.default_rng(0).normal(3, 1, (20, 21, 22)).astype(np.float32)
    one = Gain((0.01, 0.05), (1.0, 1.0), (10.0, 10.0, 10.0))
    np.testing.assert_allclose(by_blocks(volume, one, (8, 8, 8)), volume, rtol=1e-6, atol=1e-6)
    assert truncation_error(one, spectrum_of(volume, (10.0,) * 3), (8, 8, 8)) < 1e-9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("voxel_size", [(10.0, 10.0, 10.0), (15.0, 10.0, 10.0)])
def test_error_against_the_whole_volume_is_what_is_predicted(seed, voxel_size):
    volume = gaussian_filter(np.random.default_rng(seed).normal(size=(48, 70, 61)), 1.2) + 2
    gain = random_gain(seed, voxel_size)
    wanted = whole_volume(volume, gain)
    halo = halo_voxels(voxel_size, 12)
    true = relative(by_blocks(volume, gain, halo) - wanted, wanted)
    predicted = truncation_error(gain, spectrum_of(volume, voxel_size), halo)
    assert true == pytest.approx(predicted, rel=0.6, abs=2e-4)


@pytest.mark.parametrize("seed", range(4))
def test_default_halo_costs_at_most_half_a_percent_for_smooth_gains(seed):
    volume = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64, 80)), 0.8)
    gain = random_gain(seed, (10.0,) * 3)
    wanted = whole_volume(volume, gain)
    assert relative(by_blocks(volume, gain, halo_voxels(gain.voxel_size)) - wanted, wanted) <= 0.005


def test_halo_grows_until_the_error_is_small_enough():
    volume = np.random.default_rng(0).normal(size=(64, 64, 64))
    spectrum = spectrum_of(volume, (10.0,) * 3)
    frequency = np.arange(1, 33) / 640
    ringing = Gain(tuple(frequency), tuple(1 + 0.1 * np.cos(2 * np.pi * frequency * 290)), (10.0,) * 3)
    halo, error = choose_halo(ringing, spectrum)
    assert halo[0] > 24
    assert error <= 0.005 < truncation_error(ringing, spectrum, (24, 24, 24))
    _, hopeless = choose_halo(ringing, spectrum, limit=0.0)
    assert hopeless > 0


@pytest.mark.parametrize("cutoff", [None, 60.0])
def test_phantoms_are_equalized_within_half_a_percent_of_the_whole_volume(shared, cutoff):
    folder = shared / "data" / "phantom"
    source, target = (
        mrcfile.read(folder / name / "tomogram.mrc.gz")[:64, :160, :160].astype(np.float32)
        for name in ("TS_015", "TS_011")
    )
    spectrum = spectrum_of(source, (13.48,) * 3)
    gain = physical_gain(spectrum, spectrum_of(target, (13.48,) * 3), cutoff)
    halo, predicted = choose_halo(gain, spectrum)
    assert halo == (24, 24, 24)
    wanted = whole_volume(source, gain)
    assert relative(by_blocks(source, gain, halo) - wanted, wanted) <= 0.005
    assert predicted <= 0.005
