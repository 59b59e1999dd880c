"""The original's amplitude spectrum, defects included.

Shell i is not radius i: radii are scaled so that the corner of the box falls on the last shell, in
index units, from half of each axis. Published networks were trained on tomograms filtered so.

References
----------
DeePiCt, ``extract_spectrum.py`` and ``FilterUtil.py``.
"""

from __future__ import annotations

import numpy as np

from deepict_dask.geometry import Shape
from deepict_dask.kernels.fourier import fft_columns, fft_planes


def unit_scale(planes: np.ndarray, minimum: float, maximum: float) -> np.ndarray:
    """Scale densities to [0, 1] in float32, as the original does before every FFT.

    Parameters
    ----------
    planes : numpy.ndarray, any real dtype, any shape
        Densities.
    minimum, maximum : float
        Of the whole tomogram, not of these planes.

    Returns
    -------
    numpy.ndarray of float32

    Examples
    --------
    >>> unit_scale(np.array([2, 3, 4], np.int16), 2, 4)
    array([0. , 0.5, 1. ], dtype=float32)
    """
    low = np.float32(minimum)
    extent = np.float32(np.float32(maximum) - low)
    scaled: np.ndarray = planes.astype(np.float32)
    scaled -= low
    scaled /= extent if extent > 0 else np.float32(1)
    return scaled


def deepict_shells(shape: Shape, z: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Give the shell of each frequency of one plane, in the original's order of summation.

    Parameters
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    z : int
        The plane, counted after ``fftshift``.
    rows : slice
        Rows of the plane as the FFT leaves them, unshifted; all by default.

    Returns
    -------
    shells : numpy.ndarray of int64, shape (row, x)
        Rows and columns in shifted order.
    order : numpy.ndarray of int64, shape (row,)
        Where each of those rows stands within ``rows``.
    """
    n_y, n_x = shape[1:]
    start, stop, _ = rows.indices(n_y)
    shifted = np.arange(n_y)
    order = (shifted - n_y // 2) % n_y
    inside = (order >= start) & (order < stop)
    shifted, order = shifted[inside], order[inside] - start
    # Distances from the middle repeat on both sides of it: hypot is computed once for each.
    y, y_at = np.unique(np.abs(shifted - n_y / 2), return_inverse=True)
    x, x_at = np.unique(np.abs(np.arange(n_x) - n_x / 2), return_inverse=True)
    # Ties fall on shell edges, so the order of the two hypots matters.
    r = np.hypot(np.hypot(y[:, None], x), np.abs(z - shape[0] / 2))
    corner = _corner(shape)
    shells = (max(shape) / 2 * r / corner).astype(np.int64)
    return shells[y_at][:, x_at], order


def _corner(shape: Shape) -> float:
    return float(np.hypot(np.hypot(shape[1] / 2, shape[2] / 2), shape[0] / 2))


def _n_shells(shape: Shape) -> int:
    # For some shapes rounding puts the corner, which is all of the last shell, into the shell before.
    return int(max(shape) / 2 * _corner(shape) / _corner(shape)) + 1


def deepict_shell_sums(transform: np.ndarray, shape: Shape, rows: slice = slice(None)) -> np.ndarray:
    """Sum and count FFT magnitudes by shell.

    Parameters
    ----------
    transform : numpy.ndarray of complex64, shape (z, row, x)
        FFT of the whole tomogram as the FFT leaves it (zero frequency first), or some rows of it.
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    rows : slice
        Which rows; all by default.

    Returns
    -------
    numpy.ndarray of float64, shape (2, shell)
        Sums and numbers of frequencies, shell 0 included.
    """
    n_shells = _n_shells(shape)
    sums: np.ndarray = np.zeros(n_shells)
    counts: np.ndarray = np.zeros(n_shells)
    first = np.arange(n_shells)
    for z in range(shape[0]):
        shells, order = deepict_shells(shape, z, rows)
        magnitude = np.abs(transform[(z - shape[0] // 2) % shape[0]])
        magnitude = np.fft.fftshift(magnitude[order], axes=1)
        labels = np.concatenate([first, shells.ravel()])
        # The running sums go in front, so that all is added up in one order, as over one array.
        sums = np.bincount(labels, np.concatenate([sums, magnitude.ravel()]), minlength=n_shells)
        counts += np.bincount(shells.ravel(), minlength=n_shells)
    return np.stack([sums, counts])


def deepict_means(sums: np.ndarray) -> np.ndarray:
    """Turn sums and counts into the mean of each shell but shell 0, which the original drops.

    Parameters
    ----------
    sums : numpy.ndarray of float64, shape (2, shell)
        As from `deepict_shell_sums`, added up over all rows.

    Returns
    -------
    numpy.ndarray of float64, shape (shell - 1,)
    """
    means: np.ndarray = sums[0, 1:] / np.maximum(sums[1, 1:], 1)
    return means


def deepict_transform(
    volume: np.ndarray,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    exact: bool = False,
    threads: int = 1,
) -> np.ndarray:
    """Give the FFT of a tomogram scaled to [0, 1].

    Parameters
    ----------
    volume : numpy.ndarray or stored array, any real dtype, shape (z, y, x)
        Read plane by plane.
    minimum, maximum : float, optional
        Of the tomogram; looked up if left out.
    exact, threads
        As in `deepict_dask.kernels.fourier.fft_planes`.

    Returns
    -------
    numpy.ndarray of complex64, shape (z, y, x)
        Zero frequency first.

    Notes
    -----
    8 bytes a voxel beyond the input.
    """
    if minimum is None or maximum is None:
        whole = np.asarray(volume[...])
        minimum, maximum = float(whole.min()), float(whole.max())
    transform = np.empty(volume.shape, np.complex64)
    # Stored arrays decompress whole chunks: read several planes at a time.
    for start in range(0, len(transform), 32):
        planes = slice(start, start + 32)
        transform[planes] = unit_scale(np.asarray(volume[planes]), minimum, maximum)
    fft_planes(transform, exact=exact, threads=threads)
    fft_columns(transform, exact=exact, threads=threads)
    return transform


def deepict_spectrum(
    volume: np.ndarray,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    exact: bool = True,
    threads: int = 1,
) -> np.ndarray:
    """Give the original's amplitude spectrum of a tomogram.

    Parameters
    ----------
    volume, minimum, maximum, exact, threads
        As in `deepict_transform`; ``exact`` gives the original's numbers to the last bit.

    Returns
    -------
    numpy.ndarray of float64, shape (shell,)
        Mean magnitude by shell, shell 0 left out: half as many as voxels on the longest axis.
    """
    transform = deepict_transform(volume, minimum, maximum, exact=exact, threads=threads)
    return deepict_means(deepict_shell_sums(transform, transform.shape))
