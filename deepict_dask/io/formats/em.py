"""Headers of EM files (TOM toolbox)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.geometry import Shape
from deepict_dask.io.formats.plain import PlainVoxels
from deepict_dask.io.formats.volume import Volume, check_shape, judge_voxel_size

HEADER_BYTES = 512
_DTYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 9: "f8"}
_COMPLEX = (8, 10)
# OS-9, VAX, Convex, SGI, Sun, Mac, PC
_ORDERS = {0: ">", 1: "<", 2: ">", 3: ">", 4: ">", 5: ">", 6: "<"}
# The seventh of forty parameters behind magic, shape and comment: pixel size in the object plane, in mA.
_OBJECT_PIXEL = 4 + 12 + 80 + 6 * 4
# Beyond this a size is one read in the wrong byte order.
_LARGEST = 1 << 45


def looks_like_em(head: bytes, size: int | None) -> bool:
    """Tell from its first bytes and its size whether a file is EM; the format has no magic number.

    Without a size (packed files) any shape that is possible will do.
    """
    if len(head) < HEADER_BYTES or head[0] not in _ORDERS or head[3] not in {*_DTYPES, *_COMPLEX}:
        return False
    expected = [_expected_size(head, order) for order in "<>"]
    return any(0 < n < _LARGEST for n in expected) if size is None else size in expected


def open_em(path: str | Path) -> Volume:
    """Read the header of a plain EM file, see `read_em`."""
    with open(path, "rb") as file:
        return read_em(file.read(HEADER_BYTES), os.stat(path).st_size, str(path))


def read_em(head: bytes, size: int | None, path: str) -> Volume:
    """Understand the header of an EM file.

    Parameters
    ----------
    head : bytes
        The first 512 bytes.
    size : int or None
        Bytes of the file; None where it is not known (packed files), and the header is taken at its word.
    path : str
        The file, to read from and for sentences.

    Returns
    -------
    Volume
        Codes 1 (int8), 2 (int16), 4 (int32), 5 (float32) and 9 (float64), both byte orders.
        The voxel size is the header's object-plane pixel size (in thousandths of an A), where
        it is set.

    Raises
    ------
    FormatError
        For complex data, an unknown code, or a shape that the file does not hold.

    References
    ----------
    Nickell et al. (2005), TOM software toolbox (``tom_emread.m``).
    """
    if len(head) < HEADER_BYTES:
        raise FormatError(f"{path} has {len(head)} bytes, fewer than the {HEADER_BYTES} of an EM header")
    machine, code = head[0], head[3]
    if code in _COMPLEX:
        raise FormatError(f"{path} has EM data type {code}, complex numbers; convert it to real voxels")
    if code not in _DTYPES or machine not in _ORDERS:
        raise FormatError(
            f"{path} is not an EM file that can be read: machine code {machine}, data type {code}; "
            f"known types are {', '.join(map(str, _DTYPES))}"
        )
    warnings: list[str] = []
    order = _ORDERS[machine]
    expected = _expected_size(head, order)
    if expected != size:
        other = "<" if order == ">" else ">"
        swapped = _expected_size(head, other)
        if swapped == size or (size is None and not 0 < expected < _LARGEST and 0 < swapped < _LARGEST):
            name = "big" if other == ">" else "little"
            warnings.append(
                f"the machine code of {path} is {machine}, but the header makes sense as {name}-endian"
            )
            order, expected = other, swapped
    shape = _shape(head, order)
    if min(shape) < 1:
        raise FormatError(f"{path} has an EM header with shape {shape} (z, y, x); it is damaged")
    check_shape(shape, path)
    if size is not None and size < expected:
        raise FormatError(
            f"{path} is cut off: {expected - size} of {expected} bytes are missing; copy it again"
        )
    if size is not None and size > expected:
        warnings.append(f"{path} has {size - expected} bytes behind its voxels, which were ignored")
    edge = int(np.frombuffer(head, order + "i4", 1, _OBJECT_PIXEL)[0]) / 1000
    voxel_size, doubt = judge_voxel_size((edge, edge, edge), path, shape)
    comment = head[16:96].decode("ascii", "replace").strip("\0 ")
    dtype = np.dtype(order + _DTYPES[code])
    return Volume(
        format="em",
        shape=shape,
        dtype=dtype.newbyteorder("="),
        voxels=PlainVoxels(path, HEADER_BYTES, shape, dtype.str),
        voxel_size=voxel_size,
        doubt=doubt,
        details={
            "data_type": code,
            "byte_order": "big" if order == ">" else "little",
            "labels": [comment] if comment else [],
        },
        warnings=tuple(warnings),
    )


def _shape(head: bytes, order: str) -> Shape:
    x, y, z = (int(n) for n in np.frombuffer(head, order + "i4", 3, 4))
    return z, y, x


def _expected_size(head: bytes, order: str) -> int:
    z, y, x = _shape(head, order)
    if min(z, y, x) < 1:
        return -1
    item = 16 if head[3] == 10 else 8 if head[3] == 8 else np.dtype(_DTYPES.get(head[3], "u1")).itemsize
    return HEADER_BYTES + z * y * x * item
