"""Parts and stores in one compute: each block once, in order, with errors that say which."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
import zarr

from deepict_dask.engine.execute import execute, execute_one, per_block

LOCK = threading.Lock()


def total(block, index, offset=0):
    return (index, int(block.sum()) + offset)


def test_each_block_is_computed_once_and_parts_come_in_block_order(tmp_path):
    calls = []

    def kernel(block_id=None):
        with LOCK:
            calls.append(block_id)
        return np.full((4, 4, 4), block_id[0] * 9 + block_id[1] * 3 + block_id[2])

    y = da.map_blocks(kernel, chunks=((4,) * 3,) * 3, dtype=int, meta=np.empty((0, 0, 0), int))
    stored = zarr.create_array(tmp_path / "a.zarr", shape=y.shape, dtype=int, chunks=(4, 4, 4))
    seen = []
    parts = execute(
        per_block(total, y, offset=1), [da.store(y, stored, lock=False, compute=False)], seen.append
    )
    assert len(calls) == 27 == sum(seen)
    assert [p[1] for p in parts] == [64 * i + 1 for i in range(27)]
    assert [p[0] for p in parts] == list(np.ndindex(3, 3, 3))
    assert stored[8, 0, 11] == 20


def test_the_error_of_a_block_is_the_one_that_is_raised():
    def fails(block, index):
        raise ValueError(f"block {index}")

    with pytest.raises(ValueError, match="block"):
        execute(per_block(fails, da.zeros((4, 4, 4), chunks=2)))


def test_on_a_cluster_the_same_parts_come_in_the_same_order(client, tmp_path):
    y = da.arange(64, chunks=8).reshape((4, 4, 4)).rechunk(2)
    stored = zarr.create_array(tmp_path / "a.zarr", shape=y.shape, dtype=int, chunks=(2, 2, 2))
    seen = []
    parts = execute(per_block(total, y), [da.store(y, stored, lock=False, compute=False)], seen.append)
    assert parts == execute_locally(y) and sum(seen) == 8
    np.testing.assert_array_equal(stored[:], np.arange(64).reshape(4, 4, 4))


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
