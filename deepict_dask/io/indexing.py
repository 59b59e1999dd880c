"""Numpy's indexing for what is read by region."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepict_dask.geometry import Shape
from deepict_dask.io.formats.volume import Region


def split_key(key: Any, shape: Shape) -> tuple[Region, tuple[Any, ...]]:
    """Split a key into the region to read, and the key into what was read.

    Parameters
    ----------
    key : anything that numpy takes for three axes
        Integers, slices of any step, an ellipsis, new axes, lists of integers and masks along axes.
    shape : (int, int, int)
        (z, y, x) voxels.

    Raises
    ------
    IndexError
        As numpy's.

    Examples
    --------
    >>> split_key((-1, slice(None, None, -2), [3, 1]), (5, 6, 7))[0]
    (slice(4, 5, None), slice(1, 6, None), slice(1, 4, None))
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    n_axes = sum(item is not None and item is not Ellipsis for item in keys)
    if n_axes > 3:
        raise IndexError(f"{n_axes} indices for the 3 axes of a tomogram")
    ellipses = [i for i, item in enumerate(keys) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    at = ellipses[0] if ellipses else len(keys)
    keys[at : at + 1] = [slice(None)] * (3 - n_axes)
    region: list[slice] = []
    after: list[Any] = []
    for item in keys:
        if item is None:
            after.append(None)
            continue
        part, inner = _axis_key(item, shape[len(region)])
        region.append(part)
        after.append(inner)
    z, y, x = region
    return (z, y, x), tuple(after)


def _axis_key(item: Any, n: int) -> tuple[slice, Any]:
    """Give the range of an axis to read, and the index into it."""
    if isinstance(item, slice):
        indices = range(n)[item]
        low, high = (min(indices), max(indices) + 1) if indices else (0, 0)
        return slice(low, high), slice(None, None, indices.step)
    chosen = np.asarray(item)
    if chosen.ndim == 0 and chosen.dtype.kind in "iu":
        i = range(n)[int(chosen)]
        return slice(i, i + 1), 0
    if chosen.dtype.kind == "b" and chosen.shape == (n,):
        chosen = np.flatnonzero(chosen)
    if chosen.size == 0:
        return slice(0, 0), chosen.astype(np.intp)
    if chosen.dtype.kind not in "iu":
        raise IndexError(
            f"an axis of a tomogram is indexed by integers, slices, or a mask of its {n} voxels, not {item!r:.80}"
        )
    places = np.asarray([range(n)[int(i)] for i in chosen.ravel()]).reshape(chosen.shape)
    low = int(places.min())
    return slice(low, int(places.max()) + 1), places - low
