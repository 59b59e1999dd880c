"""Arrays that lie in a store and are read by region, and how the engine knows them again behind Dask."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np


class Stored:
    """Keeps Dask from taking a stored array for one of its own and loading it.

    Attributes
    ----------
    array : stored array
        Anything with ``shape``, ``dtype`` and slices; safe to be read by several threads at once.
    """

    def __init__(self, array: Any):
        self.array = array

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token

        return ("stored", normalize_token(self.array))


class _Sliced(Stored):
    """The same for Dask's own reading, block by block."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of the array."""
        return np.dtype(self.array.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.array.shape)

    def __getitem__(self, region: Any) -> np.ndarray:
        return np.asarray(self.array[region])


def open_lazily(array: Any, chunks: Any) -> da.Array:
    """Give a stored array as a Dask array that the engine reads directly.

    Parameters
    ----------
    array : stored array
        Safe to be read by several threads at once.
    chunks
        As Dask takes them; they decide nothing where the engine reads.

    Returns
    -------
    dask.array.Array
        `readable` gives the stored array back, for as long as nothing is done to the Dask array.
    """
    return da.from_array(_Sliced(array), chunks=chunks, asarray=False)


def readable(source: Any) -> Any:
    """Give what the engine can read by region without Dask: the stored array behind an `open_lazily`.

    Anything else comes back as it is: stored arrays, and Dask arrays that something was done to, or that others made
    (a lock of theirs would be passed by).
    """
    if not isinstance(source, da.Array):
        return source
    # Where Dask keeps what an array was made from: it survives renaming, copying and pickling, but no operation.
    layer = source.dask.layers.get(f"original-{source.name}")
    behind = None if layer is None else next(iter(layer.values()), None)
    return behind.array if isinstance(behind, _Sliced) else source
