"""What a lazy tomogram costs upstream: each of its blocks once per pass, whatever is asked of it."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from dask.delayed import delayed

from deepict_dask.engine.equalize import equalize_deepict, equalize_physical
from deepict_dask.engine.segment import segment, segment_grid, usable_statistics
from deepict_dask.engine.spectrum import extract_spectrum, global_statistics
from deepict_dask.kernels.physical_gain import physical_gain
from deepict_dask.spectrum import Spectrum

LOCK = threading.Lock()
TARGET = Spectrum("physical", np.arange(1, 9) / 160, np.linspace(9, 1, 8), (10.0,) * 3, (16,) * 3)
BY_INDEX = Spectrum("deepict", np.arange(8.0), np.linspace(9, 1, 8))


@pytest.fixture
def counted():
    calls = []

    def produce(block_id=None):
        with LOCK:
            calls.append(block_id)
        return np.random.default_rng(block_id).normal(size=(20, 20, 20)).astype("f4")

    return da.map_blocks(produce, chunks=((20,) * 4,) * 3, dtype="f4", meta=np.empty((0, 0, 0), "f4")), calls


def equalized(x):
    gain = delayed(physical_gain)(extract_spectrum(x, 10.0, window=16), TARGET, None, None)
    return equalize_physical(x, gain, halo=24)


def segmented(x):
    grid, halo = segment_grid(x.shape, "exact", 40, 4, 4)
    known = usable_statistics(x)
    predict = lambda b: b[None, 4:-4, 4:-4, 4:-4]  # noqa: E731
    return segment(x, predict, grid, halo, mean=known.mean, std=known.std)


@pytest.mark.parametrize(
    ("result", "passes"),
    [
        (global_statistics, 1),
        (lambda x: extract_spectrum(x, 10.0, window=16), 2),
        (lambda x: extract_spectrum(x, None, "deepict"), 1),
        (lambda x: extract_spectrum(x, None, "deepict", large=1), 2),
        (equalized, 3),
        (lambda x: equalize_deepict(x, BY_INDEX), 1),
        (segmented, 2),
        # The mean, the spectrum, and the filter: for the statistics, and for the network.
        (lambda x: segmented(equalized(x)), 4),
    ],
    ids=["statistics", "physical", "deepict", "pencils", "equalize", "equalize-deepict", "segment", "chain"],
)
def test_each_upstream_block_is_computed_once_per_pass(counted, result, passes):
    array, calls = counted
    result(array).compute(scheduler="threads")
    assert sorted(calls) == sorted([*np.ndindex(4, 4, 4)] * passes)
