"""Workers get ready beside their work; nothing depends on it."""

from __future__ import annotations

import os
import time

from deepict_dask.engine.prewarm import prewarm


def leave_a_mark(folder):
    with open(os.path.join(folder, str(os.getpid())), "w"):
        pass


def test_every_worker_calls_the_function_once(client, tmp_path):
    for _ in range(2):
        prewarm(leave_a_mark, str(tmp_path))
    pids = {str(pid) for pid in client.run(os.getpid).values()}
    deadline = time.monotonic() + 20
    while {p.name for p in tmp_path.iterdir()} != pids and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {p.name for p in tmp_path.iterdir()} == pids


def test_a_function_that_fails_harms_nothing(client):
    prewarm(int, "no number")
    assert client.submit(lambda: 1).result() == 1


def test_without_a_cluster_nothing_happens(tmp_path):
    prewarm(leave_a_mark, str(tmp_path))
    assert not list(tmp_path.iterdir())
