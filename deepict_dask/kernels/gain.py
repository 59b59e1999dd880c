"""The original's gain and how it is applied, defects included.

References
----------
DeePiCt, ``match_spectrum.py`` and ``FilterUtil.py``.
"""

from __future__ import annotations

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.kernels.fourier import fft_columns, fft_planes


def deepict_gain(
    input_amplitude: np.ndarray,
    target_amplitude: np.ndarray,
    cutoff: float | None = None,
    smooth: float | None = None,
) -> np.ndarray:
    """Divide two of the original's spectra, by index and not by frequency.

    Parameters
    ----------
    input_amplitude, target_amplitude : numpy.ndarray of float64, shape (shell,)
        The target is cut or padded with zeros to the input's length.
    cutoff : float, optional
        Low-pass, in shells of the input: gain 0 from this shell on, or, with ``smooth``, a
        sigmoid with its middle near it.
    smooth : float, optional
        Width of that sigmoid in shells; 0 for a sharp cutoff.

    Returns
    -------
    numpy.ndarray of float64, shape (shell,)
        0 where the input's amplitude is 0; never infinite.

    Raises
    ------
    InputError
        If ``cutoff`` is not positive, ``smooth`` is negative, or ``smooth`` comes without ``cutoff``.

    Examples
    --------
    >>> deepict_gain(np.array([2.0, 4.0, 0.0]), np.array([4.0, 2.0, 1.0, 1.0]))
    array([2. , 0.5, 0. ])
    """
    if cutoff is not None and not cutoff > 0:
        raise InputError(
            f"cutoff is {cutoff}, but must be a positive number of shells; leave it out for none"
        )
    if smooth is not None and not smooth >= 0:
        raise InputError(
            f"smooth is {smooth}, but must be a number of shells, at least 0; leave it out for none"
        )
    if smooth and cutoff is None:
        raise InputError(f"smooth is {smooth} without a cutoff to smooth; give a cutoff in shells too")
    n = len(input_amplitude)
    target = np.zeros(n)
    target[: min(n, len(target_amplitude))] = target_amplitude[:n]
    gain = np.divide(target, input_amplitude, out=np.zeros(n), where=input_amplitude > 0)
    if cutoff is not None and smooth:
        slope = n / smooth
        with np.errstate(over="ignore"):
            gain *= 1 / (1 + np.exp(np.linspace(-slope, slope, n) - 2 * slope * ((cutoff - n / 2) / n)))
    elif cutoff is not None:
        gain[int(cutoff) :] = 0
    return gain


def mirrored_distance(n: int) -> np.ndarray:
    """Give the distance in index units that the original assigns to each frequency of an axis.

    Parameters
    ----------
    n : int
        Length of the axis in voxels.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        In the FFT's order. On even axes frequency -1 has distance 0 too.

    Examples
    --------
    >>> mirrored_distance(6), mirrored_distance(5)
    (array([0, 1, 2, 2, 1, 0]), array([0, 1, 2, 2, 1]))
    """
    i = np.arange(n)
    negative = n - i - (n % 2 == 0)
    return np.where(i < (n + 1) // 2, i, negative)


def deepict_gain_plane(gain: np.ndarray, shape: Shape, z: int, rows: slice = slice(None)) -> np.ndarray:
    """Spread the gain over one plane of frequencies.

    Parameters
    ----------
    gain : numpy.ndarray of float64, shape (shell,)
        By index distance from zero frequency.
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    z : int
        The plane, in the FFT's order.
    rows : slice
        Rows of the plane, in the FFT's order.

    Returns
    -------
    numpy.ndarray of float32, shape (row, x)
        Linear in the index distance from zero frequency; 0 beyond the last shell.
    """
    y, y_at = np.unique(mirrored_distance(shape[1])[rows], return_inverse=True)
    x, x_at = np.unique(mirrored_distance(shape[2]), return_inverse=True)
    distance = mirrored_distance(shape[0])[z]
    # Rounded to float32 before the interpolation, as the original does.
    r = np.hypot(np.hypot(y[:, None], x), distance).astype(np.float32).astype(np.float64)
    last = len(gain) - 1
    if last == 0:
        plane = np.where(r == 0, gain[0], 0.0)
    else:
        upper = np.clip(np.ceil(r).astype(np.int64), 1, last)
        plane = (gain[upper] - gain[upper - 1]) * (r - (upper - 1)) + gain[upper - 1]
        plane[r > last] = 0
    return plane.astype(np.float32)[y_at][:, x_at]


def deepict_multiply(
    transform: np.ndarray, gain: np.ndarray, shape: Shape, rows: slice = slice(None)
) -> None:
    """Multiply an FFT (or some rows of it) with the gain, in place.

    Parameters
    ----------
    transform : numpy.ndarray of complex64, shape (z, row, x)
        Zero frequency first; overwritten.
    gain : numpy.ndarray of float64, shape (shell,)
        By index distance from zero frequency.
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    rows : slice
        Which rows, in the FFT's order.
    """
    for z in range(shape[0]):
        transform[z] *= deepict_gain_plane(gain, shape, z, rows)


def deepict_apply(
    transform: np.ndarray, gain: np.ndarray, *, exact: bool = False, threads: int = 1
) -> np.ndarray:
    """Multiply the FFT of a tomogram with the gain and go back.

    Parameters
    ----------
    transform : numpy.ndarray of complex64, shape (z, y, x)
        As from `deepict_dask.kernels.spectrum.deepict_transform`; overwritten.
    gain : numpy.ndarray of float64, shape (shell,)
        By index distance from zero frequency.
    exact, threads
        As in `deepict_dask.kernels.fourier.fft_planes`.

    Returns
    -------
    numpy.ndarray of float32, shape (z, y, x)
        Magnitude of the inverse FFT, never negative.
    """
    deepict_multiply(transform, gain, transform.shape)
    fft_planes(transform, inverse=True, exact=exact, threads=threads)
    fft_columns(transform, inverse=True, exact=exact, threads=threads)
    result = np.empty(transform.shape, np.float32)
    for z in range(len(result)):
        np.abs(transform[z], out=result[z])
    return result
