"""Voxels that lie plainly in a file: MRC and EM share this, and nothing is read until asked for."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError, MissingFileError

Region = tuple[slice, slice, slice]

# Smallest and largest edge of a voxel that a tomogram can sensibly have, in A.
_PLAUSIBLE_ANGSTROM = (0.1, 1000.0)


@dataclass(frozen=True)
class RawVolume:
    """Where the voxels of a file lie, and what its header says about them.

    Attributes
    ----------
    path : str
        The plain (not compressed) file.
    format : str
        ``"mrc"`` or ``"em"``.
    offset : int
        Bytes before the first voxel.
    stored_shape : (int, int, int)
        Sections, rows and columns as they lie in the file.
    stored_dtype : str
        numpy's name of the dtype with its byte order, such as ``">f4"``.
    axes : (int, int, int)
        Which stored axis is z, y and x; (0, 1, 2) in nearly every file.
    voxel_size : (float, float, float) or None
        (z, y, x) in A; None where the header has none or nonsense.
    details : dict
        What ``info`` prints: mode, byte order, labels and so on.
    warnings : list of str
        Sentences on what in the header was wrong, and what was used instead.
    """

    path: str
    format: str
    offset: int
    stored_shape: tuple[int, int, int]
    stored_dtype: str
    axes: tuple[int, int, int] = (0, 1, 2)
    voxel_size: tuple[float, float, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size in (z, y, x) voxels."""
        z, y, x = (self.stored_shape[axis] for axis in self.axes)
        return z, y, x

    @property
    def dtype(self) -> np.dtype:
        """Dtype of what ``read`` gives, in the byte order of this machine."""
        return np.dtype(self.stored_dtype).newbyteorder("=")

    def read(self, region: Region) -> np.ndarray:
        """Read one region through a memory map; only its pages are touched.

        Parameters
        ----------
        region : tuple of three slices
            (z, y, x) voxels, step 1.

        Returns
        -------
        numpy.ndarray
            A C-contiguous copy in the byte order of this machine.

        Raises
        ------
        MissingFileError, FormatError
            If the file has gone or has become shorter since it was opened (reading a memory map
            beyond the end of its file would kill the process).
        """
        try:
            size = os.stat(self.path).st_size
        except FileNotFoundError as error:
            raise MissingFileError(
                f"{self.path} is no longer there, or not visible from this process; tomograms must lie where "
                "every worker can read them (for compressed ones, also the scratch folder)"
            ) from error
        needed = self.offset + math.prod(self.stored_shape) * np.dtype(self.stored_dtype).itemsize
        if size < needed:
            raise FormatError(
                f"{self.path} has {size} bytes but had at least {needed} when it was opened; "
                "let the program that writes it finish, then start again"
            )
        mapped = np.memmap(self.path, self.stored_dtype, "r", self.offset, self.stored_shape)
        return np.array(mapped.transpose(self.axes)[region], dtype=self.dtype, order="C")


def checked_voxel_size(
    values: tuple[float, float, float], place: str
) -> tuple[tuple[float, float, float] | None, list[str]]:
    """Judge the voxel size that a header gives.

    Parameters
    ----------
    values : (float, float, float)
        (z, y, x) in A as computed from the header; may be NaN, zero or anything.
    place : str
        What to call the file in the warning.

    Returns
    -------
    voxel_size : (float, float, float) or None
        Rounded to six digits, which a float32 header can carry (13.48, not 13.4799995); None if
        any axis is unset or not between 0.1 and 1000 A.
    warnings : list of str

    Examples
    --------
    >>> checked_voxel_size((13.4799995, 13.48, 13.48), "a.mrc")
    ((13.48, 13.48, 13.48), [])
    """
    low, high = _PLAUSIBLE_ANGSTROM
    way_out = "; give the true one with --voxel-size"
    if all(value == 0 for value in values):
        return None, [f"the header of {place} has no voxel size{way_out}"]
    if not all(low <= value <= high for value in values):
        shown = ", ".join(f"{value:.6g}" for value in values)
        return None, [
            f"the header of {place} gives a voxel size of ({shown}) A (z, y, x), which was ignored{way_out}"
        ]
    z, y, x = (float(f"{value:.6g}") for value in values)
    if z == y == x == 1.0:
        return (z, y, x), [
            f"the header of {place} gives a voxel size of exactly 1 A, which programs write when they do not "
            f"know it{way_out}"
        ]
    return (z, y, x), []
