"""What Python users give for a tomogram: an open one, an array, or a path; checked where it comes in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.tomogram import VoxelSize, same_voxel_size, tomogram, voxel_size_of

if TYPE_CHECKING:
    import xarray

# Attributes that say what a map is, and on what its tomogram's own voxels were.
_KEPT = ("own_voxel_size", "own_shape", "origin", "source", "ignore_value")


def as_tomogram(value: Any, what: str = "a tomogram", ndim: tuple[int, ...] = (3,)) -> xarray.DataArray:
    """Take what a user gives for a tomogram, map or mask.

    Parameters
    ----------
    value : xarray.DataArray, numpy or dask array, or path
        Dims (z, y, x); what has no names of dims is taken to be in this order, and has no voxel size.
    what : str
        For sentences.
    ndim : tuple of int
        How many axes it may have.

    Raises
    ------
    InputError
        If it is something else, has another number of axes, or voxels that are no real numbers.
    """
    import xarray

    if isinstance(value, (str, os.PathLike)):
        from deepict_dask.api.opening import open_tomogram

        value = open_tomogram(value)
    if not isinstance(value, xarray.DataArray):
        if not hasattr(value, "ndim") or not hasattr(value, "dtype"):
            raise InputError(
                f"{what} is a DataArray from open_tomogram, an array with axes (z, y, x) or a path, not a "
                f"{type(value).__name__}"
            )
        # Before it is wrapped: xarray's own errors name its dims only.
        _check_axes(value, what, ndim)
        value = tomogram(value, None)
    _check_axes(value, what, ndim)
    dims = ("class", "z", "y", "x")[-value.ndim :]
    if set(value.dims) != set(dims):
        raise InputError(f"{what} has dims {dims}, not {value.dims}; rename or choose")
    if value.dtype.kind not in "fiub":
        raise InputError(f"{what} has voxels of type {value.dtype}, which are no real numbers")
    return value.transpose(*dims)


def _check_axes(value: Any, what: str, ndim: tuple[int, ...]) -> None:
    if value.ndim in ndim:
        return
    if value.ndim == 4 and "class" in getattr(value, "dims", ()):
        names = ", ".join(map(str, value.coords["class"].values)) if "class" in value.coords else "several"
        raise InputError(f'{what} has one class, not {names}; choose one with .sel({{"class": NAME}})')
    raise InputError(f"{what} has axes (z, y, x), not the {value.ndim} of shape {tuple(value.shape)}")


def voxel_size_at(image: xarray.DataArray) -> VoxelSize | None:
    """Give the voxel size (z, y, x) in A; None where it is not known.

    Raises
    ------
    InputError
        If the coordinates are not evenly spaced, or say something else than the attribute.
    """
    size = voxel_size_of(image.attrs)
    if size is None:
        return None
    edges = []
    for axis, edge in zip("zyx", size, strict=True):
        steps = np.diff(image.coords[axis].values) if axis in image.coords else np.empty(0)
        if len(steps) and not np.allclose(steps, steps[0], rtol=1e-6, atol=0):
            raise InputError(
                f"the coordinates along {axis} are not evenly spaced; give a whole tomogram or a box of it"
            )
        edges.append(float(steps[0]) if len(steps) else edge)
    if any(e <= 0 for e in edges) or not same_voxel_size((edges[0], edges[1], edges[2]), size):
        raise InputError(
            f"the coordinates are {edges} A apart (z, y, x), but attrs['voxel_size'] is {size}; correct one of them, "
            "or take voxels without gaps"
        )
    return size


def start_of(image: xarray.DataArray) -> VoxelSize:
    """Give the coordinates of the first voxel in A, (z, y, x); 0 where there are none."""
    z, y, x = (float(image.coords[a].values.flat[0]) if a in image.coords else 0.0 for a in "zyx")
    return z, y, x


def like(image: xarray.DataArray, array: Any, **attributes: Any) -> xarray.DataArray:
    """Make a tomogram of an array over the voxels of another: with its name, voxel size and coordinates."""
    kept = {key: image.attrs[key] for key in _KEPT if key in image.attrs}
    name = str(image.name or "tomogram")
    return tomogram(array, voxel_size_at(image), name, start=start_of(image), **{**kept, **attributes})
