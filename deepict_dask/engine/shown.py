"""A tomogram as a `Conditioning` shows it, stored or lazy, and where its voxels are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from dask.base import normalize_token

from deepict_dask.engine.passes import again
from deepict_dask.engine.stored import readable
from deepict_dask.geometry import block_grid
from deepict_dask.kernels.conditioning import Conditioning, is_value, marked


@dataclass(frozen=True)
class Conditioned:
    """A stored array whose voxels are read as a `Conditioning` shows them; small, it travels as its reference.

    Attributes
    ----------
    source : stored array
        Anything with ``shape``, ``dtype`` and slices.
    conditioning : Conditioning
        Applied to what is read.
    """

    source: Any
    conditioning: Conditioning

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(self.source.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of what is shown."""
        return self.conditioning.shown_dtype(self.source.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.source.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.conditioning(np.asarray(self.source[key]))

    def __len__(self) -> int:
        return int(self.source.shape[0])

    def __dask_tokenize__(self) -> Any:
        return "conditioned", normalize_token(self.source), self.conditioning


@dataclass(frozen=True)
class Holes:
    """Where a stored array has a value: read as bool; small, it travels as its reference.

    Attributes
    ----------
    source : stored array
        Anything with ``shape``, ``dtype`` and slices.
    value : float
        As for `is_value`.
    """

    source: Any
    value: float

    dtype = np.dtype(bool)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(self.source.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.source.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        return is_value(np.asarray(self.source[key]), self.value)

    def __len__(self) -> int:
        return int(self.source.shape[0])

    def __dask_tokenize__(self) -> Any:
        return "holes", normalize_token(self.source), self.value


def holes_of(source: Any, value: float, chunks: Any) -> da.Array:
    """Say where a tomogram has a value, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x); bool, or `Holes`, where that is known already.
    value : float
        As for `is_value`.
    chunks : tuple of tuple of int
        Of the result.

    Returns
    -------
    dask.array.Array of bool, shape (z, y, x)
    """
    source = readable(source)
    if not isinstance(source, da.Array):
        holes = source if isinstance(source, Holes) else Holes(source, value)
        return da.from_array(holes, chunks=chunks, asarray=False)
    if source.dtype != bool:
        source = source.map_blocks(_is_value, value=value, dtype=bool, meta=np.empty((0, 0, 0), bool))
    return source.rechunk(chunks)


def conditioned(source: Any, conditioning: Any) -> Any:
    """Show a tomogram as a `Conditioning` does, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x).
    conditioning : Conditioning, or Delayed of one
        A stored array needs the former.

    Returns
    -------
    dask.array.Array or Conditioned
        What was given decides.
    """
    source = readable(source)
    if not isinstance(source, da.Array):
        if isinstance(conditioning, Conditioning):
            return Conditioned(source, conditioning)
        source = da.from_array(source, chunks=block_grid(tuple(source.shape), 128).chunks, asarray=False)
    dtype = Conditioning.shown_dtype(source.dtype)
    return da.map_blocks(
        _shown,
        again(source, conditioning),
        conditioning=conditioning,
        dtype=dtype,
        meta=np.empty((0, 0, 0), dtype),
    )


def with_holes(made: da.Array, source: Any, value: float) -> da.Array:
    """Give voxels that were left out of a tomogram their value again in what was made of it, lazily.

    Parameters
    ----------
    made : dask.array.Array of float32, shape (z, y, x)
        On the voxels of the source.
    source : dask.array.Array or stored array
        The tomogram, or `Holes` of one, of the same shape.
    value : float
        What was left out, see `deepict_dask.kernels.conditioning.marked`.
    """
    where = holes_of(source, value, made.chunks)
    return da.map_blocks(marked, made, where, value=value, dtype=made.dtype, meta=made._meta)


def _shown(block: np.ndarray, conditioning: Conditioning) -> np.ndarray:
    return conditioning(block)


def _is_value(block: np.ndarray, value: float) -> np.ndarray:
    return is_value(block, value)
