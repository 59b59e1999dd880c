"""A tomogram in a file, whatever its format: what its header says, and the way to its voxels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np

from deepict_dask.errors import FormatError, InputError
from deepict_dask.geometry import Shape
from deepict_dask.tomogram import VoxelSize

Region = tuple[slice, slice, slice]
# The order in which axes lie in a file, the fastest first: as its header says, or as ``tilt`` of IMOD writes.
FileAxes = Literal["xyz", "xzy"]

# Smallest and largest edge of a voxel that a tomogram can sensibly have, in A.
_PLAUSIBLE_ANGSTROM = (0.1, 1000.0)
# A tomogram shows a good part of a micrometer. One of small voxels and less than this in A is in nanometers.
_SMALLEST_FIELD, _NANOMETER_LIKE = 2500.0, 2.5
_MOST_ANISOTROPIC = 3.0
# 35,000 voxels along each axis; more is a header that lies.
_MOST_VOXELS = 1 << 45
WAY_OUT = "; give the true one with --voxel-size"


@dataclass(frozen=True)
class Choice:
    """How to read a file that leaves a choice.

    Attributes
    ----------
    dataset : str or None
        Name of the volume in a file that holds several.
    channel : int or None
        Which of several channels, from 0.
    axes : {"xyz", "xzy"} or None
        How the axes lie in the file, the fastest first; None as its header says.
    """

    dataset: str | None = None
    channel: int | None = None
    axes: FileAxes | None = None


@dataclass(frozen=True)
class StoredAxes:
    """Where z, y and x lie in a stored array.

    Attributes
    ----------
    zyx : (int, int, int)
        Which stored axis is z, y and x.
    fixed : tuple of (int, int)
        Each other axis and the index on it where the tomogram lies.
    """

    zyx: Shape = (0, 1, 2)
    fixed: tuple[tuple[int, int], ...] = ()

    def of(self, values: Any) -> tuple[Any, Any, Any]:
        """Give the (z, y, x) entries of a sequence with one entry per stored axis."""
        z, y, x = (values[axis] for axis in self.zyx)
        return z, y, x

    def read(self, stored: Any, region: Region) -> np.ndarray:
        """Read a (z, y, x) region of a stored array.

        Examples
        --------
        >>> stored = np.arange(6).reshape(1, 3, 2, 1)  # c, x, y, z
        >>> StoredAxes((3, 2, 1), ((0, 0),)).read(stored, (slice(0, 1), slice(1, 2), slice(0, 3)))
        array([[[1, 3, 5]]])
        """
        key: list[Any] = [None] * (3 + len(self.fixed))
        for axis, part in zip(self.zyx, region, strict=True):
            key[axis] = part
        for axis, index in self.fixed:
            key[axis] = index
        kept = sorted(self.zyx)
        order = tuple(kept.index(axis) for axis in self.zyx)
        return np.asarray(stored[tuple(key)]).transpose(order)

    def with_y_and_z_swapped(self) -> StoredAxes:
        """Take what was y for z."""
        z, y, x = self.zyx
        return StoredAxes((y, z, x), self.fixed)


# As nearly every file is.
IN_ORDER = StoredAxes()
NO_CHOICE = Choice()


class Voxels(Protocol):
    """The way to the voxels; it travels to other processes as a path and a few numbers."""

    def read(self, region: Region) -> np.ndarray:
        """Read one region as a C-contiguous copy in the byte order of this machine."""
        ...


@dataclass(frozen=True)
class Volume:
    """What a file says about the tomogram in it.

    Attributes
    ----------
    format : str
        ``"mrc"``, ``"em"``, ``"hdf5"`` or ``"ome-zarr"``.
    shape : (int, int, int)
        (z, y, x) voxels.
    dtype : numpy.dtype
        Of what ``read`` gives, in the byte order of this machine.
    voxels : Voxels
        Reads a region.
    voxel_size : (float, float, float) or None
        (z, y, x) in A; None where the header has none, or one that cannot be believed.
    doubt : str or None
        A sentence on why there is no voxel size, with the way out.
    origin : (float, float, float) or None
        (z, y, x) in A of the center of the first voxel, where the header says one.
    value_range : (float, float) or None
        Smallest and largest value of a voxel as the header says.
    chunk : (int, int, int) or None
        (z, y, x) voxels that must be decoded together; None where voxels lie plainly.
    details : dict
        What ``info`` prints: mode, byte order, labels and so on.
    warnings : tuple of str
        Sentences on what in the header was wrong, and what was used instead.
    """

    format: str
    shape: Shape
    dtype: np.dtype
    voxels: Voxels
    voxel_size: VoxelSize | None = None
    doubt: str | None = None
    origin: VoxelSize | None = None
    value_range: tuple[float, float] | None = None
    chunk: Shape | None = None
    details: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def read(self, region: Region) -> np.ndarray:
        """Read one region, a tuple of (z, y, x) slices with step 1."""
        return self.voxels.read(region)

    def with_y_and_z_swapped(self) -> Volume:
        """Take what was y for z, in facts and voxels."""

        def swap(zyx: Any) -> Any:
            return None if zyx is None else (zyx[1], zyx[0], zyx[2])

        voxels: Any = self.voxels
        return replace(
            self,
            shape=swap(self.shape),
            voxel_size=swap(self.voxel_size),
            origin=swap(self.origin),
            chunk=swap(self.chunk),
            voxels=replace(voxels, axes=voxels.axes.with_y_and_z_swapped()),
        )


def check_shape(shape: Shape, place: str) -> Shape:
    """Refuse a shape that no tomogram has.

    Raises
    ------
    FormatError
        If an axis has no voxel, or there are more than 2**45 in all.
    """
    n = 1
    for edge in shape:
        n *= int(edge)  # Python's integers: numpy's would wrap around
    if min(shape) < 1:
        raise FormatError(f"{place} is empty, of shape {shape} (z, y, x)")
    if n > _MOST_VOXELS:
        raise FormatError(
            f"{place} claims a shape of {shape} (z, y, x), which are {n:.2g} voxels; its header is damaged"
        )
    return shape


def check_real(dtype: np.dtype, place: str) -> np.dtype:
    """Give a dtype in the byte order of this machine; FormatError if it is not one of real numbers."""
    if dtype.kind not in "iufb":
        raise FormatError(f"{place} has dtype {dtype}; real numbers are needed")
    return dtype.newbyteorder("=")


def judge_voxel_size(
    values: VoxelSize, place: str, shape: Shape | None = None
) -> tuple[VoxelSize | None, str | None]:
    """Judge the voxel size that a header gives.

    Parameters
    ----------
    values : (float, float, float)
        (z, y, x) in A as computed from the header; may be NaN, zero or anything.
    place : str
        What to call the file in the sentence.
    shape : (int, int, int), optional
        (z, y, x) voxels; where it is given, a size that looks like nanometers is doubted. Leave it out
        where the file says its unit.

    Returns
    -------
    voxel_size : (float, float, float) or None
        Rounded to six digits, which a float32 header can carry (13.48, not 13.4799995); None if it cannot
        be believed.
    doubt : str or None
        Why, and the way out.

    Examples
    --------
    >>> judge_voxel_size((13.4799995, 13.48, 13.48), "a.mrc")
    ((13.48, 13.48, 13.48), None)
    """
    low, high = _PLAUSIBLE_ANGSTROM
    if all(value == 0 for value in values):
        return None, f"the header of {place} has no voxel size{WAY_OUT}"
    shown = ", ".join(f"{value:.6g}" for value in values)
    gives = f"the header of {place} gives a voxel size of ({shown}) A (z, y, x), which was ignored"
    if not all(low <= value <= high for value in values):
        return None, f"{gives}: no tomogram has such voxels{WAY_OUT}"
    z, y, x = (float(f"{value:.6g}") for value in values)
    if z == y == x == 1.0:
        return None, (
            f"the header of {place} gives a voxel size of exactly 1 A, which programs write when they do not "
            f"know it{WAY_OUT}"
        )
    if max(z, y, x) > _MOST_ANISOTROPIC * min(z, y, x):
        return None, f"{gives}: its edges differ too much{WAY_OUT}"
    if shape is not None and max(z, y, x) < _NANOMETER_LIKE:
        extent = max(n * edge for n, edge in zip(shape, (z, y, x), strict=True))
        if extent < _SMALLEST_FIELD:
            return None, (
                f"{gives}: the tomogram would be {extent:.0f} A wide, so these look like nanometers{WAY_OUT} in A"
            )
    return (z, y, x), None


def choose_channel(n: int, choice: Choice, place: str, what: str = "channels") -> int:
    """Give the index on an axis of channels.

    Raises
    ------
    InputError
        If there are several and none was chosen, or not the chosen one.
    """
    if choice.channel is None:
        if n == 1:
            return 0
        raise InputError(f"{place} has {n} {what}; say which with --channel, from 0 to {n - 1}")
    if not 0 <= choice.channel < n:
        raise InputError(f"{place} has {n} {what}, so channel {choice.channel} is not one; count from 0")
    return choice.channel
