"""Targets of several classes that lie in several places, sliced as one (class, z, y, x) array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepict_dask.geometry import Shape


@dataclass(frozen=True, eq=False)
class Channel:
    """Where one class is labelled.

    Attributes
    ----------
    array : array-like, shape (z, y, x) or (c, z, y, x)
        Sliced by region.
    number : int or None
        Channel of it.
    value : int or None
        Only voxels of this value are labelled; None for all above 0.
    """

    array: Any
    number: int | None = None
    value: int | None = None


class Channels:
    """An array-like uint8 (class, z, y, x) of 0 and 1 that reads what is asked for; as picklable as its parts.

    Parameters
    ----------
    channels : sequence of Channel or None
        One per class; None where a class is nowhere.
    shape : (int, int, int)
        Of each, (z, y, x) voxels.

    Examples
    --------
    >>> labels = np.array([[[0, 1, 2]]])
    >>> Channels([Channel(labels, value=2), None], (1, 1, 3))[:, 0, 0, 1:]
    array([[0, 1],
           [0, 0]], dtype=uint8)
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, channels: Sequence[Channel | None], shape: Shape):
        self.channels = tuple(channels)
        self.shape = (len(self.channels), *shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read as numpy slices: an integer or a slice of classes, then slices or integers of voxels."""
        first, *region = key if isinstance(key, tuple) else (key,)
        if isinstance(first, slice):
            return np.stack([self._read(c, region) for c in self.channels[first]])
        return self._read(self.channels[first], region)

    def _read(self, channel: Channel | None, region: list[Any]) -> np.ndarray:
        if channel is None:
            # The shape of what would have been read, without its voxels.
            return np.zeros(np.broadcast_to(np.uint8(0), self.shape[1:])[tuple(region)].shape, np.uint8)
        place = tuple(region) if channel.number is None else (channel.number, *region)
        block = np.asarray(channel.array[place])
        return (block > 0 if channel.value is None else block == channel.value).astype(np.uint8)
