"""Voxels that lie plainly in a file: MRC and EM share this, and nothing is read until asked for."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import FormatError, MissingFileError
from deepict_dask.geometry import Shape
from deepict_dask.io.formats.volume import IN_ORDER, Region, StoredAxes


@dataclass(frozen=True)
class PlainVoxels:
    """Where the voxels of a file lie.

    Attributes
    ----------
    path : str
        The plain (not compressed) file.
    offset : int
        Bytes before the first voxel.
    stored_shape : (int, int, int)
        Sections, rows and columns as they lie in the file.
    stored_dtype : str
        numpy's name of the dtype with its byte order, such as ``">f4"``.
    axes : StoredAxes
        Which of them are z, y and x; in that order in nearly every file.
    """

    path: str
    offset: int
    stored_shape: Shape
    stored_dtype: str
    axes: StoredAxes = IN_ORDER

    @property
    def end(self) -> int:
        """Bytes up to the last voxel, headers included."""
        return self.offset + math.prod(self.stored_shape) * np.dtype(self.stored_dtype).itemsize

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
                "every worker can read them"
            ) from error
        if size < self.end:
            raise FormatError(
                f"{self.path} has {size} bytes but had at least {self.end} when it was opened; "
                "let the program that writes it finish, then start again"
            )
        mapped = np.memmap(self.path, self.stored_dtype, "r", self.offset, self.stored_shape)
        dtype = np.dtype(self.stored_dtype).newbyteorder("=")
        return np.array(self.axes.read(mapped, region), dtype=dtype, order="C")


@dataclass(frozen=True)
class NibbleVoxels:
    """Voxels of 4 bits, two per byte, the lower half first; each row begins a byte.

    Attributes
    ----------
    bytes : PlainVoxels
        The bytes, as they lie in the file.
    columns : int
        Voxels of a row.
    axes : StoredAxes
        As in `PlainVoxels`.
    """

    bytes: PlainVoxels
    columns: int
    axes: StoredAxes = IN_ORDER

    @property
    def path(self) -> str:
        """The file."""
        return self.bytes.path

    @property
    def end(self) -> int:
        """Bytes up to the last voxel, headers included."""
        return self.bytes.end

    def read(self, region: Region) -> np.ndarray:
        """Read one region as uint8 from 0 to 15, as `PlainVoxels.read` does."""
        stored = dict(zip(self.axes.zyx, region, strict=True))
        first, last, _ = stored[2].indices(self.columns)
        start = first // 2
        packed = self.bytes.read((stored[0], stored[1], slice(start, -(-last // 2))))
        both = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:2], -1)
        row = both[:, :, first - 2 * start : max(first, last) - 2 * start]
        return np.ascontiguousarray(row.transpose(self.axes.zyx))
