"""Workers on this machine, fitted to its cores and memory, or a scheduler that runs already."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepict_dask.cluster.machine import this_machine
from deepict_dask.cluster.own_settings import own_settings
from deepict_dask.cluster.quiet import quiet
from deepict_dask.cluster.remote import remote_client
from deepict_dask.cluster.requirements import NO_GUARD, check_requirements
from deepict_dask.config import ClusterSettings
from deepict_dask.engine.watch import Watch, watch_of
from deepict_dask.errors import ClusterError, InputError, WorkError

if TYPE_CHECKING:
    from distributed import Client

CORES_PER_WORKER = 4
# What this process needs beside its workers, what a worker takes without work, and what one has room to work in.
OWN_BYTES, LEAST_BYTES, COMFORT_BYTES = 250_000_000, 260_000_000, 1_000_000_000
# Deaths of workers within so many seconds, for each worker, after which there is no hope in starting another.
MOST_DEATHS, DEATHS_SECONDS = 6, 60.0
_ADVICE = "use fewer --workers or a smaller --block, or mend what ended them"


@dataclass(frozen=True)
class LocalPlan:
    """Workers, threads of each and memory of each in bytes."""

    workers: int
    threads: int
    memory_limit: int


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
    from dask.utils import parse_bytes

    machine = this_machine()
    cores = machine.cores if cores is None else cores
    most = machine.process_memory if memory is None else None
    memory = machine.memory if memory is None else memory
    # This process and its scheduler need some, too.
    usable = min(int(0.9 * memory), max(0, memory - OWN_BYTES))
    by_memory = usable // COMFORT_BYTES if settings.memory_limit is None else cores
    workers = settings.workers or max(1, min(cores // (settings.threads or CORES_PER_WORKER), by_memory))
    threads = settings.threads or max(1, cores // workers)
    if settings.memory_limit is None:
        limit = usable // workers if most is None else min(usable // workers, most)
        if limit < LEAST_BYTES:
            raise InputError(
                f"{workers} worker{'s' * (workers > 1)} would have {limit / 1e6:.0f} MB each, but a worker takes about "
                f"{LEAST_BYTES / 1e6:.0f} MB before it holds a block; use "
                + (
                    f"at most {max(1, usable // LEAST_BYTES)} --workers"
                    if workers > 1
                    else f"more memory than the {memory / 1e6:.0f} MB of this job ({most_words(most)})"
                )
            )
        return LocalPlan(workers, threads, limit)
    try:
        limit = int(parse_bytes(settings.memory_limit))
    except ValueError:
        limit = 0
    if limit < 2**28:
        raise InputError(
            f"memory_limit {settings.memory_limit!r} must be a size of at least 256 MiB, such as 4GB"
        )
    if limit * workers > memory:
        raise InputError(
            f"{workers} workers of {limit / 1e9:.2f} GB need more than the {memory / 1e9:.2f} GB memory that may be "
            "used here; lower memory_limit or workers"
        )
    return LocalPlan(workers, threads, limit)


def most_words(process_memory: int | None) -> str:
    """Say what the limits of single processes leave, for a message."""
    if process_memory is None:
        return "control group or machine"
    return f"ulimit -v or -d leaves a process {process_memory / 1e6:.0f} MB"


@contextlib.contextmanager
def connect(
    settings: ClusterSettings, warn: Callable[[str], None] = lambda sentence: None
) -> Iterator[Client]:
    """Open a client to the scheduler that the settings name, or to workers started on this machine.

    Parameters
    ----------
    settings : ClusterSettings
        Which of the two, and how many workers.
    warn : callable
        Told in a sentence what the user may want to know: what is waited for, how a worker died.

    Yields
    ------
    distributed.Client
        The default client while the context lasts.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or no worker can be started.

    Notes
    -----
    The user's own Dask settings hold for a scheduler that runs already; workers on this machine are started with
    Dask's defaults and `BEHAVIOR`.
    """
    if settings.scheduler:
        with remote_client(settings.scheduler, warn) as client:
            yield client
        return
    with _local_client(settings, warn) as client:
        yield client


@contextlib.contextmanager
def _local_client(settings: ClusterSettings, warn: Callable[[str], None]) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    plan = local_plan(settings)
    port = settings.dashboard_port
    # Modules of the working folder are not the workers': neither now nor when one is started again.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    watches: list[Watch] = []
    deaths: list[str] = []
    times: deque[float] = deque(maxlen=MOST_DEATHS * plan.workers)

    def died(how: str) -> None:
        deaths.append(how)
        times.append(time.monotonic())
        for watch in watches:
            watch.last_death = how
            # Whoever stops this program politely stops its workers as well: no news.
            if "signal 15" not in how:
                warn(f"a worker {how}, and is started again")
            # Only those since a block was last finished: a run that goes on is not given up.
            in_vain = [t for t in times if t > max(watch.progressed, times[-1] - DEATHS_SECONDS)]
            if len(in_vain) == times.maxlen:
                watch.verdict = (
                    f"workers died {len(in_vain)} times in a minute, the last one {how}; {_ADVICE}"
                )

    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(own_settings()))
        last_line = stack.enter_context(quiet(died))
        check_requirements(plan.workers)
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="deepict-dask-", ignore_cleanup_errors=True)
        )
        stack.enter_context(warnings.catch_warnings())
        # What a taken port means is said below.
        warnings.filterwarnings("ignore", message="(?s).*Port .* is already in use")
        try:
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=plan.workers,
                    threads_per_worker=plan.threads,
                    memory_limit=plan.memory_limit,
                    host="127.0.0.1",
                    protocol="tcp://",
                    dashboard_address=f"127.0.0.1:{8787 if port is None else port}",
                    local_directory=dask.config.get("temporary-directory") or folder,
                    silence_logs=False,
                    env={"ZARR_THREADING__MAX_WORKERS": "2", "PYTHONSAFEPATH": "1"},
                )
            )
        except (RuntimeError, OSError, EOFError) as error:
            said = last_line()
            if NO_GUARD in said:
                raise WorkError(NO_GUARD) from None
            if "<stdin>" in said:
                raise WorkError(
                    "workers import the script that starts them, and one from standard input is in no file; write it to one"
                ) from None
            cause = said or (f"the last one {deaths[-1]}" if deaths else " ".join(str(error).split()))
            raise ClusterError(
                f"no worker process can be started on this machine: {cause}; {_ADVICE}"
            ) from error
        client = stack.enter_context(Client(cluster))
        link = client.dashboard_link
        if port and link and f":{port}/" not in link:
            warn(f"port {port} is taken by another program, so the dashboard is at {link}")
        watches.append(watch_of(client))
        watches[-1].warn = warn
        try:
            yield client
        finally:
            watches.clear()
