"""Dask schedulers and workers as processes of their own, which tests may kill."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running_scheduler(*options: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Start a scheduler; gives its process and its address, which need not answer yet."""
    port = free_port()
    command = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    with _running(*command, *options) as process:
        yield process, f"tcp://127.0.0.1:{port}"


@contextlib.contextmanager
def running_worker(address: str) -> Iterator[subprocess.Popen]:
    """Start a worker of one thread that reports to a scheduler."""
    options = [
        "--nthreads",
        "1",
        "--no-dashboard",
        "--no-nanny",
        "--memory-limit",
        "1GB",
        "--death-timeout",
        "60",
    ]
    with _running("distributed.cli.dask_worker", address, *options) as process:
        yield process


@contextlib.contextmanager
def _running(module: str, *options: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
