"""Long work, one piece per worker."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from deepict_dask.engine.dispatch import Post, dispatch
from deepict_dask.errors import InputError, WorkError


def stay(work: tuple[int, float], post: Post):
    from distributed import get_worker

    began = time.time()
    post.send({"work": work[0]})
    time.sleep(work[1])
    return work[0], get_worker().address, began, time.time(), post.threads


def fail_on_odd(work: int, post: Post):
    if work % 2:
        raise InputError(f"{work} is odd; use an even number")
    return work * 10


def die_the_first_times(work: tuple[str, int], post: Post):
    folder, times = Path(work[0]), work[1]
    n = len(list(folder.iterdir()))
    if n < times:
        (folder / str(n)).touch()
        os._exit(1)
    return "done"


def wait_until_unwanted(work: str, post: Post):
    Path(work, "began").touch()
    for _ in range(400):
        if not post.is_wanted():
            Path(work, "unwanted").touch()
            return
        time.sleep(0.05)


def all_of(function, works, **options):
    waiting, found = list(works), []
    dispatch(
        function,
        lambda: waiting.pop(0) if waiting else None,
        lambda work, result, error: found.append((work, result, error)),
        **options,
    )
    return found


def test_every_worker_has_one_piece_at_a_time_and_none_idles(client):
    messages = []
    found = all_of(stay, [(k, 0.3) for k in range(6)], on_message=messages.append)
    assert sorted(r[0] for _, r, _ in found) == list(range(6))
    assert sorted(m["work"] for m in messages) == list(range(6))
    by_worker = {}
    for _, (_, address, began, ended, threads), _ in found:
        by_worker.setdefault(address, []).append((began, ended))
        assert threads == 1
    assert len(by_worker) == 2
    for times in by_worker.values():
        times.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(times))


def test_no_more_are_under_way_than_asked_for(client):
    found = all_of(stay, [(k, 0.1) for k in range(4)], at_once=1)
    times = sorted((began, ended) for _, (_, _, began, ended, _), _ in found)
    assert all(a[1] <= b[0] for a, b in pairwise(times))


@pytest.mark.parametrize("where", ["here", "cluster"])
def test_a_failure_is_reported_and_the_others_are_done(where, request):
    if where == "cluster":
        request.getfixturevalue("client")
    found = {work: (result, error) for work, result, error in all_of(fail_on_odd, range(5))}
    assert {w: r for w, (r, _) in found.items()} == {0: 0, 1: None, 2: 20, 3: None, 4: 40}
    assert isinstance(found[3][1], InputError) and str(found[3][1]) == "3 is odd; use an even number"


@pytest.mark.parametrize("where", ["here", "cluster"])
def test_what_comes_next_may_depend_on_results(where, request):
    if where == "cluster":
        request.getfixturevalue("client")
    waiting, seen = [2], []

    def done(work, result, error):
        seen.append(result)
        if result < 300:
            waiting.append(result)

    dispatch(fail_on_odd, lambda: waiting.pop() if waiting else None, done)
    assert seen == [20, 200, 2000]


def test_work_of_a_lost_worker_is_done_by_another(client, tmp_path):
    ((_, result, error),) = all_of(die_the_first_times, [(str(tmp_path), 1)])
    assert result == "done" and error is None
    client.wait_for_workers(2, timeout=30)


def test_work_that_kills_its_workers_is_given_up(client, tmp_path):
    found = all_of(die_the_first_times, [(str(tmp_path), 99)])
    assert isinstance(found[0][2], WorkError) and "died 3 times" in str(found[0][2])
    assert len(list(tmp_path.iterdir())) == 3
    client.wait_for_workers(2, timeout=30)


def test_work_learns_that_nobody_waits_for_it(client, tmp_path):
    def stop(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        all_of(tell_and_wait, [str(tmp_path)], on_message=stop)
    deadline = time.monotonic() + 15
    while not (tmp_path / "unwanted").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def tell_and_wait(work: str, post: Post):
    post.send({})
    wait_until_unwanted(work, post)
