"""FFT of a whole volume in place, plane by plane: 8 bytes a voxel and no more.

Every call transforms one plane or one row of columns, whatever the number of threads, so results
do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.fft


def fft_planes(volume: np.ndarray, *, inverse: bool = False, exact: bool = False, threads: int = 1) -> None:
    """Transform every (y, x) plane of a volume in place.

    Parameters
    ----------
    volume : numpy.ndarray of complex64, shape (z, y, x)
        Overwritten.
    inverse : bool
        Inverse transform, divided by the number of voxels of a plane.
    exact : bool
        Use numpy's FFT, whose last bits are those of the original programs, instead of scipy's,
        which is several times as fast.
    threads : int
        Planes transformed at a time.
    """

    def plane(k: int) -> None:
        for axis in (1, 0):
            _fft(volume[k], axis, inverse, exact)

    _each(plane, len(volume), threads)


def fft_columns(volume: np.ndarray, *, inverse: bool = False, exact: bool = False, threads: int = 1) -> None:
    """Transform every column along z of a volume in place; parameters as in `fft_planes`."""

    def row(j: int) -> None:
        columns = np.ascontiguousarray(volume[:, j])
        _fft(columns, 0, inverse, exact)
        volume[:, j] = columns

    _each(row, volume.shape[1], threads)


def _fft(plane: np.ndarray, axis: int, inverse: bool, exact: bool) -> None:
    if exact:
        (np.fft.ifft if inverse else np.fft.fft)(plane, axis=axis, out=plane)
        return
    function = scipy.fft.ifft if inverse else scipy.fft.fft
    result = function(plane, axis=axis, overwrite_x=True)
    if result is not plane:
        plane[...] = result


def _each(function: Callable[[int], None], n: int, threads: int) -> None:
    if threads <= 1:
        for i in range(n):
            function(i)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, range(n)))
