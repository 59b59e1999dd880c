"""Files that are there whole or not at all; the one place that writes them so."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.disk import disk_errors
from deepict_dask.errors import OutputExistsError

PARTIAL = ".partial-"
"""How the names of half-written files begin; only a killed process leaves one."""


@contextlib.contextmanager
def publish(path: Path) -> Iterator[Path]:
    """Write a file: whole, when the block ends, or not at all.

    Parameters
    ----------
    path : Path
        The file; folders above it are made.

    Yields
    ------
    Path
        To write to, in the same folder and with the same suffix. It replaces the file when the block ends
        without an error, and is removed otherwise.

    Raises
    ------
    OutputExistsError
        If a file is where a folder is needed, or a folder where the file goes.
    DiskError
        If the disk takes no more.
    """
    make_folder(path.parent)
    # A short name of its own: one made of the file's would be too long where that is nearly so.
    partial = path.parent / f"{PARTIAL}{uuid.uuid4().hex[:12]}{path.suffix[:16]}"
    try:
        with disk_errors(path):
            yield partial
            settle(partial)
            os.replace(partial, path)
    except IsADirectoryError as error:
        raise OutputExistsError(f"{path} is a folder, and a file is to be written there; move it") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()


def settle(path: Path) -> None:
    """Have a file on the disk before anything is written that says it is there: a power cut takes the newest first."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems know no such thing.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; OutputExistsError if a file is in the way."""
    try:
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputExistsError(
            f"the folder {path} cannot be made: {error.filename or path} is a file; name another folder"
        ) from error
