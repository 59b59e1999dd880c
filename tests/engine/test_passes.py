"""Several passes over a lazy tomogram: how many blocks are alive at once, and that the voxels are the same."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
import xarray
from dask._task_spec import Task
from dask.base import flatten
from dask.delayed import delayed
from dask.optimization import cull
from distributed import wait

from deepict_dask.engine.equalize import equalize_physical
from deepict_dask.engine.execute import per_block
from deepict_dask.engine.passes import again
from deepict_dask.engine.segment import segment, segment_grid, usable_statistics
from deepict_dask.engine.spectrum import extract_spectrum, global_statistics
from deepict_dask.engine.stored import open_lazily, readable
from deepict_dask.geometry import block_grid
from deepict_dask.kernels.physical_gain import physical_gain
from deepict_dask.spectrum import Spectrum

EDGE = 64
TARGET = Spectrum("physical", np.arange(1, 9) / 160, np.linspace(9, 1, 8), (10.0,) * 3, (16,) * 3)
LOCK, BLOCKS = threading.RLock(), Counter()


def tracked(block):
    """Count a block until nothing holds it, or a view of it, any more."""
    with LOCK:
        BLOCKS["made"] += 1
        BLOCKS["alive"] += 1
        BLOCKS["peak"] = max(BLOCKS["peak"], BLOCKS["alive"])
    weakref.finalize(block, gone)
    return block


def gone():
    with LOCK:
        BLOCKS["alive"] -= 1


def noise(seed, shape):
    return np.random.default_rng(seed).integers(-100, 100, shape, np.int8)


class Volume:
    """A store: voxels are made when they are read."""

    dtype, ndim = np.dtype(np.int8), 3

    def __init__(self, counts):
        self.shape = tuple(EDGE * n for n in counts)

    def __getitem__(self, region):
        return tracked(
            noise(1, tuple(len(range(*r.indices(n))) for r, n in zip(region, self.shape, strict=True)))
        )

    def __dask_tokenize__(self):
        return ("volume", self.shape)


def computed(counts):
    """Somebody's own lazy array, of which nobody knows how it is read."""

    def produce(block_id=None):
        return tracked(noise(block_id, (EDGE,) * 3))

    chunks = tuple((EDGE,) * n for n in counts)
    return da.map_blocks(produce, chunks=chunks, dtype=np.int8, meta=np.empty((0, 0, 0), np.int8))


def stored(counts):
    return open_lazily(Volume(counts), EDGE)


def core_of(block):
    return block[None, 4:-4, 4:-4, 4:-4]


def segmented(x):
    grid, halo = segment_grid(x.shape, "exact", EDGE, 4, 4)
    statistics = usable_statistics(x)
    return segment(x, core_of, grid, halo, mean=statistics.mean, std=statistics.std)


def equalized(x):
    gain = delayed(physical_gain)(extract_spectrum(x, 10.0), TARGET, None, None)
    return equalize_physical(x, gain, halo=8, grid=block_grid(x.shape, EDGE, at_least=8))


def spectrum(x):
    return extract_spectrum(x, 10.0)


@contextlib.contextmanager
def on_threads():
    with dask.config.set(scheduler="threads", num_workers=2):
        yield


@contextlib.contextmanager
def on_a_cluster():
    from distributed import Client, LocalCluster

    options = {
        "n_workers": 1,
        "threads_per_worker": 2,
        "processes": False,
        "dashboard_address": "127.0.0.1:0",
    }
    # In this process, so that what the worker holds can be counted here.
    with LocalCluster(**options, memory_limit=0) as cluster, Client(cluster):
        yield


def total(block, index):
    return float(block.sum(dtype="f8"))


def peak(result):
    """Compute, and give the largest number of blocks that were alive at once."""
    gc.collect()
    BLOCKS.clear()
    (per_block(total, result) if isinstance(result, da.Array) else result).compute()
    return BLOCKS["peak"]


@pytest.mark.parametrize("where", [on_threads, on_a_cluster])
@pytest.mark.parametrize("result", [global_statistics, spectrum, segmented, equalized])
def test_of_a_stored_tomogram_each_thread_holds_a_block_or_two(result, where):
    with where():
        # A thread's block, what it is made of, and what waits between two tasks.
        assert peak(result(stored((4, 4, 4)))) <= 8
    assert BLOCKS["made"] >= 8


# Blocks of statistics and windows of spectra reach over 2 x 2 x 2 of these; with halos Dask has up to eight layers of
# blocks under way (measured), and knows no number of blocks.
@pytest.mark.parametrize("where", [on_threads, on_a_cluster])
@pytest.mark.parametrize(
    ("result", "n_passes", "most"),
    [(global_statistics, 1, 24), (spectrum, 2, 64), (segmented, 2, 64), (equalized, 3, 64)],
)
def test_of_other_lazy_tomograms_no_pass_keeps_its_blocks_for_the_next(result, n_passes, most, where):
    with where():
        x = computed((64, 2, 2))
        assert peak(result(x)) <= most <= x.npartitions / 4
    assert BLOCKS["made"] == n_passes * x.npartitions


def test_a_pass_begins_when_the_one_before_has_ended():
    order = []

    def produce(block_id=None):
        order.append("block")
        return np.full((4, 4, 4), block_id[0], np.int8)

    def first(sums):
        order.append("first")
        return sum(sums)

    x = da.map_blocks(produce, chunks=((4,) * 9, (4,), (4,)), dtype="i1", meta=np.empty((0, 0, 0), "i1"))
    total = delayed(first)(list(x.sum(axis=(1, 2)).to_delayed()))
    second = again(x, total) + da.from_delayed(total, (), "i8").map_blocks(lambda t: t, dtype="i8")
    with on_threads():
        second.compute()
    assert order == ["block"] * 9 + ["first"] + ["block"] * 9


def lazy_arrays():
    x = da.from_array(np.arange(30 * 20 * 10).reshape(30, 20, 10), chunks=7) + 1
    scale = delayed(float)(3)
    return {
        "rechunked": x.rechunk(11),
        "sliced": x[3:, ::2, 4:][[5, 1, 2]],
        "overlapped": da.map_overlap(lambda b: b * 2, x, depth=2, boundary="reflect", dtype=x.dtype),
        "joined": da.concatenate([x, da.pad(x, 2, mode="edge")[:5, 2:-2, 2:-2]]),
        "with a lazy argument": da.map_blocks(lambda b, k: b * k, x, k=scale, dtype="f8"),
        "accumulated": x.cumsum(axis=0),
        "of Delayed": da.from_delayed(delayed(np.ones)((4, 5, 6)), (4, 5, 6), float),
        "random": da.random.default_rng(0).normal(size=(20, 20, 20), chunks=7),
    }


@pytest.mark.parametrize("name", lazy_arrays())
def test_the_voxels_of_another_pass_are_the_same_and_none_is_shared(name):
    array = lazy_arrays()[name]
    other = again(array, delayed(int)(1))
    work = {key for key, node in array.dask.items() if isinstance(node, Task)}
    needed, _ = cull(dict(other.dask), list(flatten(other.__dask_keys__())))
    assert work and not work & set(needed)
    np.testing.assert_array_equal(*dask.compute(array, other, scheduler="threads"))
    assert other.chunks == array.chunks and other.dtype == array.dtype


def test_what_is_in_memory_stays_there():
    numpy = da.from_array(np.ones((8, 8, 8)), chunks=4)
    with on_a_cluster():
        persisted = computed((2, 1, 1)).persist()
        wait(persisted)
        BLOCKS.clear()
        np.testing.assert_array_equal(again(persisted, delayed(int)(1)), persisted)
        assert not BLOCKS["made"]
    for array in (numpy, (numpy + 1).persist(scheduler="sync")):
        np.testing.assert_array_equal(again(array, delayed(int)(1)), array)


def test_a_stored_tomogram_is_known_again_until_something_is_done_to_it():
    volume = Volume((2, 2, 2))
    given = xarray.DataArray(open_lazily(volume, 50), dims=("z", "y", "x"))
    same = [
        given,
        given.copy(),
        given.rename("cell"),
        given.transpose("z", "y", "x"),
        given.assign_coords(z=range(128)),
    ]
    assert all(readable(x.data) is volume for x in same)
    others = [given + 0, given[1:], given.chunk(64), given.astype("f4"), given.persist(scheduler="sync")]
    assert all(readable(x.data) is x.data for x in others)
    assert readable(volume) is volume
