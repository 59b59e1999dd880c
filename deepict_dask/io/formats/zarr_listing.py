"""The files of a Zarr array, listed once: how large they are, which chunks are there, and whether they changed."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepict_dask.errors import FormatError, MissingFileError
from deepict_dask.io.location import is_leftover
from deepict_dask.io.manifest import METADATA

# Folders within folders: one per axis of an array, and some to spare.
_DEEPEST = 12


@dataclass(frozen=True)
class Listing:
    """What lies in the folder of an array.

    Attributes
    ----------
    folder : str
        The array.
    n_bytes : int
        Of all files.
    names : tuple of str
        Of all files, from the folder, in order.
    digest : str
        SHA-256 of names, sizes and times of the last change, the metadata of the groups above included.
    """

    folder: str
    n_bytes: int
    names: tuple[str, ...]
    digest: str


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is a Zarr group or array."""
    return any(Path(path, name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def list_array(path: Path, level: str) -> Listing:
    """List the files of an array in a group (or that is the array itself, where ``level`` is empty).

    Raises
    ------
    MissingFileError
        If the folder is not there.
    """
    digest = hashlib.sha256()
    n_bytes, names = 0, []
    folder = path / level
    if not folder.is_dir():
        raise MissingFileError(f"{folder} is no longer there, or not visible from this process")
    for name in METADATA:
        if (path / name).is_file():
            facts = os.stat(path / name)
            digest.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    for name, facts in sorted(_files(str(folder), ""), key=lambda file: file[0]):
        n_bytes += facts.st_size
        names.append(name)
        digest.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return Listing(str(folder), n_bytes, tuple(names), f"sha256:{digest.hexdigest()}")


def missing_chunks(listing: Listing, array: Any, place: str) -> int:
    """Count the chunks (shards) of an array that have no file.

    Raises
    ------
    FormatError
        If there are files of chunks, but named with another separator than the metadata says.
    """
    stored = array.shards or array.chunks
    counts = [-(-n // edge) for n, edge in zip(array.shape, stored, strict=True)]
    total = math.prod(counts)
    separator = _separator(array)
    here = _count(listing.names, separator, counts)
    other = "." if separator == "/" else "/"
    if here == 0 and _count(listing.names, other, counts):
        raise FormatError(
            f"the chunks of {place} are named with {other!r} between the numbers, but its metadata says {separator!r}; "
            "correct the separator in the metadata (dimension_separator in .zarray)"
        )
    return total - here


def _files(folder: str, prefix: str, depth: int = _DEEPEST) -> Iterator[tuple[str, os.stat_result]]:
    # Half-written files of a killed process are not part of the store.
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_leftover(entry.name):
                continue
            if entry.is_dir():
                if depth:  # a link may lead back to where it is
                    yield from _files(entry.path, f"{prefix}{entry.name}/", depth - 1)
            elif entry.is_file():
                yield prefix + entry.name, entry.stat()


def _separator(array: Any) -> str:
    encoding = getattr(array.metadata, "chunk_key_encoding", None)
    return str(getattr(encoding, "separator", None) or getattr(array.metadata, "dimension_separator", "/"))


def _count(names: tuple[str, ...], separator: str, counts: list[int]) -> int:
    number = r"(\d+)"
    # Zarr v3 puts a c before the numbers.
    pattern = re.compile(rf"(?:c{re.escape(separator)})?" + re.escape(separator).join([number] * len(counts)))
    n = 0
    for name in names:
        match = pattern.fullmatch(name)
        n += match is not None and all(int(i) < c for i, c in zip(match.groups(), counts, strict=True))
    return n
