"""The tomogram: a lazy ``xarray.DataArray`` with dims (z, y, x) and its voxel size in its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepict_dask.errors import InputError

if TYPE_CHECKING:
    import xarray

VoxelSize = tuple[float, float, float]


def tomogram(
    array: Any, voxel_size: float | VoxelSize | None, name: str = "tomogram", **attributes: Any
) -> xarray.DataArray:
    """Make a tomogram of an array.

    Parameters
    ----------
    array : array-like, shape (z, y, x) or (class, z, y, x)
        numpy or Dask; taken as it is.
    voxel_size : float or (float, float, float) or None
        Voxel edge in A, one number if isotropic, else (z, y, x).
    name : str
        Name of the tomogram.
    **attributes
        Further attributes.

    Returns
    -------
    xarray.DataArray
        Attribute ``voxel_size`` is a float if isotropic, else a (z, y, x) tuple.

    Examples
    --------
    >>> import numpy as np
    >>> tomogram(np.zeros((2, 3, 4)), (10.0, 10.0, 10.0)).attrs["voxel_size"]
    10.0
    """
    import xarray

    if array.ndim not in (3, 4):
        raise InputError(f"a tomogram has 3 axes (z, y, x), not the {array.ndim} of shape {array.shape}")
    dims = ("class", "z", "y", "x")[-array.ndim :]
    attrs: dict[str, Any] = {"units": "angstrom", **attributes}
    if voxel_size is not None:
        size = per_axis(voxel_size)
        attrs["voxel_size"] = size[0] if len(set(size)) == 1 else size
    return xarray.DataArray(array, dims=dims, name=name, attrs=attrs)


def voxel_size_of(attributes: Mapping[str, Any]) -> VoxelSize | None:
    """Read the voxel size in A, (z, y, x), from a tomogram's attributes; None if it has none."""
    size = attributes.get("voxel_size")
    return None if size is None else per_axis(size)


def per_axis(size: float | VoxelSize) -> VoxelSize:
    """Write a voxel size as (z, y, x) floats in A.

    Raises
    ------
    InputError
        If it is not one or three positive numbers.
    """
    try:
        values = tuple(float(s) for s in size) if not isinstance(size, (int, float)) else (float(size),) * 3
    except (TypeError, ValueError):
        values = ()
    if len(values) != 3 or not all(0 < v < float("inf") for v in values):
        raise InputError(f"a voxel size is one or three positive numbers in A (z, y, x), not {size!r}")
    return values[0], values[1], values[2]
