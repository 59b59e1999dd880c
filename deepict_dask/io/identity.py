"""Whether an input is still the one that it was, told without reading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepict_dask.errors import MissingFileError


@dataclass(frozen=True)
class SourceIdentity:
    """Cheap facts that change when a file or a Zarr array is written again.

    Where two are equal the content is taken to be the same; where they differ it may still be (a copy, a
    ``touch``), and only its checksum says.

    Attributes
    ----------
    size : int
        Bytes as stored (of level 0 for Zarr).
    mtime_ns, ctime_ns : int
        Last change of the content and of the entry; of the folder of level 0 for Zarr.
    inode : int
        Number of the file in its file system.
    digest : str
        For Zarr: SHA-256 of names, sizes and times of the metadata and of the chunks of level 0; else empty.

    Examples
    --------
    >>> SourceIdentity.of_json(SourceIdentity(5, 1, 1, 7).to_json()) == SourceIdentity(5, 1, 1, 7)
    True
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    digest: str = ""

    @classmethod
    def of_file(cls, path: str | Path) -> SourceIdentity:
        """Look at a file; MissingFileError if it is not there."""
        facts = _stat(path)
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)

    @classmethod
    def of_array(cls, folder: str | Path, n_bytes: int, digest: str) -> SourceIdentity:
        """Make that of a Zarr array whose files have been listed."""
        facts = _stat(folder)
        return cls(n_bytes, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, digest)

    def to_json(self) -> dict[str, Any]:
        """Give it as a mapping that JSON can say."""
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> SourceIdentity | None:
        """Read what `to_json` gave; None for anything else."""
        try:
            return cls(**content)
        except TypeError:
            return None


def _stat(path: str | Path) -> os.stat_result:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"{path} is no longer there, or not visible from this process") from error
