"""How images are cut into levels, shards and chunks, and how these are compressed."""

from __future__ import annotations

from typing import Any

from deepict_dask.geometry import Shape, divisor_chunk

_SMALLEST_LEVEL = 64
_LARGEST_CHUNK = 64


def pyramid_levels(shape: Shape, core: Shape) -> int:
    """Count the levels of a pyramid that writing tasks can fill without meeting each other.

    Parameters
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    core : (int, int, int)
        What one task writes of level 0.

    Returns
    -------
    int
        At least 1. Halving ends where all axes are at most 64 voxels, or where a core can no
        longer be halved.

    Examples
    --------
    >>> pyramid_levels((500, 960, 928), (256, 256, 256)), pyramid_levels((500, 960, 928), (252, 240, 232))
    (5, 3)
    """
    n = 1
    while max(-(-size // 2 ** (n - 1)) for size in shape) > _SMALLEST_LEVEL and all(
        edge % 2**n == 0 for edge in core
    ):
        n += 1
    return n


def inner_chunk(edge: int) -> int:
    """Choose the chunk within a shard's edge: its largest divisor up to 64, but never a sliver.

    >>> inner_chunk(256), inner_chunk(252), inner_chunk(268)
    (64, 63, 67)
    """
    chunk = divisor_chunk(edge, _LARGEST_CHUNK)
    if chunk < _LARGEST_CHUNK // 2 and edge > _LARGEST_CHUNK:
        return next(d for d in range(_LARGEST_CHUNK, edge + 1) if edge % d == 0)
    return chunk


def compressors(kind: str, version: str) -> Any:
    """Choose the codecs of an image of a kind, for Zarr v3 (version 0.5) or v2 (0.4).

    Chunks of Zarr v3 end in a checksum (CRC32C), so that a byte that a disk flips is an error when it is read.
    """
    # Noise hardly shrinks, so tomograms take the fastest; probabilities and labels shrink well with zstd.
    if version == "0.4":
        import numcodecs

        return numcodecs.Blosc("lz4", 1, 2) if kind == "tomogram" else numcodecs.Zstd(level=0)
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    if kind == "tomogram":
        return (BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"), Crc32cCodec())
    return (ZstdCodec(level=0), Crc32cCodec())
