"""The lazy label image equals scipy's on any chunking, and costs what it says."""

from __future__ import annotations

from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deepict_dask.engine import labelling
from deepict_dask.engine.labelling import label
from deepict_dask.errors import InputError
from deepict_dask.kernels.labelling import CONNECTIVITIES


def scipys(mask, connectivity):
    return ndimage.label(mask, ndimage.generate_binary_structure(3, CONNECTIVITIES[connectivity]))[0]


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 5, 7, 11])] * 3),
    chunks=st.tuples(*[st.integers(1, 12)] * 3),
    density=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
    connectivity=st.sampled_from([6, 18, 26]),
    seed=st.integers(0, 99),
)
def test_label_equals_scipy_on_any_chunking(shape, chunks, density, connectivity, seed):
    mask = np.random.default_rng(seed).random(shape) < density
    lazy = label(da.from_array(mask, chunks=chunks), connectivity)
    with dask.config.set(scheduler="sync"):
        image = lazy.compute()
    assert lazy.dtype == image.dtype == np.int32
    assert lazy.chunks == da.from_array(mask, chunks=chunks).chunks
    np.testing.assert_array_equal(image, scipys(mask, connectivity))


def test_everything_but_zero_is_foreground_and_numpy_is_accepted():
    mask = np.array([[[3.0, 0.0, -1.0]]])
    assert label(mask).compute().tolist() == [[[1, 0, 2]]]


def test_building_the_graph_computes_nothing():
    def forbidden(*args, **kwargs):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=forbidden):
        label(da.ones((20, 22, 26), chunks=(10, 11, 13), dtype=bool))


def test_few_tasks_per_block():
    mask = da.ones((40, 44, 52), chunks=(10, 11, 13), dtype=bool)
    added = len(dict(label(mask).__dask_graph__())) - len(dict(mask.__dask_graph__()))
    assert added <= 3 * mask.npartitions + 1


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_each_block_is_computed_and_labelled_once_and_all_are_merged_once(monkeypatch, scheduler):
    calls = Counter()

    def counted(name, function):
        def wrapped(*args, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        return wrapped

    for name in ("label_block", "merge_components"):
        monkeypatch.setattr(labelling, name, counted(name, getattr(labelling, name)))
    source = np.random.default_rng(0).random((12, 14, 18)) < 0.2
    upstream = da.from_array(source, chunks=(4, 7, 6)).map_blocks(
        counted("upstream", lambda b: b), dtype=bool, meta=np.empty((0, 0, 0), bool)
    )
    image = label(upstream, 6).compute(scheduler=scheduler)
    np.testing.assert_array_equal(image, scipys(source, 6))
    assert calls == {"upstream": 18, "label_block": 18, "merge_components": 1}


def test_other_than_three_axes_are_refused():
    with pytest.raises(InputError, match=r"axes \(z, y, x\)"):
        label(np.ones((3, 4), bool))


def test_labels_on_a_cluster_of_processes(client):
    source = np.random.default_rng(1).random((11, 13, 17)) < 0.15
    image = label(da.from_array(source, chunks=(6, 7, 9)), 18).compute()
    np.testing.assert_array_equal(image, scipys(source, 18))
