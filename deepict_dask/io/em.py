"""Headers of EM files (TOM toolbox)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.raw import RawVolume, checked_voxel_size

HEADER_BYTES = 512
_DTYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 9: "f8"}
_COMPLEX = (8, 10)
# OS-9, VAX, Convex, SGI, Sun, Mac, PC
_ORDERS = {0: ">", 1: "<", 2: ">", 3: ">", 4: ">", 5: ">", 6: "<"}
# The seventh of forty parameters behind magic, shape and comment: pixel size in the object plane, in mA.
_OBJECT_PIXEL = 4 + 12 + 80 + 6 * 4


def looks_like_em(head: bytes, size: int) -> bool:
    """Tell from its first bytes and its size whether a file is EM; the format has no magic number."""
    if len(head) < HEADER_BYTES or head[0] not in _ORDERS or head[3] not in {*_DTYPES, *_COMPLEX}:
        return False
    return any(_expected_size(head, order) == size for order in "<>")


def open_em(path: str | Path) -> RawVolume:
    """Read the header of an EM file.

    Parameters
    ----------
    path : str or Path
        A plain file.

    Returns
    -------
    RawVolume
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
    path = Path(path)
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        raise FormatError(f"{path} has {size} bytes, fewer than the {HEADER_BYTES} of an EM header")
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
        if _expected_size(head, other) == size:
            name = "big" if other == ">" else "little"
            warnings.append(
                f"the machine code of {path} is {machine}, but the header makes sense as {name}-endian"
            )
            order, expected = other, size
    shape = _shape(head, order)
    if min(shape) < 1:
        raise FormatError(f"{path} has an EM header with shape {shape} (z, y, x); it is damaged")
    if size < expected:
        raise FormatError(
            f"{path} is cut off: {expected - size} of {expected} bytes are missing; copy it again"
        )
    if size > expected:
        warnings.append(f"{path} has {size - expected} bytes behind its voxels, which were ignored")
    edge = int(np.frombuffer(head, order + "i4", 1, _OBJECT_PIXEL)[0]) / 1000
    voxel_size, remarks = checked_voxel_size((edge, edge, edge), str(path))
    comment = head[16:96].decode("ascii", "replace").strip("\0 ")
    return RawVolume(
        path=str(path),
        format="em",
        offset=HEADER_BYTES,
        stored_shape=shape,
        stored_dtype=np.dtype(order + _DTYPES[code]).str,
        voxel_size=voxel_size,
        details={
            "data_type": code,
            "byte_order": "big" if order == ">" else "little",
            "labels": [comment] if comment else [],
        },
        warnings=warnings + remarks,
    )


def _shape(head: bytes, order: str) -> tuple[int, int, int]:
    x, y, z = (int(n) for n in np.frombuffer(head, order + "i4", 3, 4))
    return z, y, x


def _expected_size(head: bytes, order: str) -> int:
    z, y, x = _shape(head, order)
    if min(z, y, x) < 1:
        return -1
    item = 16 if head[3] == 10 else 8 if head[3] == 8 else np.dtype(_DTYPES.get(head[3], "u1")).itemsize
    return HEADER_BYTES + z * y * x * item
