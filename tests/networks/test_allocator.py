"""Memory that is freed and needed again at once."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from deepict_dask.networks import allocator
from deepict_dask.networks.allocator import freed_memory_kept

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")

PROGRAM = """
import resource, sys
import numpy as np
from contextlib import nullcontext
from deepict_dask.networks.allocator import freed_memory_kept

def faults():
    for _ in range(3):
        np.ones(40 << 20, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.ones(40 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
with freed_memory_kept():
    with freed_memory_kept():
        pass
    kept = faults()
resident = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
print(before, kept, faults(), resident)
"""


@glibc
def test_pages_are_not_taken_anew_and_all_is_given_back():
    # As a nanny of Dask starts its workers; huge pages would count hundreds of pages as one.
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "NUMPY_MADVISE_HUGEPAGE": "0"}
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    before, kept, after, resident = map(int, said.stdout.split())
    pages = 5 * (40 << 20) // resource.getpagesize()
    assert before > pages // 2 and after > pages // 2
    assert kept < pages // 50
    assert resident < 400 << 20


def test_it_may_be_used_by_several_threads_and_left_by_an_error():
    def use(n):
        with freed_memory_kept():
            if n % 2:
                raise ValueError
            return n

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(use, n) for n in range(20)]
    assert [f.result() for f in futures[::2]] == list(range(0, 20, 2))
    assert all(isinstance(f.exception(), ValueError) for f in futures[1::2])
    assert not allocator._users


def test_another_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    with freed_memory_kept():
        assert not allocator._users
