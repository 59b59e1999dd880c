"""Look at a specimen: tilt series, contrast transfer, counting noise, weighted back-projection.

The model, in the order in which a voxel meets it:

1. Projection. The lamella is tilted about the y axis; an offset (x, z) from the center of rotation
   falls on the detector at u = x cos(tilt) + z sin(tilt), shared between the two nearest pixels. Beyond the
   tomogram the lamella goes on in x as its mirror image, so that high tilts see as much
   material as they would in a real one.
2. Contrast. A weak phase object: the relative change of intensity is -2 CTF * sigma * (projected potential),
   with the interaction constant sigma, hence dark density at underfocus. The defocus is that
   of the tilt axis everywhere; its change across 100 nm matters far beyond the voxel's Nyquist.
3. Counting. Each tilt gets an equal part of the dose; inelastic scattering takes away exp(-path / 300 nm) of the
   electrons, so noise grows with the tilt. Counts are many, so Poisson noise is drawn as Gaussian.
4. Reconstruction. Every image is weighted by its frequency across the tilt axis, up to 0.35 cycles per voxel
   and smoothly less beyond, and smeared back over the voxels. Tilts that were not taken leave the missing wedge.

Left out: multiple scattering, radiation damage, misalignment, beam-induced motion.

References
----------
Relativistic electrons and CTF: Williams & Carter, Transmission Electron Microscopy, 2nd ed., ch. 1, 6 and 28.
Weighted back-projection: Radermacher, in Frank (ed.), Electron Tomography, 2nd ed., ch. 8.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.sparse
from scipy import constants

from deepict_dask.geometry import reflect_indices
from deepict_dask.simulation.settings import CellSettings

MEAN_FREE_PATH = 3000.0
"""Of inelastic scattering in vitreous ice at 300 kV, angstrom."""
BORDER = 16
"""Pixels added around an image while it is filtered, so that its edges do not meet."""
RAMP_CUTOFF, RAMP_FALLOFF = 0.35, 0.05
"""End of the straight ramp, and width of the Gaussian after it, in cycles per voxel."""


def wavelength(voltage: float) -> float:
    """Give the electrons' relativistic wavelength in angstrom at a voltage in kV.

    >>> round(wavelength(300), 5)
    0.01969
    """
    energy = voltage * 1e3 * constants.e
    rest = constants.m_e * constants.c**2
    return float(constants.h * constants.c / np.sqrt(energy * (energy + 2 * rest)) * 1e10)


def interaction_constant(voltage: float) -> float:
    """Give the phase in radian per volt and angstrom that electrons at a voltage in kV gain.

    >>> round(interaction_constant(300) * 1e4, 3)  # 6.5 rad / (kV nm)
    6.526
    """
    gamma = 1 + voltage * 1e3 * constants.e / (constants.m_e * constants.c**2)
    mass = gamma * constants.m_e
    return float(2 * np.pi * mass * constants.e * (wavelength(voltage) * 1e-10) / constants.h**2 * 1e-10)


def contrast_transfer(frequency: np.ndarray, settings: CellSettings) -> np.ndarray:
    """Evaluate the contrast transfer function, envelope included.

    Parameters
    ----------
    frequency : numpy.ndarray
        1/angstrom, any shape.
    settings : CellSettings
        Of the microscope.

    Returns
    -------
    numpy.ndarray
        In [-1, 1]; above 0 where density comes out dark.
    """
    k2 = np.asarray(frequency, float) ** 2
    lam = wavelength(settings.voltage)
    chi = np.pi * lam * settings.defocus * 1e4 * k2
    chi -= np.pi / 2 * settings.spherical_aberration * 1e7 * lam**3 * k2**2
    chi += np.radians(settings.phase_shift) + np.arcsin(settings.amplitude_contrast)
    return np.sin(chi) * np.exp(-settings.b_factor * k2 / 4)


def image_cell(density: np.ndarray, settings: CellSettings, rng: np.random.Generator) -> np.ndarray:
    """Record a tilt series of a specimen and reconstruct a tomogram from it.

    Parameters
    ----------
    density : numpy.ndarray of float32, (z, y, x)
        Inner potential above that of ice, volts.
    settings : CellSettings
        Of the microscope.
    rng : numpy.random.Generator
        For the noise.

    Returns
    -------
    numpy.ndarray of float32, (z, y, x)
        Relative change of intensity per voxel; density is dark.
    """
    n_z, n_y, n_x = density.shape
    # What the tomogram's corners need at any tilt, and no more.
    width = int(np.ceil(np.hypot(n_x, n_z))) + 2
    # Of the same parity as the tomogram, or the untilted image would be blurred by half a pixel.
    width += (width - n_x) % 2
    matrix = projection_matrix(n_z, n_x, settings.tilts, width + 2 * BORDER, mirror=True)
    phase = interaction_constant(settings.voltage) * settings.voxel_size
    images = phase * project(density, matrix, len(settings.tilts))
    images = _expose(images, settings, rng)[:, BORDER:-BORDER]
    return reconstruct(images, settings.tilts, (n_z, n_y, n_x))


def projection_matrix(
    n_z: int, n_x: int, tilts: tuple[float, ...], width: int, *, mirror: bool
) -> scipy.sparse.csr_array:
    """Build the sparse matrix that projects a (z, x) section onto a line detector at every tilt.

    Its transpose is back-projection with linear interpolation.

    Parameters
    ----------
    n_z, n_x : int
        The section, voxels. The center of rotation is its middle.
    tilts : tuple of float
        Degrees.
    width : int
        Pixels of the detector, its middle on the axis of rotation.
    mirror : bool
        Let the section go on in x as its mirror image, as far as the detector sees at any tilt.

    Returns
    -------
    scipy.sparse.csr_array of float32, shape (len(tilts) * width, n_z * n_x)
    """
    z = np.arange(n_z) - (n_z - 1) / 2
    rows, columns, values = [], [], []
    for i, tilt in enumerate(np.radians(tilts)):
        extra = 0
        if mirror and np.cos(tilt) > 0.01:
            half = (width / 2 + n_z / 2 * abs(np.sin(tilt))) / np.cos(tilt)
            extra = max(0, int(np.ceil(half - n_x / 2)))
        x = np.arange(-extra, n_x + extra) - (n_x - 1) / 2
        voxel = np.arange(n_z)[:, None] * n_x + reflect_indices(-extra, n_x + extra, n_x)
        u = x * np.cos(tilt) + z[:, None] * np.sin(tilt) + (width - 1) / 2
        left = np.floor(u).astype(np.int64)
        right_share = u - left
        for pixel, share in ((left, 1 - right_share), (left + 1, right_share)):
            is_inside = (pixel >= 0) & (pixel < width)
            rows.append(i * width + pixel[is_inside])
            columns.append(voxel[is_inside])
            values.append(share[is_inside].astype(np.float32))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_array(scipy.sparse.coo_array(entries, shape=(len(tilts) * width, n_z * n_x)))


def project(density: np.ndarray, matrix: scipy.sparse.csr_array, n_tilts: int) -> np.ndarray:
    """Project a volume (z, y, x) with a matrix of ``projection_matrix``: float32 (tilt, u, y)."""
    n_z, n_y, n_x = density.shape
    sections = np.ascontiguousarray(density.transpose(0, 2, 1), np.float32).reshape(n_z * n_x, n_y)
    return np.asarray(matrix @ sections).reshape(n_tilts, -1, n_y)


def reconstruct(images: np.ndarray, tilts: tuple[float, ...], shape: tuple[int, int, int]) -> np.ndarray:
    """Reconstruct a tomogram by weighted back-projection.

    Parameters
    ----------
    images : numpy.ndarray of float32, (tilt, u, y)
        Aligned; the middle of u is the tilt axis.
    tilts : tuple of float
        Degrees, equally spaced.
    shape : (int, int, int)
        Of the tomogram, (z, y, x) voxels.

    Returns
    -------
    numpy.ndarray of float32, (z, y, x)
        Per voxel, so that tilts all around give back the volume that was projected.
    """
    n_z, n_y, n_x = shape
    width = images.shape[1]
    pad = min(4 * BORDER, width - 1)
    padded = np.pad(images, ((0, 0), (pad, pad), (0, 0)), mode="reflect")
    k = np.abs(scipy.fft.rfftfreq(padded.shape[1]))
    ramp = k * np.exp(-0.5 * (np.maximum(k - RAMP_CUTOFF, 0) / RAMP_FALLOFF) ** 2)
    spectrum = scipy.fft.rfft(padded, axis=1) * ramp[:, None].astype(np.float32)
    weighted = scipy.fft.irfft(spectrum, padded.shape[1], axis=1)[:, pad : pad + width]
    step = np.radians(tilts[1] - tilts[0]) if len(tilts) > 1 else np.pi
    matrix = projection_matrix(n_z, n_x, tilts, width, mirror=False)
    sections = (matrix.T @ weighted.reshape(-1, n_y)).reshape(n_z, n_x, n_y)
    return np.ascontiguousarray(sections.transpose(0, 2, 1) * np.float32(step), np.float32)


def _expose(phase: np.ndarray, settings: CellSettings, rng: np.random.Generator) -> np.ndarray:
    """Turn projected phases (tilt, u, y) into relative changes of intensity, counting noise included."""
    n_y = phase.shape[2]
    pad = min(BORDER, n_y - 1)
    padded = np.pad(phase, ((0, 0), (0, 0), (pad, pad)), mode="reflect")
    size = padded.shape[1:]
    k_u = scipy.fft.fftfreq(size[0], settings.voxel_size)[:, None]
    k_y = scipy.fft.rfftfreq(size[1], settings.voxel_size)
    transfer = contrast_transfer(np.hypot(k_u, k_y), settings).astype(np.float32)
    images = scipy.fft.irfft2(scipy.fft.rfft2(padded) * transfer, size)[:, :, pad : pad + n_y]
    images *= -2
    images -= images.mean(axis=(1, 2), keepdims=True)
    if np.isfinite(settings.dose):
        tilts = np.radians(settings.tilts)
        thickness = settings.shape[0] * settings.voxel_size
        # A lamella tilted by 90 degrees is as long as the field of view, not infinitely so.
        path = np.minimum(
            thickness / np.maximum(np.cos(tilts), 1e-6), settings.shape[2] * settings.voxel_size
        )
        sent = settings.dose / len(tilts) * settings.voxel_size**2
        counts = sent * settings.detective_efficiency * np.exp(-path / MEAN_FREE_PATH)
        noise = rng.standard_normal(images.shape, np.float32)
        images += noise / np.sqrt(counts).astype(np.float32)[:, None, None]
    return images
