"""Amplitude spectrum in physical frequency: the mean over tapered windows (Welch's method).

Windows lie on a grid that depends on the tomogram's shape only, and their magnitudes are
normalized by taper and voxel volume, so that tomograms of different shape and voxel size give
amplitudes that compare at the same 1/A.

References
----------
Welch, P. D. (1967), The use of fast Fourier transform for the estimation of power spectra.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy.fft

from deepict_dask.geometry import Shape
from deepict_dask.spectrum import Spectrum
from deepict_dask.tomogram import VoxelSize

# Edge of a window in voxels: 32 shells up to the Nyquist frequency.
WINDOW = 64


@dataclass(frozen=True)
class WindowGrid:
    """Windows that cover a tomogram evenly, overlapping by at least a quarter where there are several.

    Attributes
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    edge : int
        Wanted edge of a window in voxels; thinner axes are covered whole.
    """

    shape: Shape
    edge: int = WINDOW

    @property
    def window(self) -> Shape:
        """Size of a window, (z, y, x) voxels."""
        z, y, x = (min(self.edge, n) for n in self.shape)
        return z, y, x

    def starts(self, axis: int) -> list[int]:
        """First voxels of the windows along an axis."""
        n, w = self.shape[axis], self.window[axis]
        count = 1 if n == w else 1 + math.ceil((n - w) / max(1, 3 * w // 4))
        return [round(i * (n - w) / max(1, count - 1)) for i in range(count)]

    def groups(self, axis: int, per_group: int = 4) -> list[list[int]]:
        """Starts of neighboring windows, taken a few at a time."""
        starts = self.starts(axis)
        return [starts[i : i + per_group] for i in range(0, len(starts), per_group)]


def shell_edges(window: Shape, voxel_size: VoxelSize) -> tuple[float, int]:
    """Give width and number of the shells of a window's spectrum.

    Parameters
    ----------
    window : (int, int, int)
        In voxels.
    voxel_size : (float, float, float)
        In A, (z, y, x).

    Returns
    -------
    width : float
        In 1/A: the finest that the longest edge of the window resolves.
    count : int
        Shells around 0, 1, 2, ... widths, up to the highest Nyquist frequency of the axes.
    """
    width = 1 / max(n * v for n, v in zip(window, voxel_size, strict=True))
    # An axis of one voxel has no frequencies and so no Nyquist frequency.
    nyquist = max((0.5 / v for n, v in zip(window, voxel_size, strict=True) if n > 1), default=width)
    return width, max(1, round(nyquist / width)) + 1


def radial_frequency(shape: Shape, voxel_size: VoxelSize) -> np.ndarray:
    """Give the magnitude of the frequency of every element of a real FFT.

    Parameters
    ----------
    shape : (int, int, int)
        Of the array in real space, (z, y, x) voxels.
    voxel_size : (float, float, float)
        In A, (z, y, x).

    Returns
    -------
    numpy.ndarray of float64, shape (z, y, x // 2 + 1)
        In 1/A.
    """
    z = np.fft.fftfreq(shape[0], voxel_size[0])[:, None, None]
    y = np.fft.fftfreq(shape[1], voxel_size[1])[:, None]
    x = np.fft.rfftfreq(shape[2], voxel_size[2])
    radius: np.ndarray = np.sqrt(z**2 + y**2 + x**2)
    return radius


def periodogram_sums(
    block: np.ndarray,
    starts: tuple[list[int], list[int], list[int]],
    window: Shape,
    mean: float,
    voxel_size: VoxelSize,
    has_holes: bool = False,
) -> np.ndarray:
    """Add up the FFT magnitudes of some windows by shell.

    Parameters
    ----------
    block : numpy.ndarray, any real dtype, shape (z, y, x)
        Part of a tomogram that holds the windows.
    starts : three lists of int
        First voxels of the windows in the block, per axis; every combination is a window.
    window : (int, int, int)
        Size of a window in voxels.
    mean : float
        Of the whole tomogram, taken out first.
    voxel_size : (float, float, float)
        In A, (z, y, x).
    has_holes : bool
        Whether voxels that are exactly the mean were left out of the tomogram. A window then counts by the root of the
        taper's power over the others, to which the magnitudes of noise are proportional: windows that hold nothing
        else count nothing.

    Returns
    -------
    numpy.ndarray of float64, shape (2, shell)
        Sums of magnitudes and numbers of frequencies. Magnitudes are those of one window, divided
        by the root of the taper's power and multiplied with that of the voxel's volume.
    """
    width, count = shell_edges(window, voxel_size)
    shells = np.floor(radial_frequency(window, voxel_size) / width + 0.5).astype(np.int64)
    shells = np.minimum(shells, count).ravel()  # shell `count` collects the corners, and is dropped
    # Half of the frequencies stand for both halves, but for the planes that are their own mirror.
    n_x = window[2]
    weight_x = np.full(n_x // 2 + 1, 2.0)
    weight_x[0] = 1
    if n_x % 2 == 0:
        weight_x[-1] = 1
    weights = np.broadcast_to(weight_x, (window[0], window[1], weight_x.size)).ravel()
    numbers = np.bincount(shells, weights, minlength=count + 1)[:count]
    tapers = [_taper(n) for n in window]
    taper = (tapers[0][:, None, None] * tapers[1][:, None] * tapers[2]).astype(np.float32)
    scale = math.sqrt(math.prod(voxel_size) / math.prod(float((t**2).sum()) for t in tapers))
    sums = np.zeros(count)
    n_windows = 0.0
    power = float((taper**2).sum(dtype=np.float64))
    for corner in itertools.product(*starts):
        region = tuple(slice(i, i + n) for i, n in zip(corner, window, strict=True))
        tapered = (block[region] - np.float64(mean)).astype(np.float32) * taper
        magnitude = np.abs(scipy.fft.rfftn(tapered)).ravel()
        sums += np.bincount(shells, magnitude * weights, minlength=count + 1)[:count]
        n_windows += (
            math.sqrt(float((taper[tapered != 0] ** 2).sum(dtype=np.float64)) / power) if has_holes else 1
        )
    return np.stack([sums * scale, numbers * n_windows])


def physical_spectrum(sums: np.ndarray, shape: Shape, window: Shape, voxel_size: VoxelSize) -> Spectrum:
    """Make a spectrum of the sums over all windows.

    Parameters
    ----------
    sums : numpy.ndarray of float64, shape (2, shell)
        As from `periodogram_sums`, added up over all windows.
    shape, window : (int, int, int)
        The tomogram and a window, (z, y, x) voxels.
    voxel_size : (float, float, float)
        In A, (z, y, x).

    Returns
    -------
    Spectrum
        Convention ``physical``; the shell of zero frequency is left out; shells without any frequency
        (thin or anisotropic tomograms) are interpolated, at the ends repeated.
    """
    width, count = shell_edges(window, voxel_size)
    frequency = width * np.arange(1, count)
    filled = sums[1, 1:] > 0
    amplitude = np.zeros(count - 1)
    amplitude[filled] = sums[0, 1:][filled] / sums[1, 1:][filled]
    if filled.any() and not filled.all():
        amplitude[~filled] = np.interp(frequency[~filled], frequency[filled], amplitude[filled])
    return Spectrum("physical", frequency, amplitude, voxel_size, shape)


def _taper(n: int) -> np.ndarray:
    """Hann window that is nowhere 0, and 1 for an axis of one voxel."""
    taper: np.ndarray = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
    return taper
