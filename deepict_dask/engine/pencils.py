"""The global FFT of a tomogram that is too large for one task: slabs, then columns, then back.

Planes (y, x) are transformed slab by slab and z column by column. In between Dask rechunks; with
a distributed client it does so peer to peer, through disk.
"""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from deepict_dask.engine.gather import boxed
from deepict_dask.engine.stored import Stored, readable
from deepict_dask.geometry import Shape
from deepict_dask.kernels.fourier import fft_columns, fft_planes
from deepict_dask.kernels.gain import deepict_multiply
from deepict_dask.kernels.spectrum import deepict_shell_sums, unit_scale

# Voxels above which a tomogram is transformed in pieces: 2 GB in one task at 16 bytes a voxel. The
# shape alone decides, so results do not depend on the machine.
LARGE = 2**27
# Voxels of a piece: 128 MB of complex64.
_PIECE = 2**24


def is_large(shape: Shape, large: int = LARGE) -> bool:
    """Tell whether a tomogram is transformed in pieces."""
    return math.prod(shape) > large


def pencils(source: Any, minimum: Any, maximum: Any) -> da.Array:
    """Transform a tomogram scaled to [0, 1], lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x).
    minimum, maximum : float or Delayed
        Of the tomogram.

    Returns
    -------
    dask.array.Array of complex64, shape (z, y, x)
        Zero frequency first; chunks hold whole columns along z and whole rows along x.

    Notes
    -----
    Each task holds about 128 MB of result and as much again; the transform of the whole tomogram (8
    bytes a voxel) is spread over the workers' memory and disks.
    """
    source = readable(source)
    z_sizes, y_sizes, n_x = _pieces(tuple(source.shape))
    chunks = (z_sizes, (source.shape[1],), (n_x,))
    common = {"minimum": minimum, "maximum": maximum, "dtype": np.complex64, "meta": _META}
    if isinstance(source, da.Array):
        slabs = da.map_blocks(_transform_slab, source.rechunk(chunks), **common)
    else:
        slabs = da.map_blocks(_read_slab, source=Stored(source), z_sizes=z_sizes, chunks=chunks, **common)
    columns = slabs.rechunk(((source.shape[0],), y_sizes, (n_x,)))
    return da.map_blocks(_transform_columns, columns, dtype=np.complex64, meta=_META)


def shell_sums(transform: da.Array) -> Any:
    """Add up the original's shells of `pencils`, lazily; a Delayed as of ``deepict_shell_sums``."""
    parts = da.map_blocks(
        _column_sums,
        transform,
        shape=transform.shape,
        y_sizes=transform.chunks[1],
        chunks=((1,), (1,) * len(transform.chunks[1]), (1,)),
        dtype=object,
        meta=np.empty((0, 0, 0), object),
    )
    blocks = parts.to_delayed(optimize_graph=False).ravel().tolist()
    return delayed(_total)(blocks)


def apply_to_pencils(transform: da.Array, gain: Any) -> da.Array:
    """Multiply `pencils` with the original's gain and go back, lazily.

    Parameters
    ----------
    transform : dask.array.Array of complex64
        As from `pencils`.
    gain : numpy.ndarray or Delayed
        Shape (shell,).

    Returns
    -------
    dask.array.Array of float32, shape (z, y, x)
        Chunked as slabs along z.
    """
    shape = transform.shape
    z_sizes, _, n_x = _pieces(shape)
    columns = da.map_blocks(
        _inverse_columns,
        transform,
        gain=gain,
        shape=shape,
        y_sizes=transform.chunks[1],
        dtype=np.complex64,
        meta=_META,
    )
    slabs = columns.rechunk((z_sizes, (shape[1],), (n_x,)))
    return da.map_blocks(_inverse_slab, slabs, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))


_META = np.empty((0, 0, 0), np.complex64)


def _pieces(shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    count = max(2, -(-math.prod(shape) // _PIECE))
    z_sizes, y_sizes = (
        tuple(min(step, n - i) for i in range(0, n, step))
        for n, step in ((n, -(-n // count)) for n in shape[:2])
    )
    return z_sizes, y_sizes, shape[2]


def _read_slab(
    source: Stored,
    z_sizes: tuple[int, ...],
    minimum: float,
    maximum: float,
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    start = sum(z_sizes[: block_id[0]])
    planes = np.asarray(source.array[start : start + z_sizes[block_id[0]], :, :])
    return _transform_slab(planes, minimum, maximum)


def _transform_slab(planes: np.ndarray, minimum: float, maximum: float) -> np.ndarray:
    slab = unit_scale(planes, minimum, maximum).astype(np.complex64)
    fft_planes(slab)
    return slab


def _transform_columns(block: np.ndarray) -> np.ndarray:
    columns = block.copy()  # what Dask hands over may be used elsewhere
    fft_columns(columns)
    return columns


def _rows(y_sizes: tuple[int, ...], block_id: tuple[int, ...]) -> slice:
    start = sum(y_sizes[: block_id[1]])
    return slice(start, start + y_sizes[block_id[1]])


def _column_sums(
    block: np.ndarray, shape: Shape, y_sizes: tuple[int, ...], block_id: tuple[int, ...] = ()
) -> np.ndarray:
    return boxed(deepict_shell_sums(block, shape, _rows(y_sizes, block_id)))


def _total(parts: list[np.ndarray]) -> np.ndarray:
    total = np.zeros_like(parts[0].item())
    for part in parts:
        total += part.item()
    return total


def _inverse_columns(
    block: np.ndarray,
    gain: np.ndarray,
    shape: Shape,
    y_sizes: tuple[int, ...],
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    columns = block.copy()
    deepict_multiply(columns, gain, shape, _rows(y_sizes, block_id))
    fft_columns(columns, inverse=True)
    return columns


def _inverse_slab(block: np.ndarray) -> np.ndarray:
    slab = block.copy()
    fft_planes(slab, inverse=True)
    return np.abs(slab)
