"""Workers on this machine, fitted to its cores and memory, or a scheduler that runs already."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepict_dask.config import ClusterSettings
from deepict_dask.errors import InputError, WorkError

if TYPE_CHECKING:
    from distributed import Client

CORES_PER_WORKER = 4
# What Dask does when a worker fills up. Spilling is of no use here: what lies in memory are blocks in
# work, not results. Queuing (saturation 1) keeps blocks from being read before a thread can take them.
BEHAVIOR = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.85,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.allowed-failures": 5,
    "distributed.comm.timeouts.connect": "60s",
}


@dataclass(frozen=True)
class LocalPlan:
    """Workers, threads of each and memory of each in bytes."""

    workers: int
    threads: int
    memory_limit: int


def available_cores() -> int:
    """Count the cores that this process may use (a batch system may grant fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_plan(settings: ClusterSettings, cores: int | None = None, memory: int | None = None) -> LocalPlan:
    """Share this machine among workers.

    Parameters
    ----------
    settings : ClusterSettings
        What is None there is chosen: one worker per four cores, workers x threads = cores, and 90 % of
        the memory shared equally.
    cores, memory : int, optional
        Of the machine, if not this one's; memory in bytes.

    Raises
    ------
    InputError
        If the workers ask for more memory than there is.

    Examples
    --------
    >>> local_plan(ClusterSettings(), cores=16, memory=64 * 10**9)
    LocalPlan(workers=4, threads=4, memory_limit=14400000000)
    """
    from dask.utils import format_bytes, parse_bytes
    from distributed.system import MEMORY_LIMIT

    cores = available_cores() if cores is None else cores
    memory = MEMORY_LIMIT if memory is None else memory
    workers = settings.workers or max(1, cores // (settings.threads or CORES_PER_WORKER))
    threads = settings.threads or max(1, cores // workers)
    if settings.memory_limit is None:
        return LocalPlan(workers, threads, int(0.9 * memory / workers))
    try:
        limit = parse_bytes(settings.memory_limit)
    except ValueError:
        limit = 0
    if limit < 2**28:
        raise InputError(
            f"memory_limit {settings.memory_limit!r} must be a size of at least 256 MiB, such as 4GB"
        )
    if limit * workers > memory:
        raise InputError(
            f"{workers} workers of {format_bytes(limit)} need more than the {format_bytes(memory)} "
            "of this machine; lower memory_limit or workers"
        )
    return LocalPlan(workers, threads, int(limit))


@contextlib.contextmanager
def connect(settings: ClusterSettings) -> Iterator[Client]:
    """Open a client to the scheduler that the settings name, or to workers started on this machine.

    Yields
    ------
    distributed.Client
        The default client while the context lasts.

    Raises
    ------
    WorkError
        If the scheduler does not answer.
    """
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(BEHAVIOR):
        if settings.scheduler:
            try:
                client = Client(settings.scheduler, timeout="10s")
            except (OSError, ValueError, TimeoutError) as error:
                raise WorkError(
                    f"no Dask scheduler answers at {settings.scheduler} ({type(error).__name__}); "
                    "start one, correct the address, or leave it out to use this machine"
                ) from None
            with client:
                yield client
            return
        plan = local_plan(settings)
        port = settings.dashboard_port
        with warnings.catch_warnings():
            # A taken default port only means another free one; the address is printed anyway.
            warnings.filterwarnings("ignore", message="Port .* is already in use")
            cluster = LocalCluster(
                n_workers=plan.workers,
                threads_per_worker=plan.threads,
                memory_limit=plan.memory_limit,
                host="127.0.0.1",
                dashboard_address=f"127.0.0.1:{8787 if port is None else port}",
                env={"ZARR_THREADING__MAX_WORKERS": "2"},
            )
        with cluster, Client(cluster) as client:
            yield client
