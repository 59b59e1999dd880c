"""A few of a tomogram's voxels, from all over it."""

from __future__ import annotations

import math

import numpy as np

from deepict_dask.errors import WorkError
from deepict_dask.io.source import Source

# What is unpacked or decoded only to look at it, in bytes.
_MOST_BYTES = 1 << 30
_N_PLACES = 8


def sample(source: Source, n_voxels: int) -> tuple[np.ndarray, float]:
    """Read voxels: all of a small tomogram, sections from bottom to top of a large one.

    Parameters
    ----------
    source : Source
        Any.
    n_voxels : int
        About how many to read at most.

    Returns
    -------
    values : numpy.ndarray
        One-dimensional, in the source's dtype.
    share : float
        Part of the tomogram that was read, 0 to 1.

    Raises
    ------
    WorkError
        If more than 1 GiB would have to be unpacked or decoded together.

    Notes
    -----
    Of each section the middle is read where it is larger than an eighth of ``n_voxels``.
    """
    z, y, x = source.shape
    total = z * y * x
    if source.is_packed and total * source.dtype.itemsize > _MOST_BYTES:
        raise WorkError("they are packed, and too many to be unpacked for a look")
    if source.chunk_bytes > _MOST_BYTES:
        raise WorkError(f"they lie in chunks of {source.chunk_bytes / 1e9:.3g} GB, too large for a look")
    if total <= n_voxels:
        return source[...].ravel(), 1.0
    # Whole chunks of sections: a chunk is decoded whole anyway.
    per_place = n_voxels // _N_PLACES
    edge = min(1.0, math.sqrt(per_place / (y * x)))
    rows, columns = max(1, int(y * edge)), max(1, int(x * edge))
    top, left = (y - rows) // 2, (x - columns) // 2
    depth = max(1, per_place // (rows * columns))
    starts = np.linspace(0, z - min(depth, z), _N_PLACES).astype(int)
    parts = [
        source[start : start + depth, top : top + rows, left : left + columns].ravel()
        for start in dict.fromkeys(starts.tolist())
    ]
    values = np.concatenate(parts)
    return values, values.size / total
