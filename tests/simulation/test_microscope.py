"""The microscope obeys textbook physics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from deepict_dask.simulation import CellSettings
from deepict_dask.simulation.microscope import (
    contrast_transfer,
    image_cell,
    interaction_constant,
    project,
    projection_matrix,
    reconstruct,
    wavelength,
)

SHAPE = (24, 40, 56)
PLAIN = CellSettings(
    shape=SHAPE,
    dose=math.inf,
    b_factor=0,
    spherical_aberration=0,
    amplitude_contrast=0,
    phase_shift=90,
    defocus=0,
)


def optics(**changes: Any) -> CellSettings:
    return CellSettings(**{**PLAIN.__dict__, **changes})


def white(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def blob(center: tuple[float, float, float], sigma: float = 3.0) -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    r2 = (z - center[0]) ** 2 + (y - center[1]) ** 2 + (x - center[2]) ** 2
    return np.asarray(np.exp(-r2 / (2 * sigma**2)), np.float32)


def spectrum(volume: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Amplitudes of the windowed volume, and the frequencies in cycles per voxel."""
    windows = [np.hanning(n + 2)[1:-1] for n in volume.shape]
    tapered = volume * windows[0][:, None, None] * windows[1][:, None] * windows[2]
    return np.abs(np.fft.fftn(tapered)), list(np.meshgrid(*map(np.fft.fftfreq, volume.shape), indexing="ij"))


@pytest.mark.parametrize("voltage", [120.0, 200.0, 300.0])
def test_wavelength_agrees_with_the_handbook_formula(voltage: float) -> None:
    volts = voltage * 1e3
    assert wavelength(voltage) == pytest.approx(
        12.2643 / math.sqrt(volts * (1 + 0.978476e-6 * volts)), rel=1e-4
    )


def test_interaction_constant_agrees_with_kirkland() -> None:
    # Kirkland, Advanced Computing in Electron Microscopy: sigma = 0.6526 rad / (V nm) * 1e-2 at 300 kV
    assert interaction_constant(300) == pytest.approx(6.526e-4, rel=1e-3)


@pytest.mark.parametrize("defocus", [2.0, 5.0])
def test_transfer_is_zero_where_the_path_difference_is_whole_half_waves(defocus: float) -> None:
    n = np.arange(1, 6)
    zeros = np.sqrt(n / (12.2643 / math.sqrt(3e5 * (1 + 0.978476e-6 * 3e5)) * defocus * 1e4))
    settings = optics(defocus=defocus, phase_shift=0)
    assert np.abs(contrast_transfer(zeros, settings)).max() < 2e-3
    assert np.abs(contrast_transfer((zeros[1:] + zeros[:-1]) / 2, settings)).min() > 0.9


def test_transfer_at_zero_frequency_is_the_amplitude_contrast_or_full_with_a_phase_plate() -> None:
    assert contrast_transfer(np.zeros(1), optics(phase_shift=0, amplitude_contrast=0.07)) == pytest.approx(
        0.07
    )
    assert contrast_transfer(np.zeros(1), optics(phase_shift=90)) == pytest.approx(1.0)


def test_spherical_aberration_counteracts_underfocus() -> None:
    # chi vanishes again where pi lam dz k^2 = pi/2 Cs lam^3 k^4
    settings = optics(defocus=1.0, spherical_aberration=2.7, phase_shift=0)
    k = math.sqrt(2 * 1e4 / (2.7e7 * wavelength(300) ** 2))
    assert abs(contrast_transfer(np.array([k]), settings)[0]) < 1e-6


def test_untilted_projection_is_the_sum_over_z_and_a_right_angle_the_sum_over_x() -> None:
    volume = white()
    n_z, _, n_x = SHAPE
    images = project(volume, projection_matrix(n_z, n_x, (0.0, 90.0), n_x, mirror=False), 2)
    np.testing.assert_allclose(images[0], volume.sum(axis=0).T, atol=1e-4)
    low = (n_x - n_z) // 2
    np.testing.assert_allclose(images[1, low : low + n_z], volume.sum(axis=2), atol=1e-3)


def test_projection_puts_a_point_where_the_rotation_says() -> None:
    volume = np.zeros(SHAPE, np.float32)
    volume[4, 9, 40] = 1
    tilt = 30.0
    image = project(volume, projection_matrix(24, 56, (tilt,), 64, mirror=False), 1)[0]
    u = (40 - 27.5) * math.cos(math.radians(tilt)) + (4 - 11.5) * math.sin(math.radians(tilt)) + 31.5
    assert image.sum() == pytest.approx(1)
    assert (image[:, 9] * np.arange(64)).sum() == pytest.approx(u, abs=1e-4)


@pytest.mark.parametrize("tilt", [-60.0, 0.0, 33.0, 60.0])
def test_a_uniform_lamella_is_seen_to_go_on_at_every_tilt(tilt: float) -> None:
    slab = np.ones(SHAPE, np.float32)
    image = project(slab, projection_matrix(24, 56, (tilt,), 70, mirror=True), 1)[0]
    # Aliasing of single pixels apart, the path through the slab is its thickness / cos.
    smooth = np.convolve(image[:, 0], np.ones(10) / 10, "valid")
    np.testing.assert_allclose(smooth, 24 / math.cos(math.radians(tilt)), rtol=0.03)


def test_tilts_all_around_give_the_volume_back() -> None:
    volume = blob((12, 18, 33))
    tilts = tuple(np.arange(-90.0, 90.0, 2.0))
    images = project(volume, projection_matrix(24, 56, tilts, 64, mirror=False), len(tilts))
    back = reconstruct(images, tilts, SHAPE)
    assert np.abs(back - volume).max() < 0.06


def test_the_missing_wedge_is_empty() -> None:
    tomogram = image_cell(white(), PLAIN, np.random.default_rng(0))
    amplitude, (k_z, k_y, k_x) = spectrum(tomogram)
    k = np.sqrt(k_z**2 + k_y**2 + k_x**2)
    angle = np.degrees(np.arctan2(np.abs(k_z), np.abs(k_x)))
    band = (k > 0.1) & (k < 0.3) & (np.hypot(k_z, k_x) > 0.1)
    inside, outside = amplitude[band & (angle > 70)].mean(), amplitude[band & (angle < 50)].mean()
    assert inside < 0.05 * outside


def test_the_wedge_closes_with_more_tilts() -> None:
    amplitude, (k_z, _, k_x) = spectrum(image_cell(white(), optics(max_tilt=84), np.random.default_rng(0)))
    angle = np.degrees(np.arctan2(np.abs(k_z), np.abs(k_x)))
    k = np.hypot(k_z, k_x)
    band = (k > 0.1) & (k < 0.3)
    assert amplitude[band & (angle > 70) & (angle < 80)].mean() > 0.5 * amplitude[band & (angle < 50)].mean()


def test_the_tomogram_is_dark_in_the_rings_where_transfer_is_zero() -> None:
    shape = (8, 128, 128)
    settings = optics(shape=shape, defocus=8.0, phase_shift=0)
    tomogram = image_cell(white(3, shape), settings, np.random.default_rng(0))
    amplitude, (_, k_y, k_x) = (
        a if isinstance(a, np.ndarray) else [b[0] for b in a] for a in spectrum(tomogram)
    )
    k = np.hypot(k_y, k_x) / settings.voxel_size
    zero = math.sqrt(1 / (wavelength(300) * 8e4))
    # Rings of the section at k_z = 0, which the specimen's tilts all contain only along k_y.
    along_y = np.abs(k_x) < 0.02
    at_zero = amplitude[0][along_y & (np.abs(k - zero) < 0.0006)].mean()
    at_peak = amplitude[0][along_y & (np.abs(k - zero / math.sqrt(2)) < 0.0006)].mean()
    assert at_zero < 0.15 * at_peak


def test_density_is_dark_and_stays_in_place() -> None:
    center = (10, 25, 20)
    tomogram = image_cell(blob(center), PLAIN, np.random.default_rng(0))
    assert tuple(map(int, np.unravel_index(tomogram.argmin(), SHAPE))) == center
    assert -tomogram.min() > 3 * tomogram.max()


def test_contrast_is_twice_the_phase() -> None:
    settings = optics(max_tilt=0)
    tomogram = image_cell(blob((11, 20, 28)), settings, np.random.default_rng(0))
    images = -2 * interaction_constant(300) * settings.voxel_size * blob((11, 20, 28)).sum(axis=0)
    images -= images.mean()
    # One tilt: every section is the ramp-weighted image times the angular step, here pi.
    expected = reconstruct(images.T[None].astype(np.float32), (0.0,), SHAPE)
    assert np.corrcoef(tomogram.ravel(), expected.ravel())[0, 1] > 0.99
    assert np.ptp(tomogram) == pytest.approx(np.ptp(expected), rel=0.05)


def test_four_times_the_dose_halves_the_noise() -> None:
    volume = blob((11, 20, 28))
    clean = image_cell(volume, PLAIN, np.random.default_rng(0))
    noise = [
        (image_cell(volume, optics(dose=dose), np.random.default_rng(5)) - clean).std()
        for dose in (20.0, 80.0)
    ]
    assert noise[0] == pytest.approx(2 * noise[1], rel=1e-3)


def test_noise_has_the_power_that_the_counted_electrons_leave() -> None:
    # An empty specimen, one tilt: noise of variance 1 / counts, weighted by the ramp.
    settings = optics(max_tilt=0, dose=10.0, detective_efficiency=0.5)
    tomogram = image_cell(np.zeros(SHAPE, np.float32), settings, np.random.default_rng(1))
    counts = 10 * 0.5 * 13.48**2 * math.exp(-24 * 13.48 / 3000)
    k = np.abs(np.fft.fftfreq(4096))
    ramp = k * np.exp(-0.5 * (np.maximum(k - 0.35, 0) / 0.05) ** 2)
    expected = math.pi * math.sqrt((ramp**2).mean() / counts)
    assert tomogram.std() == pytest.approx(expected, rel=0.05)
