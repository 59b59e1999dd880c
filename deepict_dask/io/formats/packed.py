"""Tomograms packed with gzip or bzip2.

The header is read through the stream, so opening costs nothing. Voxels are unpacked as far as the header says that
there are any, and not further: a file that unpacks to more is refused before it fills the disk.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import os
import shutil
import tempfile
import threading
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepict_dask.errors import FormatError, InputError, MissingFileError, WorkError
from deepict_dask.geometry import Shape
from deepict_dask.io.formats.volume import Choice, Region, Volume

_MAGIC: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File}
_PIECE = 4 << 20
# Bytes behind the voxels that are let pass, and how far into a file its metadata is looked for.
_BEHIND, _FARTHEST = 1 << 20, 64 << 20
# Unpacked copies that a process keeps for reading; what is unpacked is usually one tomogram and its mask.
_N_COPIES = 2

_lock = threading.Lock()
_copies: OrderedDict[tuple[Any, ...], _Copy] = OrderedDict()


def is_packed(head: bytes) -> bool:
    """Tell from its first bytes whether a file is packed with gzip or bzip2."""
    return any(head.startswith(magic) for magic in _MAGIC)


def packed_head(path: Path, n_bytes: int) -> bytes:
    """Read the first bytes of what is packed."""
    with _stream(path) as stream:
        return _read(stream, path, n_bytes)


@dataclass(frozen=True)
class PackedVoxels:
    """Voxels of a packed file; the first read of a process unpacks it to the folder for temporary files.

    Attributes
    ----------
    path : str
        The packed file.
    shape : (int, int, int)
        (z, y, x) voxels, as its header says.
    choice : Choice
        With which it was opened.
    n_bytes : int
        Of the unpacked file, as its header says.
    """

    path: str
    shape: Shape
    choice: Choice
    n_bytes: int

    def read(self, region: Region) -> np.ndarray:
        """Read one region, a tuple of (z, y, x) slices, as a C-contiguous array."""
        copy = _copy_of(self)  # kept until the voxels are read
        return copy.volume.read(region)

    def open(self, plain: str | Path) -> Volume:
        """Open an unpacked copy; sentences name the packed file.

        Raises
        ------
        FormatError
            If it does not hold what the header said.
        """
        from deepict_dask.io.formats.recognize import open_plain

        volume = open_plain(Path(plain), self.choice, place=self.path)
        if volume.shape != self.shape:
            raise FormatError(
                f"{self.path} has a header of {self.shape} voxels (z, y, x), but unpacks to {volume.shape}; unpack it "
                "and repair its header"
            )
        return volume


def unpack(path: str, n_bytes: int, target: str) -> None:
    """Unpack a file, a piece at a time; the work of `PackedVoxels` and of a worker.

    Parameters
    ----------
    path : str
        A gzip or bzip2 file, told by its content.
    n_bytes : int
        That its header tells.
    target : str
        File to make, whole or not at all. If its folder is removed meanwhile, nobody waits for it any
        longer, and the work stops.

    Raises
    ------
    FormatError
        If the file is cut off, damaged or unpacks to more than its header tells.
    WorkError
        If the disk has not enough space.
    """
    partial = Path(f"{target}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(partial, "wb") as out:
            _pour(Path(path), n_bytes, out, partial.exists)
        os.replace(partial, target)
    except FileNotFoundError as error:
        if not Path(path).exists():
            raise MissingFileError(f"{path} is not there, or not visible from this process") from error
        raise WorkError(
            f"the folder {partial.parent} is not visible from this process, or was removed; run folders must lie "
            "where every worker sees them"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


class HeadOfStream(io.RawIOBase):
    """A packed HDF5 file as a file to read metadata from: forward through the stream, with what was read kept.

    Parameters
    ----------
    path : Path
        The packed file.
    n_bytes : int
        Of the unpacked file, as its superblock says.
    """

    def __init__(self, path: Path, n_bytes: int):
        super().__init__()
        self._path, self._n_bytes, self._position = path, n_bytes, 0
        self._opened = _stream(path)
        self._stream = self._opened.__enter__()
        self._kept = bytearray()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, as far as metadata lies."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, without reading."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._n_bytes}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Give the place."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read at the place; what lies before it is kept, up to 64 MiB."""
        end = min(self._position + len(buffer), self._n_bytes)
        if end > _FARTHEST:
            raise InputError(
                f"the metadata of {self._path} lies more than 64 MB behind its beginning; unpack it with gunzip or bunzip2"
            )
        while len(self._kept) < end:
            piece = _read(self._stream, self._path, min(_PIECE, end - len(self._kept)))
            if not piece:
                break
            self._kept += piece
        content = self._kept[self._position : end]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        """Close the packed file."""
        if not self.closed:
            self._opened.__exit__(None, None, None)
        super().close()


@dataclass(frozen=True, eq=False)
class _Copy:
    """An unpacked copy that has no name in any folder: it goes with the process, however that ends."""

    descriptor: int
    volume: Volume


def _copy_of(packed: PackedVoxels) -> _Copy:
    try:
        facts = os.stat(packed.path)
    except FileNotFoundError as error:
        raise MissingFileError(f"{packed.path} is not there, or not visible from this process") from error
    key = (packed, facts.st_size, facts.st_mtime_ns)
    with _lock:
        if key in _copies:
            _copies.move_to_end(key)
            return _copies[key]
        with tempfile.TemporaryFile(dir=tempfile.gettempdir()) as file:
            _pour(Path(packed.path), packed.n_bytes, file, lambda: True)
            file.flush()
            descriptor = os.dup(file.fileno())
        try:
            copy = _Copy(descriptor, packed.open(f"/proc/self/fd/{descriptor}"))
        except BaseException:
            os.close(descriptor)
            raise
        # Who still reads from it keeps it.
        weakref.finalize(copy, os.close, descriptor)
        _copies[key] = copy
        while len(_copies) > _N_COPIES:
            _copies.popitem(last=False)
        return copy


def _pour(path: Path, n_bytes: int, out: IO[bytes], is_needed: Callable[[], bool]) -> None:
    folder = Path(out.name).parent if isinstance(out.name, str) else Path(tempfile.gettempdir())
    way_out = "free some" if isinstance(out.name, str) else "free some, or set TMPDIR to a larger folder"
    full = WorkError(
        f"the disk of {folder} has not enough space for the {n_bytes / 1e9:.3g} GB that {path} unpacks to; {way_out}"
    )
    if shutil.disk_usage(folder).free < n_bytes:
        raise full
    done = 0
    try:
        with _stream(path) as stream:
            while piece := _read(stream, path, _PIECE):
                done += len(piece)
                if done > n_bytes + _BEHIND:
                    raise FormatError(
                        f"{path} unpacks to more than the {n_bytes} bytes that its header tells; it was not unpacked "
                        "further, so unpack it by hand and look what is wrong with it"
                    )
                out.write(piece)
                if not is_needed():
                    raise FileNotFoundError(errno.ENOENT, "was removed", str(folder))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise full from error
        raise


@contextmanager
def _stream(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as file:
        head = file.read(4)
    opener = next(opener for magic, opener in _MAGIC.items() if head.startswith(magic))
    with opener(path) as stream:
        yield stream


def _read(stream: IO[bytes], path: Path, n_bytes: int) -> bytes:
    try:
        return stream.read(n_bytes)
    except EOFError as error:
        raise FormatError(
            f"{path} is cut off before the end of its compressed data; copy it again"
        ) from error
    except (OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise FormatError(f"{path} is damaged and cannot be unpacked ({error}); copy it again") from error
