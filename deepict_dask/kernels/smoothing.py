"""Gaussian smoothing of a block with its halo."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from deepict_dask.geometry import Shape

_TRUNCATE = 4.0  # standard deviations after which the kernel is 0


def gaussian_halo(sigma: tuple[float, float, float]) -> Shape:
    """Give the voxels that a smoothing looks at on each side, (z, y, x).

    >>> gaussian_halo((1.0, 2.0, 0.0))
    (4, 8, 0)
    """
    z, y, x = (int(_TRUNCATE * s + 0.5) for s in sigma)
    return z, y, x


def gaussian(block: np.ndarray, sigma: tuple[float, float, float]) -> np.ndarray:
    """Smooth a block.

    Parameters
    ----------
    block : numpy.ndarray, shape (z, y, x)
        Any real dtype. Where it ends it is mirrored with its edge, so a block with the halo of `gaussian_halo`, cut at
        the tomogram's ends, gives in its core what the whole tomogram would.
    sigma : (float, float, float)
        In voxels, (z, y, x).

    Returns
    -------
    numpy.ndarray of float32
        Of the block's shape.
    """
    return np.asarray(
        ndimage.gaussian_filter(
            block.astype(np.float32, copy=False), sigma, truncate=_TRUNCATE, mode="reflect"
        )
    )
