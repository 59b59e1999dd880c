"""Tomograms packed with gzip or bzip2: unpacked once, to a file that can be memory-mapped."""

from __future__ import annotations

import atexit
import bz2
import errno
import gzip
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from deepict_dask.errors import FormatError, InputError, WorkError

_MAGIC: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File}
_PIECE = 4 << 20

_lock = threading.Lock()
_unpacked: dict[tuple[Any, ...], Path] = {}
_folders: dict[tuple[int, str], Path] = {}


def is_compressed(head: bytes) -> bool:
    """Tell from its first bytes whether a file is packed with gzip or bzip2."""
    return any(head.startswith(magic) for magic in _MAGIC)


def unpack(path: str | Path, scratch: str | Path | None = None) -> Path:
    """Unpack a compressed file to a scratch folder, a piece at a time.

    Parameters
    ----------
    path : str or Path
        A gzip or bzip2 file, told by its content.
    scratch : str or Path, optional
        Folder for the unpacked file. Workers on other machines must see it under the same name; the
        default, the system's folder for temporary files, is for one machine.

    Returns
    -------
    Path
        The plain file. It is removed when this process ends (a killed process leaves it), and
        made only once per process for a file that does not change.

    Raises
    ------
    FormatError
        If the file is cut off or damaged.
    WorkError
        If the scratch folder has not enough space.
    InputError
        If the scratch folder is not there or may not be written to.
    """
    path = Path(path)
    facts = os.stat(path)
    parent = str(scratch) if scratch is not None else tempfile.gettempdir()
    key = (os.getpid(), str(path.resolve()), facts.st_size, facts.st_mtime_ns, parent)
    with _lock:
        known = _unpacked.get(key)
        if known is None or not known.exists():
            known = _unpacked[key] = _write(path, _folder(parent))
        return known


def _folder(parent: str) -> Path:
    """Give this process's folder in the scratch folder, which is removed at exit."""
    key = (os.getpid(), parent)
    if key not in _folders or not _folders[key].is_dir():
        try:
            folder = Path(tempfile.mkdtemp(prefix="deepict_dask-", dir=parent))
        except OSError as error:
            raise InputError(
                f"the scratch folder {parent} cannot be written to ({error.strerror}); choose another"
            ) from error
        _folders[key] = folder
        atexit.register(_remove, os.getpid(), folder)
    return _folders[key]


def _remove(owner: int, folder: Path) -> None:
    # A forked child inherits the list of things to do at exit, but not the folder.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, folder: Path) -> Path:
    handle, name = tempfile.mkstemp(suffix=f"-{path.stem}", dir=folder)
    target = Path(name)
    with open(path, "rb") as file:
        head = file.read(4)
    opener = next(opener for magic, opener in _MAGIC.items() if head.startswith(magic))
    try:
        with os.fdopen(handle, "wb") as out, opener(path) as packed:
            while piece := _next_piece(packed, path):
                out.write(piece)
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WorkError(
                f"the scratch folder {folder.parent} has not enough space to unpack {path}; "
                "free some or choose another scratch folder"
            ) from error
        raise
    except FormatError:
        target.unlink(missing_ok=True)
        raise
    return target


def _next_piece(packed: IO[bytes], path: Path) -> bytes:
    try:
        return packed.read(_PIECE)
    except EOFError as error:
        raise FormatError(
            f"{path} is cut off before the end of its compressed data; copy it again"
        ) from error
    except (OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise FormatError(f"{path} is damaged and cannot be unpacked ({error}); copy it again") from error
