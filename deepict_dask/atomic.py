"""Files that are there whole or not at all; the one place that writes them so."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.disk import disk_errors
from deepict_dask.errors import DeepictError, InputError, OutputExistsError

PARTIAL = ".partial-"
"""How the names of half-written files begin; only a killed process leaves one."""

# How long the writer of a pipe may think.
_PIPE_SECONDS = 30.0
# Bytes of a name, on all common disks.
_LONGEST = 255


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
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InputError(f"{too_long(path)}; give another name") from error
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


def read_whole(path: Path) -> bytes:
    """Read a small file; of a pipe what its writer writes.

    Raises
    ------
    InputError
        If nobody writes to the pipe: reading it would wait for ever.
    """
    if not stat.S_ISFIFO(path.stat().st_mode):
        return path.read_bytes()
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        content = b""
        # Without a writer a pipe is at its end at once, or silent.
        while select.select([descriptor], [], [], _PIPE_SECONDS)[0]:
            if not (piece := os.read(descriptor, 1 << 16)):
                if content:
                    return content
                break
            content += piece
    finally:
        os.close(descriptor)
    raise InputError(f"{path} is a pipe that nobody writes to; give a file")


def make_folder(path: Path) -> None:
    """Make a folder and those above it; OutputExistsError if something is in the way."""
    try:
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, DeepictError) or (reason := what_is_in_the_way(path)) is None:
            raise
        raise OutputExistsError(f"the folder {path} cannot be made: {reason}; name another folder") from error


def too_long(path: Path) -> str:
    """Say of a name that no disk takes it."""
    return (
        f"the name {path.name[:40]}... has {len(os.fsencode(path.name))} bytes, and {_LONGEST} are possible"
    )


def what_is_in_the_way(path: Path) -> str | None:
    """Say why a folder cannot be, by what is on the way to it; None if it is there or can be made."""
    for place in (path, *path.parents):
        if len(os.fsencode(place.name)) > _LONGEST:
            return too_long(place)
        try:
            return None if stat.S_ISDIR(place.stat().st_mode) else f"{place} is a file"
        except FileNotFoundError:
            if place.is_symlink():
                return f"{place} is a link to {os.readlink(place)}, which does not exist"
        except NotADirectoryError:
            pass  # what it lies under is told of
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                continue  # a name above it, or the way as a whole
            return f"{place} cannot be looked at ({error.strerror})"
    return None
