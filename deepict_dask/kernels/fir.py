"""Filter a block with an isotropic kernel of finite support.

A gain is turned into a kernel that is 0 beyond the halo, so a block with its halo is filtered
exactly, whatever surrounds it. What the finite support costs is computed, not guessed.
"""

from __future__ import annotations

import math
import threading
from functools import lru_cache

import numpy as np
import scipy.fft

from deepict_dask.geometry import Shape
from deepict_dask.kernels.periodogram import radial_frequency
from deepict_dask.kernels.physical_gain import Gain
from deepict_dask.spectrum import Spectrum
from deepict_dask.tomogram import VoxelSize

# Voxels on the axis of the largest voxel size.
HALO = 24
LARGEST_HALO = 64
# Largest relative RMS error against the gain that is not cut off in space.
ERROR_LIMIT = 0.005
# Part of the kernel's radius over which the taper falls from 1 to 0.
_TAPERED = 0.25

_lock = threading.Lock()


def halo_voxels(voxel_size: VoxelSize, halo: int = HALO) -> Shape:
    """Give the halo of each axis: the same length in A on all of them.

    Parameters
    ----------
    voxel_size : (float, float, float)
        In A, (z, y, x).
    halo : int
        Voxels on the axis of the largest voxel size.

    Examples
    --------
    >>> halo_voxels((20.0, 10.0, 10.0), 24)
    (24, 48, 48)
    """
    largest = max(voxel_size)
    z, y, x = (math.ceil(halo * largest / v - 1e-6) for v in voxel_size)
    return z, y, x


def fir_kernel(gain: Gain, halo: Shape) -> np.ndarray:
    """Sample the gain and cut its kernel off smoothly.

    Parameters
    ----------
    gain : Gain
        Also tells the voxel size.
    halo : (int, int, int)
        Largest reach of the kernel, (z, y, x) voxels.

    Returns
    -------
    numpy.ndarray of float64, shape (2 * halo + 1)
        Symmetric about its middle; 0 beyond the sphere (in A) that fits into the halo.
    """
    samples: Shape = tuple(scipy.fft.next_fast_len(max(3 * h, 2 * h + 2, 64), True) for h in halo)  # type: ignore[assignment]
    kernel = scipy.fft.irfftn(gain(radial_frequency(samples, gain.voxel_size)), samples, overwrite_x=True)
    for axis, h in enumerate(halo):
        kernel = np.take(kernel, np.arange(-h, h + 1), axis=axis, mode="wrap")
    z, y, x = (np.arange(-h, h + 1) * v for h, v in zip(halo, gain.voxel_size, strict=True))
    radius = min((h + 1) * v for h, v in zip(halo, gain.voxel_size, strict=True))
    r = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2) / radius
    kernel *= np.cos(np.pi / 2 * np.clip((r - 1 + _TAPERED) / _TAPERED, 0, 1)) ** 2
    kernel[r >= 1] = 0
    return kernel


def truncation_error(gain: Gain, spectrum: Spectrum, halo: Shape) -> float:
    """Predict what the kernel's finite support does to a tomogram.

    Parameters
    ----------
    gain : Gain
        Also tells the voxel size.
    spectrum : Spectrum
        Of the tomogram to be filtered, convention ``physical``.
    halo : (int, int, int)
        In voxels, (z, y, x).

    Returns
    -------
    float
        RMS difference from the same gain applied to the whole mirrored tomogram, relative to the RMS
        of that (its mean taken out).
    """
    grid: Shape = tuple(scipy.fft.next_fast_len(max(3 * h, 2 * h + 2, 96), True) for h in halo)  # type: ignore[assignment]
    frequency = radial_frequency(grid, gain.voxel_size)
    target_gain = gain(frequency)
    difference = _response(fir_kernel(gain, halo), grid) - target_gain
    power = np.interp(frequency, spectrum.frequency, spectrum.amplitude) ** 2
    power[..., 1 : (grid[2] + 1) // 2] *= 2  # these stand for their mirror images too
    power[0, 0, 0] = 0  # the mean is taken out and put back
    signal = float((power * target_gain**2).sum())
    return math.sqrt(float((power * difference**2).sum()) / signal) if signal > 0 else 0.0


def choose_halo(gain: Gain, spectrum: Spectrum, limit: float = ERROR_LIMIT) -> tuple[Shape, float]:
    """Find the smallest of a few halos that keeps the error below a limit.

    Parameters
    ----------
    gain, spectrum
        As in `truncation_error`.
    limit : float
        Largest relative RMS error.

    Returns
    -------
    halo : (int, int, int)
        The default of 24 voxels (on the axis of the largest voxel size), or 32, 48 or 64.
    error : float
        Its predicted error; above ``limit`` if even the largest halo is not enough, which the
        caller should report.
    """
    halo, error = halo_voxels(gain.voxel_size), math.inf
    for size in (HALO, 32, 48, LARGEST_HALO):
        halo = halo_voxels(gain.voxel_size, size)
        error = truncation_error(gain, spectrum, halo)
        if error <= limit:
            break
    return halo, error


def filter_block(block: np.ndarray, gain: Gain, halo: Shape, mean: float) -> np.ndarray:
    """Filter a block and return its core.

    Parameters
    ----------
    block : numpy.ndarray, any real dtype, shape ``core + 2 * halo``
        From `deepict_dask.engine.overlap.map_overlap`.
    gain : Gain
        What to multiply each frequency with.
    halo : (int, int, int)
        In voxels, (z, y, x).
    mean : float
        Of the whole tomogram: taken out before and put back after, unchanged by the gain.

    Returns
    -------
    numpy.ndarray of float32, shape ``core``

    Notes
    -----
    The kernel's response is kept for the next block: 2 bytes per voxel of the block.
    """
    fft_shape: Shape = tuple(scipy.fft.next_fast_len(n, True) for n in block.shape)  # type: ignore[assignment]
    with _lock:
        response = _cached_response(gain, halo, fft_shape)
    transform = scipy.fft.rfftn((block - np.float64(mean)).astype(np.float32), fft_shape, overwrite_x=True)
    transform *= response
    filtered = scipy.fft.irfftn(transform, fft_shape, overwrite_x=True)
    core = tuple(slice(h, n - h) for h, n in zip(halo, block.shape, strict=True))
    return (filtered[core] + np.float64(mean)).astype(np.float32)


@lru_cache(maxsize=4)
def _cached_response(gain: Gain, halo: Shape, fft_shape: Shape) -> np.ndarray:
    return _response(fir_kernel(gain, halo), fft_shape).astype(np.float32)


def _response(kernel: np.ndarray, fft_shape: Shape) -> np.ndarray:
    """Real FFT of a symmetric kernel with its middle at the origin: real itself."""
    padded = np.zeros(fft_shape)
    padded[tuple(slice(n) for n in kernel.shape)] = kernel
    shifts = [-(n // 2) for n in kernel.shape]
    response: np.ndarray = scipy.fft.rfftn(np.roll(padded, shifts, axis=(0, 1, 2))).real
    return response
