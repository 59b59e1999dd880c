"""Zarr groups and arrays as tomograms to read."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.formats.volume import (
    IN_ORDER,
    NO_CHOICE,
    WAY_OUT,
    Choice,
    Region,
    StoredAxes,
    Volume,
    check_real,
    check_shape,
    choose_channel,
    judge_voxel_size,
)
from deepict_dask.io.formats.zarr_listing import Listing, is_zarr, list_array, missing_chunks
from deepict_dask.io.location import Location
from deepict_dask.io.ngff import Multiscale, contained_images, read_multiscale
from deepict_dask.io.ome_zarr import open_own_image
from deepict_dask.io.stored_array import StoredArray
from deepict_dask.io.zarr_store import open_array, open_group
from deepict_dask.tomogram import VoxelSize

__all__ = ["ZarrVoxels", "is_zarr", "open_zarr"]


@dataclass(frozen=True)
class ZarrVoxels:
    """Level 0 of an OME-Zarr image, or a bare Zarr array.

    Attributes
    ----------
    group, level : str
        The group (or the array itself) and the array within it (or nothing).
    array : StoredArray
        The array.
    axes : StoredAxes
        Where z, y, x lie in it.
    """

    group: str
    level: str
    array: StoredArray
    axes: StoredAxes = IN_ORDER

    def read(self, region: Region) -> np.ndarray:
        """Read one region, a tuple of (z, y, x) slices, as a C-contiguous array.

        Raises
        ------
        FormatError
            If a chunk is damaged or cut off; names its file.
        """
        dtype = self.array.dtype.newbyteorder("=")
        return np.ascontiguousarray(self.axes.read(self.array, region), dtype=dtype)


def open_zarr(path: str | Path, choice: Choice = NO_CHOICE) -> tuple[Volume, Listing]:
    """Open an OME-Zarr image or a bare Zarr array, Zarr v2 or v3, as a tomogram.

    Parameters
    ----------
    path : str or Path
        The folder. One that only holds images (bioformats2raw) is opened where it holds one.
    choice : Choice
        Its ``channel`` chooses where there are several, its ``dataset`` one of several images.

    Returns
    -------
    volume : Volume
        Level 0, its axes in any order, other axes of length 1 or chosen. A bare array has no voxel size.
    listing : Listing
        Of the files of level 0.

    Raises
    ------
    FormatError
        If it is not an image with these axes, has complex voxels, or is an output of this
        package that was not finished.
    InputError
        If it holds several images or channels and none was chosen.
    """
    path = Path(path)
    if not is_zarr(path):
        raise FormatError(f"{path} is a folder but not a Zarr group; name the files in it or a glob")
    if _is_array(path):
        array = open_array(path)
        bare = f"{path} is a bare Zarr array without a voxel size; give it with --voxel-size"
        names = _dimension_names(array) or tuple("tczyx")[-array.ndim :]
        return _volume(path, "", array, names, choice, {"ome_version": None, "levels": 1}, doubt=bare)
    attributes = dict(open_group(path, "r").attrs)
    image = read_multiscale(attributes, str(path))
    if image is None:
        inner = _contained(path, attributes, choice)
        volume, listing = open_zarr(path / inner, replace(choice, dataset=None))
        return replace(volume, details={"image": inner, **volume.details}), listing
    own_image = open_own_image(path)
    if own_image is not None and not own_image.is_complete:
        raise FormatError(f"{path} was not finished by the program that wrote it; run that stage again")
    level = image.paths[0]
    array = open_array(path / level)
    names = image.axes
    if array.ndim < len(names) and names == tuple("tczyx"):  # understood, not written
        names = names[-array.ndim :]
    if array.ndim != len(names):
        raise FormatError(f"{path} names {len(names)} axes, but its array {level} has {array.ndim}")
    voxel_size, doubt = _voxel_size(image, str(path), is_own=own_image is not None)
    remarks = []
    if own_image is None and voxel_size is not None and image.scale == (1.0, 1.0, 1.0):
        remarks.append(
            f"{path} gives a scale of exactly 1 {image.units[0]}, which programs write when they do not know it; its "
            "voxel size may have to be given with --voxel-size"
        )
    details = {"ome_version": image.version, "levels": len(image.paths)}
    stored = None
    if own_image is not None:
        # Its missing shards are errors of reading, and its attributes facts.
        stored, details = own_image.array, {**details, **own_image.attributes}
    volume, listing = _volume(
        path, level, array, names, choice, details, voxel_size, doubt, image.origin, stored
    )
    return replace(volume, warnings=(*volume.warnings, *remarks)), listing


def _volume(
    path: Path,
    level: str,
    array: Any,
    names: tuple[str, ...],
    choice: Choice,
    details: dict[str, Any],
    voxel_size: VoxelSize | None = None,
    doubt: str | None = None,
    origin: VoxelSize | None = None,
    own_array: StoredArray | None = None,
) -> tuple[Volume, Listing]:
    place = str(path)
    warnings: list[str] = []
    if array.ndim < 3 or len(names) != array.ndim:
        raise FormatError(f"{path} has shape {tuple(array.shape)}; a tomogram has the axes z, y and x")
    axes = _axes(array.shape, names, choice, place)
    if axes.zyx != tuple(sorted(axes.zyx)):
        order = ", ".join(name for name in names if name in "zyx")
        warnings.append(f"{path} is stored with its axes in the order {order}; it is delivered as z, y, x")
    shape = check_shape(axes.of(array.shape), place)
    dtype = check_real(np.dtype(array.dtype), place)
    stored = tuple(array.shards or array.chunks)
    if min(*stored, *array.chunks) < 1:
        raise FormatError(f"{path} claims chunks of {stored} voxels; its metadata is damaged")
    listing = list_array(path, level)
    missing = missing_chunks(listing, array, place)
    if missing and own_array is None:
        total = int(
            np.prod([-(-n // edge) for n, edge in zip(array.shape, stored, strict=True)], dtype=object)
        )
        warnings.append(
            f"{missing} of {total} chunks of {path} are missing; their voxels are read as "
            f"{array.fill_value or 0}, so copy it again if it should be whole"
        )
    volume = Volume(
        format="ome-zarr",
        shape=shape,
        dtype=dtype,
        voxels=ZarrVoxels(place, level, own_array or StoredArray.of(Location.of(path / level)), axes),
        voxel_size=voxel_size,
        doubt=doubt,
        origin=origin,
        chunk=axes.of(array.chunks),
        details={**details, "chunks": list(array.chunks)},
        warnings=tuple(warnings),
    )
    return volume, listing


def _dimension_names(array: Any) -> tuple[str, ...] | None:
    """Give the names of the axes of a bare array, as Zarr v3 or xarray keep them; None where they tell nothing."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, (list, tuple)) or len(names) != array.ndim:
        return None
    lower = tuple(str(name).lower() for name in names)
    return lower if all(lower.count(axis) == 1 for axis in "zyx") else None


def _axes(shape: tuple[int, ...], names: tuple[str, ...], choice: Choice, place: str) -> StoredAxes:
    zyx = (names.index("z"), names.index("y"), names.index("x"))
    other_axes = []
    for axis, name in enumerate(names):
        if axis in zyx:
            continue
        index = 0
        if name == "c":
            index = choose_channel(shape[axis], choice, f"{place}, of shape {tuple(shape)},")
        elif shape[axis] != 1:
            raise FormatError(
                f"{place} has shape {tuple(shape)} with {shape[axis]} entries along {name}; it is a series and not one "
                "tomogram, so give it one by one"
            )
        other_axes.append((axis, index))
    return StoredAxes(zyx, tuple(other_axes))


def _voxel_size(image: Multiscale, place: str, *, is_own: bool) -> tuple[VoxelSize | None, str | None]:
    if image.voxel_size is not None:
        # What this program wrote, someone gave.
        return (image.voxel_size, None) if is_own else judge_voxel_size(image.voxel_size, place)
    if image.scale is None:
        return None, f"{place} gives no scale; give its voxel size with --voxel-size"
    numbers = ", ".join(f"{edge:g}" for edge in image.scale)
    units = ", ".join(unit for unit in dict.fromkeys(image.units) if unit)
    unit = f"in the unknown unit {units}" if units else "without a known unit"
    return None, f"{place} gives a scale of ({numbers}) (z, y, x) {unit}{WAY_OUT} in A"


def _contained(path: Path, attributes: dict[str, Any], choice: Choice) -> str:
    """Give the name of the one image in a group that is none itself."""
    images: list[str] = []
    if contained_images(attributes):
        for name in _series(path):
            if is_zarr(path / name) and not _is_array(path / name):
                images.append(name)
    if choice.dataset in images and choice.dataset is not None:
        return choice.dataset
    listed = ", ".join(images[:8]) + (f" and {len(images) - 8} more" if len(images) > 8 else "")
    if choice.dataset is not None:
        raise InputError(f"{path} holds no image {choice.dataset}; those it holds are: {listed or 'none'}")
    if len(images) == 1:
        return images[0]
    if images:
        raise InputError(f"{path} holds several images ({listed}); name one, such as {path / images[0]}")
    inner = sorted(child.name for child in path.iterdir() if child.is_dir() and is_zarr(child))
    way_out = f"; it holds {', '.join(inner[:8])}: name one, such as {path / inner[0]}" if inner else ""
    raise FormatError(f"{path} is a Zarr group but not an OME-Zarr image (it has no multiscales){way_out}")


def _series(path: Path) -> list[str]:
    """Names of the images of a bioformats2raw group: as listed in its group OME, else its numbered children."""
    if is_zarr(path / "OME"):
        attributes = dict(open_group(path / "OME", "r").attrs)
        inner = attributes.get("ome", attributes)
        series = inner.get("series") if isinstance(inner, dict) else None
        if isinstance(series, list) and all(isinstance(name, str) for name in series):
            # Names come from a file: none may lead out of the group.
            return [name for name in series if not {"..", ""} & set(name.split("/"))]
    numbers = [child.name for child in path.iterdir() if child.name.isdecimal()]
    return sorted(numbers, key=int)


def _is_array(path: Path) -> bool:
    if (path / ".zarray").is_file():
        return True
    metadata = path / "zarr.json"
    if not metadata.is_file():
        return False
    try:
        content = json.loads(metadata.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__} and not a mapping")
        return bool(content["node_type"] == "array")
    except (ValueError, KeyError) as error:
        raise FormatError(f"{metadata} is damaged ({error}); copy it again") from error
