"""Open tomograms, maps and networks."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Literal

from deepict_dask.errors import InputError
from deepict_dask.networks.checkpoint import Model
from deepict_dask.networks.checkpoint import load_model as load_checkpoint_of
from deepict_dask.tomogram import VoxelSize, tomogram

if TYPE_CHECKING:
    import xarray

    from deepict_dask.io.ome_zarr import Image


def open_tomogram(
    url: str | os.PathLike[str],
    voxel_size: float | VoxelSize | None = None,
    dataset: str | None = None,
    channel: int | None = None,
    axes: Literal["xyz", "xzy"] | None = None,
) -> xarray.DataArray:
    """Open a tomogram lazily.

    Parameters
    ----------
    url : str or Path
        MRC, EM or HDF5 (also .gz, .bz2), or an OME-Zarr group.
    voxel_size : float or (float, float, float), optional
        In A; overrides what the file says.
    dataset : str, optional
        Dataset inside an HDF5 file, or image inside a Zarr group of several.
    channel : int, optional
        Which of several channels, from 0.
    axes : {"xyz", "xzy"}, optional
        How the axes lie in the file, the fastest first, whatever its header says; xzy is what IMOD's tilt writes.

    Returns
    -------
    xarray.DataArray
        Dims (z, y, x) in the file's dtype, chunked by the shape alone; attribute ``voxel_size`` in A, and
        coordinates z, y, x in A with the center of the first voxel at 0. For an OME-Zarr group that this package wrote, a
        probability map included, its own attributes too; of a map that was computed at other voxels than the
        tomogram's, ``own_voxel_size`` and ``own_shape`` are the tomogram's. What is doubtful in a header is said
        in Python warnings.
    """
    from deepict_dask.engine.stored import open_lazily
    from deepict_dask.geometry import storage_grid
    from deepict_dask.io.ome_zarr import open_own_image
    from deepict_dask.io.source import open_source

    if not isinstance(url, (str, os.PathLike)):
        raise InputError(
            f"a tomogram is opened by its path, not by a {type(url).__name__}; arrays need not be opened"
        )
    if (image := open_own_image(url)) is not None:
        return open_own(image, voxel_size)
    source = open_source(os.fspath(url), voxel_size=voxel_size, dataset=dataset, channel=channel, axes=axes)
    for sentence in source.warnings:
        warnings.warn(sentence, stacklevel=2)
    array = open_lazily(source, storage_grid(source.shape).chunks)
    return tomogram(array, source.voxel_size, source.name, source=str(url))


def open_own(image: Image, voxel_size: float | VoxelSize | None = None) -> xarray.DataArray:
    """Open an image that this package wrote.

    Raises
    ------
    InputError
        If it was never finished.
    """
    from deepict_dask.engine.stored import open_lazily
    from deepict_dask.geometry import storage_grid
    from deepict_dask.stages.condition import doubts_of

    if not image.is_complete:
        raise InputError(f"{image.path} was never finished; run the stage that writes it again")
    chunks: tuple[Any, ...] = storage_grid(image.spatial_shape).chunks
    lead = tuple((1,) * n for n in image.shape[:-3])
    stored = image.array
    if n := stored.n_not_computed:
        warnings.warn(
            f"{n} blocks of {image.path} were not computed, since nothing is to be found there; they are shown as 0",
            stacklevel=3,
        )
        stored = stored.zeros_where_not_computed()
    for sentence in doubts_of(image) if "occurrences" in image.attributes else ():
        warnings.warn(sentence, stacklevel=3)
    array = open_lazily(stored, (*lead, *chunks))
    attributes = {
        k: v
        for k, v in image.attributes.items()
        if k in ("scale", "classes", "model", "network", "source", "ignore_value")
    }
    own_grid = image.own_grid
    if own_grid != image.grid and own_grid.voxel_size is not None:
        attributes |= {"own_voxel_size": own_grid.voxel_size, "own_shape": own_grid.shape}
    if any(image.origin):
        attributes["origin"] = image.origin
    return tomogram(array, voxel_size or image.voxel_size, image.name, start=image.origin, **attributes)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Open a network: check it whole and give its card, without keeping the weights.

    Parameters
    ----------
    path : path
        ``.safetensors``, a folder that holds one, or the original's ``.pth`` or (2D network) ``.h5``; ``"demo_network"``
        is the one that comes with the package, unless there is a file of that name.

    Raises
    ------
    MissingFileError, FormatError, UnsafeCheckpointError
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"a network is given by its path or the name demo_network, not by a {type(path).__name__}"
        )
    return load_checkpoint_of(path)
