"""Addresses where no Dask scheduler is, with real servers behind them: a sentence within seconds."""

from __future__ import annotations

import http.server
import socketserver
import threading
import time

import dask
import pytest

from deepict_dask.cluster import connect, remote
from deepict_dask.config import ClusterSettings
from deepict_dask.errors import ClusterError, InputError
from tests.engine.clusters import running_scheduler


class Banner(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
        time.sleep(1)


@pytest.mark.parametrize(
    ("handler", "cause"),
    [(http.server.SimpleHTTPRequestHandler, "says nothing"), (Banner, "does not speak as Dask does")],
)
def test_another_server_is_no_scheduler(handler, cause, monkeypatch):
    monkeypatch.setattr(remote, "_SECONDS", 2.0)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.server_address[1]}"
        began = time.monotonic()
        sentence = f"no Dask scheduler answers at {address} .*{cause}"
        with pytest.raises(ClusterError, match=sentence), connect(ClusterSettings(scheduler=address)):
            pass
        assert time.monotonic() - began < 10
        server.shutdown()


@pytest.mark.parametrize("address", ["http://127.0.0.1:8787/status", "tcp://127.0.0.1:portless"])
def test_what_is_no_address_of_a_scheduler_is_a_mistake(address):
    with pytest.raises(InputError, match="tcp://"), connect(ClusterSettings(scheduler=address)):
        pass


def test_a_scheduler_without_workers_says_what_it_waits_for_and_ends_the_wait():
    with running_scheduler() as (_, address):
        said = []
        wait_for(address)
        with (
            dask.config.set({"distributed.scheduler.no-workers-timeout": "4s"}),
            pytest.raises(ClusterError, match=r"no workers for \d+ s.*no-workers-timeout.*dask worker"),
            connect(ClusterSettings(scheduler=address), said.append),
        ):
            pass
        assert len(said) == 1 and f"the scheduler {address} has no workers yet" in said[0]


def wait_for(address: str) -> None:
    for _ in range(100):
        try:
            return remote.check_scheduler(address)
        except ClusterError:
            time.sleep(0.2)
