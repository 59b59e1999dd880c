"""Region masks: where particles are allowed, in the tomogram's voxels or those of its probability map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.source import Source, open_source
from deepict_dask.tomogram import VoxelSize


class Nearest:
    """A mask on another grid over the same specimen: each voxel shows the nearest one of the mask.

    Parameters
    ----------
    source : Source
        The mask, (z, y, x).
    shape : (int, int, int)
        Of the other grid, whose first voxel has the same center.
    factor : (float, float, float)
        Voxel size of the other grid over that of the mask, (z, y, x).
    """

    def __init__(self, source: Source, shape: Shape, factor: VoxelSize):
        self.source, self.shape, self.dtype, self.ndim = source, shape, source.dtype, 3
        self.factor = factor

    def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
        shown = [
            np.minimum(np.rint(np.arange(*r.indices(m)) * f).astype(int), n - 1)
            for r, f, m, n in zip(region, self.factor, self.shape, self.source.shape, strict=True)
        ]
        read = self.source[tuple(slice(i[0], i[-1] + 1) for i in shown)]
        return read[np.ix_(*(i - i[0] for i in shown))]

    def __dask_tokenize__(self) -> Any:
        return ("nearest", self.source.__dask_tokenize__(), self.shape, self.factor)


def open_region(path: str, image: Image) -> tuple[dict[str, Any], Any]:
    """Open the region mask of a tomogram, or of its probability map.

    Parameters
    ----------
    path : str
        Any format of tomograms; ``{name}`` in it stands for the tomogram's name.
    image : Image
        The tomogram, or a probability map; that may have been computed at another voxel size.

    Returns
    -------
    identity : dict
        Name and checksum, for what is made with it.
    mask : array-like, shape (z, y, x) of the image
        Read by region; not 0 is inside.

    Raises
    ------
    InputError
        If it is not there, or has another shape than the tomogram.
    """
    source = open_source(path.replace("{name}", image.name))
    identity = {"name": Path(source.path).name, "checksum": source.checksum()}
    mask = on_grid_of(image, source)
    if mask is None:
        shape = tuple(image.attributes.get("own_shape") or image.shape[-3:])
        raise InputError(
            f"the region mask {source.path} has shape {source.shape}, but the tomogram {image.name} has {shape}; a "
            "region mask must have the tomogram's shape"
        )
    return identity, mask


def on_grid_of(image: Image, mask: Source) -> Source | Nearest | None:
    """Give a mask (z, y, x) on the grid of a map, which may have been computed at another voxel size.

    Parameters
    ----------
    image : Image
        The tomogram, or a probability map; its last three axes are (z, y, x).
    mask : Source
        Of the shape of the map, or of the tomogram that it was computed from.

    Returns
    -------
    array-like, shape (z, y, x) of the image, or None
        Read by region; None if the mask has neither shape.
    """
    z, y, x = image.shape[-3:]
    if mask.shape == (z, y, x):
        return mask
    if mask.shape != tuple(image.attributes.get("own_shape") or ()):
        return None
    own_size = image.attributes["own_voxel_size"]
    a, b, c = (here / own for here, own in zip(image.voxel_size or (), own_size, strict=True))
    return Nearest(mask, (z, y, x), (a, b, c))
