"""Disks that take no more: which one it is, how full, and what to do, said where the write failed.

Whoever writes wraps it in `disk_errors`; on a worker the sentence is made there, of the disk as that machine sees it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from typing import Union

from deepict_dask.errors import DeepictError, DiskError

_Place = Union[str, "os.PathLike[str]"]

_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# How libraries that are not written in Python, and what wraps an error of another process, say its number.
_NUMBER = re.compile(r"(?:os error |\[errno )(\d+)", re.IGNORECASE)
_GO_ON = "and run the same command again, which goes on from there"


@contextlib.contextmanager
def disk_errors(place: _Place) -> Iterator[None]:
    """Raise DiskError where the disk, and not what is written to it, makes a write fail.

    Parameters
    ----------
    place : path
        What is written.

    Raises
    ------
    DiskError
        For a full disk, a used-up quota, a file that is larger than may be written, a disk that fails.
    """
    try:
        yield
    except DeepictError:
        raise
    except Exception as error:
        number = fault_of(error)
        if number is None:
            raise
        raise DiskError(fault_sentence(number, place)) from error


def fault_of(error: BaseException) -> int | None:
    """Give the number of the disk's fault that an error is about; None for all others."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (match := _NUMBER.search(str(error))) is not None:
        number = int(match[1])
    return number if number in _FAULTS else None


def fault_sentence(number: int, place: _Place, doing: str = "writing") -> str:
    """Say which disk took no more, and the way out.

    Parameters
    ----------
    number : int
        One of the system's errors ENOSPC, EDQUOT, EFBIG, EIO.
    place : path
        What was written.
    doing : str
        What was done with it.
    """
    mount, free, total = _disk_of(place)
    of_it = f"{free} of {total} are free now" if total else "it does not say how full it is"
    if number == errno.ENOSPC:
        # What was half written is removed before anybody looks.
        what, way = f"no space is left on the disk {mount} ({of_it})", "free some there, or move the output,"
    elif number == errno.EDQUOT:
        what = f"your quota on the disk {mount} is used up"
        way = "remove some of your files there, or have the quota raised,"
    elif number == errno.EFBIG:
        limit = _size_limit()
        what = (
            f"the disk {mount} takes no file of that size"
            if limit is None
            else f"a file may have at most {_size(limit)} here (ulimit -f)"
        )
        way = "choose another disk for the output" if limit is None else "raise the limit"
    else:
        what = f"the disk {mount} failed (input/output error)"
        way = "have it, or the connection to it, looked at,"
    return f"{what} while {doing} {os.fspath(place)}; {way} {_GO_ON}"


def _disk_of(place: _Place) -> tuple[str, str, str]:
    """Give the mount point of a path, and how much is free of how much; empty where it does not say."""
    folder = os.path.abspath(place)
    while not os.path.exists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    mount = os.path.realpath(folder)
    while not os.path.ismount(mount) and mount != os.path.dirname(mount):
        mount = os.path.dirname(mount)
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return mount, "", ""
    return mount, _size(usage.free), _size(usage.total)


def _size_limit() -> int | None:
    """Give the most bytes that a file may have in this process; None without a limit."""
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if soft == resource.RLIM_INFINITY else soft


def _size(n: float) -> str:
    """Say a number of bytes in the unit that suits it.

    >>> _size(0), _size(1_234_567), _size(271_000_000_000)
    ('0 B', '1.23 MB', '271 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            break
        n /= 1000
    return f"{n:.3g} {unit}"
