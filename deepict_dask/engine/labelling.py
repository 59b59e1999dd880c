"""Label a segmentation lazily, block by block."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.engine.gather import boxed, gathered
from deepict_dask.errors import InputError
from deepict_dask.kernels.labelling import BlockComponents, block_components, check_connectivity, label_block
from deepict_dask.kernels.merging import merge_components

if TYPE_CHECKING:
    import dask.array as da

_OBJECT = np.empty((0, 0, 0), object)


def label(mask: da.Array | np.ndarray, connectivity: int = 26) -> da.Array:
    """Number the connected components of a segmentation by their first voxels.

    Parameters
    ----------
    mask : dask or numpy array, shape (z, y, x)
        Segmentation; everything but zero is foreground.
    connectivity : {6, 18, 26}
        Which neighbors belong together: across faces, also edges, also corners.

    Returns
    -------
    dask array, int32, shape (z, y, x)
        Label image with the chunks of ``mask``; 0 is background. Equal to what
        scipy.ndimage.label gives for the whole tomogram, whatever the chunks are.

    Raises
    ------
    InputError
        If the mask has not three axes or the connectivity is another number.

    Notes
    -----
    Lazy; no halo. Each block of the mask is computed once, and 3 tasks per block plus one are
    added. Between labelling and merging a block is held as a bit per voxel and 4 bytes per
    foreground voxel; a relabelling task gives 4 bytes per voxel.
    """
    check_connectivity(connectivity)
    mask = as_blocks(mask)
    shape, meta = mask.shape, np.empty((0, 0, 0), np.int32)
    ones = tuple((1,) * n for n in mask.numblocks)
    packed = mask.map_blocks(  # type: ignore[call-arg]
        _pack,  # type: ignore[arg-type]
        connectivity=connectivity,
        chunks=ones,
        dtype=object,
        meta=_OBJECT,
    )
    parts = packed.map_blocks(_report, dtype=object, meta=_OBJECT)
    lookups = gathered(parts, functools.partial(_lookups, shape=shape, connectivity=connectivity))
    return packed.map_blocks(_relabel, lookups, chunks=mask.chunks, dtype=np.int32, meta=meta)


def as_blocks(array: Any, like: da.Array | None = None) -> da.Array:
    """Give an array with three axes as a dask array, with the chunks of another where asked.

    Raises
    ------
    InputError
        If it has not three axes.
    """
    import dask.array as da

    if getattr(array, "ndim", None) != 3:
        raise InputError(
            f"an array of shape {getattr(array, 'shape', None)} is not a tomogram; give one with axes (z, y, x)"
        )
    if not isinstance(array, da.Array):
        array = da.from_array(array, chunks="auto" if like is None else like.chunks)
    return array if like is None or array.chunks == like.chunks else array.rechunk(like.chunks)


def _pack(mask: np.ndarray, connectivity: int, block_info: Any = None) -> np.ndarray:
    """Label one block; hold the result by bits and foreground voxels, most of a mask being empty."""
    mask = np.ascontiguousarray(mask != 0)
    labels, _ = label_block(mask, connectivity)
    info = block_info[0]
    start = tuple(a for a, _ in info["array-location"])
    part = block_components(mask, None, start, info["shape"], labels=labels)  # type: ignore[arg-type]
    return boxed((part, mask.shape, np.packbits(mask), labels[mask]))


def _report(packed: np.ndarray) -> np.ndarray:
    return boxed(packed.item()[0])


def _lookups(parts: np.ndarray, shape: tuple[int, int, int], connectivity: int) -> np.ndarray:
    reports: list[BlockComponents] = list(parts.flat)
    lookups = np.empty(parts.shape, object)
    for place, lookup in zip(
        np.ndindex(parts.shape), merge_components(reports, shape, connectivity)[1], strict=True
    ):
        lookups[place] = lookup
    return lookups


def _relabel(packed: np.ndarray, lookups: np.ndarray, block_info: Any = None) -> np.ndarray:
    _, shape, bits, labels = packed.item()
    mask = np.unpackbits(bits, count=int(np.prod(shape))).view(bool).reshape(shape)
    image = np.zeros(shape, np.int32)
    image[mask] = lookups.item()[tuple(block_info[0]["chunk-location"])][labels]
    return image
