"""Memory that is freed and needed again at once: kept by the process, not given back to the system in between."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Of glibc's malloc.h, with what glibc itself uses.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULT_TRIM_THRESHOLD, _DEFAULT_MMAP_MAX = 128 * 1024, 65536
_LARGEST = 2**31 - 1

_lock = threading.Lock()
_users: set[object] = set()


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let this process keep the memory that it frees, until the end of the block.

    Maps of a network are tens of megabytes, so glibc takes them from the system and gives them back, step by step, and
    every page of them is cleared and mapped again: a sixth of the time of a training step on a CPU, and two fifths in
    a Dask worker, whose nanny sets MALLOC_TRIM_THRESHOLD_ to 64 KiB. At the end all is given back. May be nested
    and used by several threads; does nothing where the allocator is not glibc's.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    mallopt, trim = libc
    user = object()
    with _lock:
        _users.add(user)
        if len(_users) == 1:
            mallopt(_MMAP_MAX, 0)
            mallopt(_TRIM_THRESHOLD, _LARGEST)
    try:
        yield
    finally:
        with _lock:
            _users.remove(user)
            if not _users:
                mallopt(_MMAP_MAX, int(os.environ.get("MALLOC_MMAP_MAX_", _DEFAULT_MMAP_MAX)))
                mallopt(
                    _TRIM_THRESHOLD, int(os.environ.get("MALLOC_TRIM_THRESHOLD_", _DEFAULT_TRIM_THRESHOLD))
                )
                trim(0)


def _glibc() -> tuple[Callable[[int, int], int], Callable[[int], int]] | None:
    try:
        libc = ctypes.CDLL(None)
        return libc.mallopt, libc.malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
