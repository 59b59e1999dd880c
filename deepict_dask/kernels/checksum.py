"""Checksums of voxels as they were read: of blocks, and of the blocks of a volume together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def block_digest(block: np.ndarray) -> bytes:
    """Give the SHA-256 of a block's voxels in C order and little-endian.

    Parameters
    ----------
    block : numpy.ndarray, shape (z, y, x)
        Any real dtype.

    Examples
    --------
    >>> a = np.arange(6, dtype="<i2").reshape(1, 2, 3)
    >>> block_digest(a) == block_digest(a.astype(">i2"))
    True
    """
    plain = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
    return hashlib.sha256(plain.reshape(-1).view(np.uint8).data).digest()


def volume_checksum(digests: Iterable[bytes], shape: tuple[int, ...], dtype: np.dtype) -> str:
    """Put the digests of all blocks of a volume together.

    Parameters
    ----------
    digests : iterable of bytes
        From `block_digest`, in C order of the blocks, which follow from the shape alone.
    shape : tuple of int
        (z, y, x) voxels.
    dtype : numpy.dtype
        Of the voxels.

    Returns
    -------
    str
        ``"voxels:<hex>"``: the same wherever and however the volume is stored.
    """
    whole = hashlib.sha256(f"{tuple(shape)} {np.dtype(dtype).newbyteorder('<').str}".encode())
    for digest in digests:
        whole.update(digest)
    return f"voxels:{whole.hexdigest()}"
