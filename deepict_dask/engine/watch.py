"""Whether the cluster that computes is still there, so that a wait for it ends with a sentence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from deepict_dask.errors import ClusterError

# Seconds without news after which a wait looks whether the cluster is there.
LOOK_SECONDS = 2.0
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
    """

    verdict: str | None = None
    last_death: str | None = None
    looked: float = 0.0


_WATCHES: WeakKeyDictionary[Any, Watch] = WeakKeyDictionary()


def watch_of(client: Any) -> Watch:
    """Give the watch over a client's cluster."""
    return _WATCHES.setdefault(client, Watch())


def check_cluster(client: Any) -> None:
    """Raise ClusterError if no result can come from a client's cluster any more.

    Asks the scheduler only now and then, so that it may be called in every wait.
    """
    watch = watch_of(client)
    if watch.verdict:
        raise ClusterError(watch.verdict)
    if client.status != "running":
        raise _lost(client)
    if client.asynchronous or time.monotonic() - watch.looked < LOOK_SECONDS:
        return
    # A scheduler that ended in good order closes the stream, and the client waits on: so ask.
    try:
        client.sync(client.scheduler.identity, n_workers=0, callback_timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError, CancelledError) as error:
        raise _lost(client) from error
    watch.looked = time.monotonic()


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
