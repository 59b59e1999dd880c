"""Run commands, each on one fresh worker, and print the worker's largest memory: ``python -m tests.stages.peak``.

Takes the worker's threads and a JSON list of commands; prints a JSON list of bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path

import dask


def peak() -> int:
    """Give the peak of this process; getrusage's may be inherited from the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def peak_of(command: list[str], threads: int) -> int:
    """Give the peak of a worker that does one command."""
    from distributed import Client, LocalCluster

    from deepict_dask.cli.main import main
    from deepict_dask.cluster.own_settings import BEHAVIOR

    options = {"n_workers": 1, "threads_per_worker": threads, "memory_limit": "8GB", "host": "127.0.0.1"}
    with (
        dask.config.set(BEHAVIOR),
        LocalCluster(
            **options, dashboard_address="127.0.0.1:0", env={"ZARR_THREADING__MAX_WORKERS": "2"}
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                main([*command, "--scheduler", cluster.scheduler_address])
        except SystemExit as end:
            if end.code:
                raise RuntimeError(said.getvalue()) from None
        return max(client.run(peak).values())


if __name__ == "__main__":
    print(json.dumps([peak_of(command, int(sys.argv[1])) for command in json.loads(sys.argv[2])]))
