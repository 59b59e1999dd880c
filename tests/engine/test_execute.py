"""Parts and stores in one compute: each block once, in order, with errors that say which."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import dask.array as da
import numpy as np
import pytest
from dask.delayed import delayed

from deepict_dask.engine.blocks import HYPHEN
from deepict_dask.engine.execute import execute, execute_lazy, execute_one, per_block

LOCK = threading.Lock()


def total(block, index, offset=0):
    return (index, int(block.sum()) + offset)


def test_each_block_is_computed_once_and_parts_come_in_block_order():
    calls = []

    def kernel(block_id=None):
        with LOCK:
            calls.append(block_id)
        return np.full((4, 4, 4), block_id[0] * 9 + block_id[1] * 3 + block_id[2])

    y = da.map_blocks(kernel, chunks=((4,) * 3,) * 3, dtype=int, meta=np.empty((0, 0, 0), int))
    seen = []
    parts = execute(per_block(total, y, offset=1), seen.append)
    assert len(calls) == 27 == sum(seen)
    assert [p[1] for p in parts] == [64 * i + 1 for i in range(27)]
    assert [p[0] for p in parts] == list(np.ndindex(3, 3, 3))


def test_the_error_of_a_block_is_the_one_that_is_raised():
    def fails(block, index):
        raise ValueError(f"block {index}")

    with pytest.raises(ValueError, match="block"):
        execute(per_block(fails, da.zeros((4, 4, 4), chunks=2)))


def test_on_a_cluster_the_same_parts_come_in_the_same_order(client):
    y = da.arange(64, chunks=8).reshape((4, 4, 4)).rechunk(2)
    seen = []
    parts = execute(per_block(total, y), seen.append)
    assert parts == execute_locally(y) and sum(seen) == 8


@pytest.mark.parametrize("where", ["here", "cluster"])
def test_of_chosen_blocks_nothing_else_is_computed(tmp_path, where, request):
    if where == "cluster":
        request.getfixturevalue("client")

    def kernel(folder, block_id=None):
        (folder / ".".join(map(str, block_id))).touch()
        return np.full((4, 4, 4), block_id[2])

    y = da.map_blocks(
        kernel, folder=tmp_path, chunks=((4,) * 3,) * 3, dtype=int, meta=np.empty((0, 0, 0), int)
    )
    # A block is needed by its neighbor, as halos are.
    shifted = da.concatenate([y[:, :, 2:], y[:, :, :2]], axis=2).rechunk(4)
    chosen = [(2, 0, 1), (0, 1, 0)]
    parts = execute(per_block(total, shifted), blocks=chosen)
    assert [p[0] for p in parts] == chosen and [p[1] for p in parts] == [96, 32]
    assert sorted(f.name for f in tmp_path.iterdir()) == ["0.1.0", "0.1.1", "2.0.1", "2.0.2"]
    assert execute(per_block(total, y), blocks=[]) == []


def submit(pool, *call, **options):
    """The client of these tests is that of a context, which threads do not have by themselves."""
    return pool.submit(copy_context().run, *call, **options)


def held(block, index, folder, name):
    (folder / f"{name}-{index[0]}").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
    return name, index[0]


def paced(block, index, folder, name):
    (folder / f"{name}-{index[0]}").touch()
    time.sleep(0.2)
    return name, index[0]


def fails_alone(block, index):
    raise ValueError("this tomogram is bad")


def test_several_threads_share_a_client_and_one_that_fails_takes_nothing_from_the_others(client, tmp_path):
    """All compute the same lazy array, so that they would share tasks if their names were the array's."""
    same = da.zeros(6, chunks=1)
    with ThreadPoolExecutor(3) as pool:
        good = [
            submit(
                pool, execute, per_block(paced, same, folder=tmp_path, name="b"), name="segment-b", priority=p
            )
            for p in (0, 1)
        ]
        wait_for(lambda: len([*tmp_path.iterdir()]) > 1)
        bad = submit(pool, execute, per_block(fails_alone, same), name="segment-bad", priority=9)
        with pytest.raises(ValueError, match="this tomogram is bad"):
            bad.result(timeout=60)
        assert not any(one.done() for one in good)
        for one in good:
            assert one.result(timeout=60) == [("b", i) for i in range(6)]


def names(dask_scheduler):
    return set(dask_scheduler.task_prefixes)


def test_the_dashboard_shows_stage_and_tomogram_and_a_block_is_one_task(client):
    before = client.run_on_scheduler(names)
    y = da.map_blocks(lambda block_id=None: np.zeros((2, 2, 2)), chunks=((2, 2),) * 3, dtype=float)
    execute(per_block(total, y), name="segment-TS_014-b")
    found = client.run_on_scheduler(names) - before
    assert {n.replace(HYPHEN, "-") for n in found} == {"segment-TS_014-b"}


def test_higher_priority_goes_first(client, tmp_path):
    """With all threads taken, what comes later with a higher number overtakes what waits."""
    (blockers := tmp_path / "blockers").mkdir()
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor(3) as pool:
        waiting = [submit(pool, execute, per_block(held, da.zeros(2, chunks=1), folder=blockers, name="x"))]
        wait_for(lambda: len([*blockers.iterdir()]) == 2)
        waiting += [submit(pool, execute, per_block(stamp, da.zeros(4, chunks=1), folder=tmp_path / "low"))]
        time.sleep(0.5)
        waiting += [
            submit(
                pool, execute, per_block(stamp, da.zeros(4, chunks=1), folder=tmp_path / "high"), priority=5
            )
        ]
        time.sleep(0.5)
        (blockers / "go").touch()
        [w.result(timeout=60) for w in waiting]
    times = {n: [f.stat().st_mtime_ns for f in (tmp_path / n).iterdir()] for n in ("low", "high")}
    assert sorted(times["high"])[2] < sorted(times["low"])[1]


def stamp(block, index, folder):
    (folder / str(index[0])).touch()
    time.sleep(0.05)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_lazy_object_comes_with_the_same_care(client):
    assert execute_lazy(delayed(divmod)(7, 2), name="spectrum-a") == (3, 1)


def execute_locally(y):
    values = y.compute(scheduler="sync")
    return [
        ((i, j, k), int(values[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2].sum()))
        for i, j, k in np.ndindex(2, 2, 2)
    ]


def test_one_call_is_one_task_with_its_own_error(client):
    assert execute_one(divmod, 7, 2) == (3, 1)
    assert execute_one(dict) == {}
    with pytest.raises(ZeroDivisionError):
        execute_one(divmod, 1, 0)
