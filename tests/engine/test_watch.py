"""Faults of a cluster, injected for real: what waits for it ends with one sentence, within seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import dask
import dask.array as da
import pytest
from distributed import Client

from deepict_dask.engine.dispatch import dispatch
from deepict_dask.engine.execute import execute, per_block
from deepict_dask.engine.watch import check_cluster, watch_of
from deepict_dask.errors import ClusterError, InputError, WorkError
from tests.engine.clusters import running_scheduler, running_worker


def slow(block, index):
    time.sleep(30)


def number(block, index):
    return index[0]


def deadly(block, index):
    os._exit(3)


def never(work, post):
    time.sleep(30)


@pytest.fixture
def own_client():
    """A client of a scheduler and a worker that are processes of their own."""
    with (
        running_scheduler() as (scheduler, address),
        running_worker(address) as worker,
        Client(address, timeout="30s", set_as_default=True) as client,
    ):
        client.wait_for_workers(1, timeout=60)
        yield client, scheduler, worker


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_ends_is_the_clusters_failure(own_client, end):
    _, scheduler, _ = own_client
    ended = stop_after(1.5, scheduler, end)
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"scheduler tcp://127.0.0.1:\d+ is lost .* same command goes on"):
        execute(per_block(slow, da.zeros(4, chunks=2)))
    assert time.monotonic() - began < 25
    ended.wait()
    with pytest.raises(ClusterError):
        execute(per_block(slow, da.zeros(4, chunks=2)))


def test_a_scheduler_that_ends_ends_a_dispatch(own_client):
    _, scheduler, _ = own_client
    ended = stop_after(1.5, scheduler, signal.SIGKILL)
    work, done = [1], []
    with pytest.raises(ClusterError, match="is lost"):
        dispatch(never, lambda: work.pop() if work else None, lambda *outcome: done.append(outcome))
    assert done == [], "the failure is the cluster's, not the work's"
    ended.wait()


def test_a_verdict_ends_a_wait(own_client):
    client, _, _ = own_client
    watch_of(client).verdict = "no worker starts: the disk is full"
    with pytest.raises(ClusterError, match="the disk is full"):
        check_cluster(client)
    began = time.monotonic()
    with pytest.raises(ClusterError, match="the disk is full"):
        execute(per_block(slow, da.zeros(4, chunks=2)))
    assert time.monotonic() - began < 10


def test_a_block_that_kills_its_workers_is_named_with_the_last_death(client):
    watch_of(client).last_death = "exceeded its memory of 2.0 GB"
    try:
        with pytest.raises(
            WorkError, match=r"block \(\d,\) died \d times \(the last one exceeded its memory"
        ) as error:
            execute(per_block(deadly, da.zeros(4, chunks=4)))
        assert not isinstance(error.value, ClusterError)
    finally:
        watch_of(client).last_death = None
    client.wait_for_workers(2, timeout=60)


def stop_after(seconds: float, process: subprocess.Popen, end: int) -> subprocess.Popen:
    code = f"import time, os; time.sleep({seconds}); os.kill({process.pid}, {int(end)})"
    return subprocess.Popen([sys.executable, "-c", code])


def test_a_scheduler_that_lost_all_workers_is_told_of_and_the_wait_ends(own_client):
    client, _, worker = own_client
    told = []
    watch_of(client).warn = told.append
    ended = stop_after(1.5, worker, signal.SIGKILL)
    began = time.monotonic()
    with (
        dask.config.set({"distributed.scheduler.no-workers-timeout": "12s"}),
        pytest.raises(ClusterError, match=r"no workers for 1\d s.*no-workers-timeout.*same command goes on"),
    ):
        execute(per_block(slow, da.zeros(4, chunks=2)))
    assert time.monotonic() - began < 40
    (sentence,) = told
    assert (
        "lost all its workers; waiting for others (dask worker tcp://" in sentence
        and "12 s at most" in sentence
    )
    ended.wait()


def test_workers_that_come_back_are_waited_for(own_client):
    client, _, worker = own_client
    told = []
    watch_of(client).warn = told.append
    worker.kill()
    worker.wait()
    began = time.monotonic()
    while not told and time.monotonic() - began < 30:
        check_cluster(client)
        time.sleep(0.5)
    with running_worker(client.scheduler.address):
        assert execute(per_block(number, da.zeros(4, chunks=2))) == [0, 1]
    assert len(told) == 1


def test_a_client_of_coroutines_is_refused_with_a_sentence():
    async def compute():
        async with Client(processes=False, asynchronous=True, dashboard_address=None):
            execute(per_block(number, da.zeros(4, chunks=2)))

    with pytest.raises(InputError, match=r"without asynchronous=True, or .* asyncio\.to_thread"):
        asyncio.run(compute())
