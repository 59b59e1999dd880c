"""Write MRC files block by block into a memory map whose space is there before the first voxel is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.io.formats.mrc_header import IMOD_STAMP, N_BYTES, SIGNED_AS_MRC2014, header_dtype
from deepict_dask.io.location import Location
from deepict_dask.kernels.statistics import Statistics
from deepict_dask.tomogram import VoxelSize

MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}
"""Dtypes that MRC files hold, and their modes."""


@dataclass(frozen=True)
class MrcForm:
    """What an MRC file is to say of its voxels.

    Attributes
    ----------
    shape : (int, int, int)
        (z, y, x) voxels.
    dtype : str
        A key of `MODES`.
    voxel_size : (float, float, float)
        (z, y, x) in A.
    origin : (float, float, float)
        Center of the first voxel, (z, y, x) in A.
    label : str
        What it is; letters that are not ASCII become ``?``, and 80 are kept.
    """

    shape: Shape
    dtype: str
    voxel_size: VoxelSize
    origin: VoxelSize = (0.0, 0.0, 0.0)
    label: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in MODES:
            raise InputError(f"MRC files hold {', '.join(MODES)}, not {self.dtype}; choose one of them")


@contextmanager
def create_mrc(place: Location, form: MrcForm) -> Iterator[tuple[np.memmap, Callable[[Statistics], None]]]:
    """Make an MRC file; it is there whole when the block ends, or not at all.

    Parameters
    ----------
    place : Location
        The file.
    form : MrcForm
        What it says of its voxels.

    Yields
    ------
    voxels : numpy.memmap, shape (z, y, x)
        To fill, in any order.
    describe : callable
        Takes the statistics of all voxels, for the header.

    Raises
    ------
    OSError
        If the disk has no space for it: that is asked for before anything is written, since a memory map
        cannot say so later.

    References
    ----------
    Cheng et al., MRC2014: Extensions to the MRC format header for electron cryo-microscopy and tomography,
    J. Struct. Biol. 192, 146 (2015).
    """
    dtype = np.dtype(form.dtype).newbyteorder("<")
    n_bytes = N_BYTES + int(np.prod(form.shape, dtype=np.int64)) * dtype.itemsize
    with place.publish() as path:
        with open(path, "w+b") as file:
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        voxels = np.memmap(path, dtype, "r+", N_BYTES, form.shape)
        described: list[Statistics] = []
        yield voxels, described.append
        voxels.flush()
        del voxels
        with open(path, "r+b") as file:
            file.write(_header(form, described[0] if described else None).tobytes())


def _header(form: MrcForm, statistics: Statistics | None) -> np.ndarray:
    header = np.zeros((), header_dtype("<"))
    sizes, edges = form.shape[::-1], form.voxel_size[::-1]
    header["n"] = header["m"] = sizes
    header["mode"] = MODES[form.dtype]
    header["cell"] = [n * edge for n, edge in zip(sizes, edges, strict=True)]
    header["angles"] = 90
    header["map"] = (1, 2, 3)
    header["ispg"] = 1
    header["nversion"] = 20141
    header["map_id"] = b"MAP "
    header["stamp"] = b"\x44\x44\x00\x00"
    header["origin"] = form.origin[::-1]
    # For IMOD: bytes are signed, and the origin is meant as MRC2014 says.
    header["imod_stamp"], header["imod_flags"] = IMOD_STAMP, SIGNED_AS_MRC2014
    # A range whose end lies below its begin means that it was not determined.
    header["range"], header["rms"] = (0, -1, -2), -1
    if statistics is not None:
        header["range"] = (statistics.minimum, statistics.maximum, statistics.mean)
        header["rms"] = statistics.std
    header["n_labels"] = 1
    header["labels"][0] = form.label.encode("ascii", "replace")[:80].ljust(80)
    return header
