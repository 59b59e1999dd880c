"""The tomogram: a lazy ``xarray.DataArray`` with dims (z, y, x) and its voxel size in its attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape

if TYPE_CHECKING:
    import xarray

VoxelSize = tuple[float, float, float]

SAME_VOXEL_SIZE = 0.05
"""Voxel sizes that differ by no more than this share count as the same."""


@dataclass(frozen=True)
class Grid:
    """The voxels of a volume over a specimen; the center of the first one is the origin.

    Attributes
    ----------
    shape : (int, int, int)
        (z, y, x) voxels.
    voxel_size : (float, float, float) or None
        (z, y, x) in A; None where it is not known.
    """

    shape: Shape
    voxel_size: VoxelSize | None

    def __str__(self) -> str:
        return f"{by(self.shape)} voxels of {angstrom(self.voxel_size)}"


def by(shape: tuple[int, ...]) -> str:
    """Write a shape.

    >>> by((1, 2, 3))
    '1 x 2 x 3'
    """
    return " x ".join(map(str, shape))


def angstrom(size: VoxelSize | float | None) -> str:
    """Write a voxel size; one number where it is the same on all axes.

    >>> angstrom((10.0, 10.0, 10.0)), angstrom((10.0, 5.0, 5.0)), angstrom(None)
    ('10 A', '10 x 5 x 5 A', 'unknown size')
    """
    if size is None:
        return "unknown size"
    edges = [f"{edge:.6g}" for edge in ((size,) * 3 if isinstance(size, (int, float)) else size)]
    return (edges[0] if len(set(edges)) == 1 else " x ".join(edges)) + " A"


def same_voxel_size(a: VoxelSize | float, b: VoxelSize | float) -> bool:
    """Say whether two voxel sizes in A agree to 5 % on every axis."""
    return all(abs(x / y - 1) <= SAME_VOXEL_SIZE for x, y in zip(per_axis(a), per_axis(b), strict=True))


def tomogram(
    array: Any,
    voxel_size: float | VoxelSize | None,
    name: str = "tomogram",
    *,
    start: VoxelSize = (0.0, 0.0, 0.0),
    **attributes: Any,
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
    start : (float, float, float)
        Coordinates of the center of the first voxel in A, (z, y, x); not 0 for a box of a tomogram.
    **attributes
        Further attributes.

    Returns
    -------
    xarray.DataArray
        Attribute ``voxel_size`` is a float if isotropic, else a (z, y, x) tuple; where it is known, coordinates z, y, x
        are in A. Of several ``classes``, coordinate ``class`` has the names.

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
    coords: dict[str, Any] = {}
    attrs: dict[str, Any] = {"units": "angstrom", **attributes}
    if voxel_size is not None:
        size = per_axis(voxel_size)
        attrs["voxel_size"] = size[0] if len(set(size)) == 1 else size
        for axis, n, edge, first in zip("zyx", array.shape[-3:], size, start, strict=True):
            coords[axis] = (axis, first + np.arange(n) * edge, {"units": "angstrom"})
    if array.ndim == 4 and len(attrs.get("classes") or ()) == array.shape[0]:
        coords["class"] = list(attrs["classes"])
    return xarray.DataArray(array, dims=dims, name=name, attrs=attrs, coords=coords)


def voxel_size_of(attributes: Mapping[str, Any]) -> VoxelSize | None:
    """Read the voxel size in A, (z, y, x), from a tomogram's attributes; None if it has none."""
    size = attributes.get("voxel_size")
    return None if size is None else per_axis(size)


def per_axis(size: Any, what: str = "a voxel size in A", *, signed: bool = False) -> VoxelSize:
    """Read one number for all axes, or three for (z, y, x), of whatever a user or a file gives.

    Parameters
    ----------
    size : float, str, sequence or array
        ``13.48``, ``"13.48"``, ``"27,13.5,13.5"``, ``(27, 13.5, 13.5)``, a numpy scalar or array.
    what : str
        What it is, for the error.
    signed : bool
        Whether zero and negative numbers are allowed, as of a direction.

    Raises
    ------
    InputError
        If it is not one or three finite (and positive) numbers.

    Examples
    --------
    >>> per_axis("13.48"), per_axis((2, 1, 1))
    ((13.48, 13.48, 13.48), (2.0, 1.0, 1.0))
    """
    try:
        numbers = tuple(float(value) for value in axes_of(size))
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) != 3 or not all(math.isfinite(n) and (signed or n > 0) for n in numbers):
        kind = "finite" if signed else "positive"
        shown = size if isinstance(size, str) else _plain(size)
        raise InputError(f"{what} is one {kind} number, or three as z,y,x, not {shown!r:.100}")
    return numbers[0], numbers[1], numbers[2]


def axes_of(value: Any) -> tuple[Any, ...]:
    """Split what stands for (z, y, x) into three, one standing for all; empty if it is neither one nor three.

    >>> axes_of("4"), axes_of([1, 2, 3]), axes_of("1,2")
    (('4', '4', '4'), (1, 2, 3), ())
    """
    value = _plain(value)
    if isinstance(value, str):
        value = value.split(",") if "," in value else value.split()
    if isinstance(value, bool):
        return ()
    if isinstance(value, (int, float)):
        return (value, value, value)
    if not isinstance(value, (list, tuple)):
        return ()
    parts = tuple(value)
    return parts * 3 if len(parts) == 1 else parts if len(parts) == 3 else ()


def _plain(value: Any) -> Any:
    """Make Python numbers and lists of numpy's."""
    return value.tolist() if hasattr(value, "tolist") else value
