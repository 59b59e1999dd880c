"""Workers get ready beside their work; nothing depends on it."""

from __future__ import annotations

import os
import time

from deepict_dask.engine.prewarm import prewarmed


def leave_a_mark(folder):
    with open(os.path.join(folder, str(os.getpid())), "w"):
        pass


def marks(folder, wanted):
    deadline = time.monotonic() + 20
    while {p.name for p in folder.iterdir()} != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return {p.name for p in folder.iterdir()}


def test_every_worker_calls_the_function(client, tmp_path):
    pids = {str(pid) for pid in client.run(os.getpid).values()}
    with prewarmed(leave_a_mark, str(tmp_path)):
        assert marks(tmp_path, pids) == pids


def test_it_ends_with_the_context(client, tmp_path):
    with prewarmed(leave_a_mark, str(tmp_path)):
        pass
    names = client.run(lambda dask_worker: list(dask_worker.plugins)).values()
    assert not any(name.startswith("prewarm") for worker in names for name in worker)


def test_a_function_that_fails_harms_nothing(client):
    with prewarmed(int, "no number"):
        assert client.submit(lambda: 1, pure=False).result() == 1


def test_without_a_cluster_nothing_happens(tmp_path):
    with prewarmed(leave_a_mark, str(tmp_path)):
        assert not list(tmp_path.iterdir())
