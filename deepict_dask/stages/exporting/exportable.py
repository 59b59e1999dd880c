"""What can be exported: an image of a run, one class of it, or any tomogram; and its voxels block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_own_image
from deepict_dask.io.source import open_source
from deepict_dask.io.stored_array import OneChannel
from deepict_dask.kernels.smoothing import gaussian, gaussian_halo
from deepict_dask.tomogram import VoxelSize


@dataclass(frozen=True, eq=False)
class Exportable:
    """Voxels to export.

    Attributes
    ----------
    voxels : array-like, shape (z, y, x)
        Sliced by block.
    name, kind : str
        Of the tomogram; ``"tomogram"``, ``"probability"`` or ``"labels"``.
    voxel_size, origin : (float, float, float)
        (z, y, x) in A.
    scale : float
        Of a probability map: probability is the voxel times this.
    class_name : str
        Of a probability map.
    n_not_computed : int
        Blocks of it that hold nothing but voxels that were left out, and are 0 here.
    """

    voxels: Any
    name: str
    kind: str
    voxel_size: VoxelSize
    origin: VoxelSize
    scale: float = 1.0
    class_name: str = ""
    n_not_computed: int = 0

    @property
    def shape(self) -> Shape:
        """(z, y, x) voxels."""
        z, y, x = self.voxels.shape[-3:]
        return z, y, x


@contextmanager
def open_exportable(place: Location, class_name: str | None, scratch: Location) -> Iterator[Exportable]:
    """Open what is to be exported; a packed file is unpacked into ``scratch`` for that long.

    Raises
    ------
    InputError
        If it is not finished, has no such class, or several of which none is chosen.
    """
    image = open_own_image(place)
    if image is None and (images := [c.name for c in place.children() if c.name.endswith(".zarr")]):
        raise InputError(f"{place} is a folder; name one of the images in it: {', '.join(images)}")
    if image is None:
        if class_name is not None:
            raise InputError(f"{place} is a tomogram and has no class {class_name!r}; leave the class out")
        source = open_source(place)
        size = source.require_voxel_size()
        scratch.make_folder()
        with source.unpacked(scratch, lambda function, *arguments: function(*arguments)) as plain:
            yield Exportable(plain, source.name, "tomogram", size, source.origin or (0.0, 0.0, 0.0))
        return
    if not image.is_complete:
        raise InputError(f"{image.path} was never finished; run the command that writes it again")
    image.check_whole()
    assert image.voxel_size is not None
    origin = image.file_origin or _origin_beside(image) or (0.0, 0.0, 0.0)
    exportable = Exportable(image.array, image.name, image.kind, image.voxel_size, origin)
    if image.kind != "probability":
        if class_name is not None:
            raise InputError(
                f"{place} is a {image.kind} image and has no class {class_name!r}; leave the class out"
            )
        yield exportable
        return
    channel, chosen = _channel(image, class_name)
    stored = image.array.zeros_where_not_computed()
    voxels = stored if len(image.shape) == 3 else OneChannel(stored, channel)
    # Stored multiples of a step, or probabilities themselves.
    scale = float(image.attributes.get("scale") or 1.0) if image.dtype.kind == "u" else 1.0
    yield replace(
        exportable, voxels=voxels, scale=scale, class_name=chosen, n_not_computed=stored.n_not_computed
    )


def _channel(image: Image, class_name: str | None) -> tuple[int, str]:
    classes = image.classes
    if class_name is None:
        if len(classes) > 1:
            raise InputError(f"{image.path} has the classes {', '.join(classes)}; choose one with --class")
        return 0, classes[0] if classes else ""
    if class_name not in classes:
        raise InputError(
            f"{image.path} has no class {class_name!r}; it has {', '.join(classes) or 'one without a name'}"
        )
    return classes.index(class_name), class_name


def _origin_beside(image: Image) -> VoxelSize | None:
    """Look at the tomogram that an image lies beside, where the image itself does not say."""
    beside = open_own_image(image.location.parent / "tomogram.zarr")
    return None if beside is None else beside.file_origin


def blocks_of(
    voxels: Any, grid: BlockGrid, sigmas: tuple[float, float, float]
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Read block by block, smoothed with a halo where there is a sigma (voxels); gives where each lies and its voxels."""
    halo = gaussian_halo(sigmas)
    for index in grid:
        region = grid.region(index)
        if not any(sigmas):
            yield region, np.asarray(voxels[region])
            continue
        outer = tuple(
            slice(max(0, r.start - h), min(n, r.stop + h))
            for r, h, n in zip(region, halo, grid.shape, strict=True)
        )
        inner = tuple(slice(r.start - o.start, r.stop - o.start) for r, o in zip(region, outer, strict=True))
        yield region, gaussian(np.asarray(voxels[outer]), sigmas)[inner]
