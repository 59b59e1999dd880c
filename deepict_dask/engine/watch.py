"""Whether the cluster that computes is still there, so that a wait for it ends with a sentence."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from deepict_dask.errors import ClusterError

# Seconds without news after which a wait looks whether the cluster is there.
LOOK_SECONDS = 2.0
# Seconds without any worker after which it is said; a nanny needs a few to start one again.
_ALONE_SECONDS = 5.0
# Seconds in which a scheduler must answer that it is there.
ANSWER_SECONDS = 15.0
_GO_ON = "what is complete is kept, and the same command goes on from there"


@dataclass
class Watch:
    """What whoever looks after a cluster knows about it.

    Attributes
    ----------
    verdict : str or None
        Why no result will come any more; those that wait end with this sentence.
    last_death : str or None
        How a worker died last, as in "worker 3 was killed by signal 9".
    looked : float
        When the scheduler answered last, by the monotonic clock.
    alone_since : float or None
        Since when it has had no workers; None while it has some.
    warn : callable
        Told in a sentence what is waited for.
    progressed : float
        When a block was finished last: as long as some are, deaths of workers end nothing.
    """

    verdict: str | None = None
    last_death: str | None = None
    looked: float = 0.0
    alone_since: float | None = None
    warn: Callable[[str], None] = warnings.warn
    is_told: bool = False
    progressed: float = 0.0

    def note_progress(self) -> None:
        """Note that a block was finished just now."""
        self.progressed = time.monotonic()


_WATCHES: WeakKeyDictionary[Any, Watch] = WeakKeyDictionary()
_LOCK = threading.Lock()


def watch_of(client: Any) -> Watch:
    """Give the watch over a client's cluster."""
    with _LOCK:
        return _WATCHES.setdefault(client, Watch())


def check_verdict(client: Any) -> None:
    """Raise ClusterError if whoever looks after a client's cluster has given it up; costs nothing."""
    if (verdict := watch_of(client).verdict) is not None:
        raise ClusterError(verdict)


def check_cluster(client: Any) -> None:
    """Raise ClusterError if no result can come from a client's cluster any more.

    Asks the scheduler only now and then, so that it may be called in every wait.
    """
    check_verdict(client)
    watch = watch_of(client)
    if client.status != "running":
        raise _lost(client)
    if client.asynchronous or time.monotonic() - watch.looked < LOOK_SECONDS:
        return
    # A scheduler that ended in good order closes the stream, and the client waits on: so ask.
    try:
        identity = client.sync(client.scheduler.identity, n_workers=0, callback_timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError, CancelledError) as error:
        raise _lost(client) from error
    watch.looked = time.monotonic()
    _check_workers(address_of(client), watch, identity["n_workers"])


def _check_workers(address: str, watch: Watch, n_workers: int) -> None:
    """Say that there are no workers any more, and after the time that Dask's settings allow raise ClusterError."""
    if n_workers:
        watch.alone_since, watch.is_told = None, False
        return
    if watch.alone_since is None:
        watch.alone_since = watch.looked
    alone = watch.looked - watch.alone_since
    most = patience()
    if most is not None and alone >= most:
        raise workerless(address, alone)
    if alone >= _ALONE_SECONDS and not watch.is_told:
        watch.is_told = True
        end = "" if most is None else f", for {most:.0f} s at most"
        watch.warn(
            f"the scheduler {address} has lost all its workers; waiting for others (dask worker {address}){end}"
        )


def patience() -> float | None:
    """Give the seconds that work waits for a worker, Dask's setting ``no-workers-timeout``; None for ever."""
    import dask
    import distributed.config  # noqa: F401  (its defaults are known from here on)
    from dask.utils import parse_timedelta

    return parse_timedelta(dask.config.get("distributed.scheduler.no-workers-timeout"))


def workerless(address: str, seconds: float) -> ClusterError:
    """Make the error of a scheduler without workers."""
    return ClusterError(
        f"the scheduler {address} has had no workers for {seconds:.0f} s, as long as the Dask setting "
        f"no-workers-timeout allows; start some (dask worker {address}); {_GO_ON}"
    )


@contextmanager
def cluster_errors(client: Any) -> Iterator[None]:
    """Turn what Dask raises when a cluster is gone into the one sentence."""
    import asyncio

    from distributed.client import ClosedClientError
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import NoValidWorkerError, NoWorkerError

    try:
        yield
    except (NoValidWorkerError, NoWorkerError) as error:
        raise ClusterError(
            f"the scheduler {address_of(client)} has had no workers for as long as its setting no-workers-timeout "
            f"allows; start some (dask worker {address_of(client)}); {_GO_ON}"
        ) from error
    except (CommClosedError, ClosedClientError, CancelledError, asyncio.CancelledError) as error:
        verdict = watch_of(client).verdict
        raise ClusterError(verdict) if verdict else _lost(client) from error


def address_of(client: Any) -> str:
    """Give the address of a client's scheduler, for messages."""
    return str(getattr(client.scheduler, "address", None) or "that was used")


def _lost(client: Any) -> ClusterError:
    return ClusterError(
        f"the connection to the Dask scheduler {address_of(client)} is lost (it ended, or the network is down); "
        f"start it again; {_GO_ON}"
    )
