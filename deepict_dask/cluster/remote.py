"""A scheduler that runs already: that it is one, that it has workers."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deepict_dask.cluster.quiet import quiet
from deepict_dask.engine.watch import patience, watch_of, workerless
from deepict_dask.errors import ClusterError, InputError

if TYPE_CHECKING:
    from distributed import Client

_SECONDS = 10.0


@contextlib.contextmanager
def remote_client(address: str, warn: Callable[[str], None]) -> Iterator[Client]:
    """Open a client to a running scheduler, and wait until it has a worker.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.
    warn : callable
        Told that workers are waited for.

    Raises
    ------
    InputError
        If the address is none.
    ClusterError
        If no scheduler answers there, or it has no workers for longer than the user's Dask setting
        ``distributed.scheduler.no-workers-timeout``.
    """
    import dask
    from distributed import Client

    check_scheduler(address)
    with dask.config.set({"distributed.comm.timeouts.connect": "30s"}), quiet():
        try:
            client = Client(address, timeout=_SECONDS)
        except (
            OSError,
            ValueError,
            TypeError,
            TimeoutError,
            MemoryError,
            ImportError,
            RuntimeError,
        ) as error:
            raise _no_scheduler(address, f"{type(error).__name__}: {error}") from None
        with client:
            _wait_for_workers(client, address, warn)
            watch_of(client).warn = warn
            yield client


def check_scheduler(address: str) -> None:
    """Raise an error unless what listens at a tcp address speaks first, as Dask does and web servers do not."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in ("http", "https"):
        raise InputError(
            f"{address} is the address of a web page, such as a dashboard; a scheduler's begins with tcp:// or tls:// "
            "and usually ends with :8786"
        )
    try:
        place = (parts.hostname or "127.0.0.1", parts.port or 8786)
    except ValueError as error:
        raise InputError(
            f"the scheduler {address!r} is no address ({error}); write tcp://HOST:PORT"
        ) from None
    if parts.scheme not in ("tcp", "tls"):
        return
    try:
        with socket.create_connection(place, timeout=_SECONDS) as connection:
            if parts.scheme == "tls":
                return
            connection.settimeout(_SECONDS)
            head = connection.recv(8, socket.MSG_WAITALL)
    except TimeoutError:
        raise _no_scheduler(address, "what listens there says nothing") from None
    except OSError as error:
        raise _no_scheduler(address, error.strerror or type(error).__name__) from None
    # A message begins with how many frames it has.
    if len(head) < 8 or not 0 < struct.unpack("<Q", head)[0] < 1000:
        raise _no_scheduler(address, "what listens there does not speak as Dask does")


def _no_scheduler(address: str, cause: str) -> ClusterError:
    return ClusterError(
        f"no Dask scheduler answers at {address} ({' '.join(cause.split())[:200]}); start one, correct the address, or "
        "leave it out to use this machine"
    )


def _wait_for_workers(client: Client, address: str, warn: Callable[[str], None]) -> None:
    most = patience()
    began, is_said = time.monotonic(), False
    while not client.scheduler_info(n_workers=-1)["workers"]:
        waited = time.monotonic() - began
        if most is not None and waited > most:
            raise workerless(address, waited)
        if not is_said and waited >= 2:
            is_said = True
            warn(f"the scheduler {address} has no workers yet; waiting for some (dask worker {address})")
        time.sleep(0.5)
