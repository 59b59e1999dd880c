"""Voxel counts of a map, block by block: the chunking must not show, and nothing may be computed early."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.engine.evaluate import add_counts, voxel_count_parts
from deepict_dask.engine.execute import execute
from deepict_dask.errors import InputError
from deepict_dask.kernels.curves import precision_recall_curve
from deepict_dask.kernels.voxel_counts import count_voxels

SHAPE = (7, 11, 13)


def volumes(dtype, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(SHAPE) < 0.2
    level = np.clip(rng.normal(0.4, 0.2, SHAPE) + 0.3 * truth, 0, 1)
    return (np.rint(255 * level) if dtype == "uint8" else level).astype(dtype), truth.astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(
    chunks=st.tuples(*(st.integers(1, n) for n in SHAPE)),
    of_truth=st.tuples(*(st.integers(1, n) for n in SHAPE)),
    dtype=st.sampled_from(["uint8", "float32", "float16"]),
)
def test_counts_are_the_same_for_every_chunking(chunks, of_truth, dtype):
    predicted, truth = volumes(dtype)
    whole = count_voxels(predicted, truth != 0, threshold=0.6)
    found = add_counts(
        execute(
            voxel_count_parts(da.from_array(predicted, chunks), da.from_array(truth, of_truth), threshold=0.6)
        )
    )
    assert (found.true == whole.true).all() and (found.false == whole.false).all()
    for name in ("n", "n_predicted", "n_truth", "n_both", "unit"):
        assert getattr(found, name) == getattr(whole, name)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_scores_are_those_of_scikit_learn(dtype):
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support

    predicted, truth = volumes(dtype, seed=3)
    parts = voxel_count_parts(da.from_array(predicted, (4, 5, 6)), da.from_array(truth, (4, 5, 6)))
    found = add_counts(execute(parts))
    flat = truth.ravel() != 0
    above = predicted.ravel() / (255 if dtype == "uint8" else 1) > 0.5
    wanted = precision_recall_fscore_support(flat, above, average="binary")[:3]
    assert (found.precision, found.recall, found.f1) == pytest.approx(wanted, abs=1e-15)
    curve = precision_recall_curve(found.values, found.true, found.true + found.false, found.n_truth)
    # For 4096 bins ties between neighbors move the area a little; for levels it is exact.
    exact = average_precision_score(flat, predicted.ravel())
    assert curve.average_precision == pytest.approx(exact, abs=1e-12 if dtype == "uint8" else 2e-3)
    binned = predicted.ravel() if dtype == "uint8" else np.floor(predicted.ravel() * np.float64(4096))
    assert curve.average_precision == pytest.approx(average_precision_score(flat, binned), abs=1e-12)
    assert curve.recall[-1] == 1 and curve.picked[-1] == truth.size


def test_nothing_is_computed_before_it_is_asked_for_and_each_block_is_one_part():
    def refuse(*_):
        raise AssertionError("computed early")

    with dask.config.set(scheduler=refuse):
        lazy = da.map_blocks(
            refuse, chunks=((4, 3), (11,), (13,)), dtype="f4", meta=np.empty((0, 0, 0), "f4")
        )
        parts = voxel_count_parts(lazy, lazy)
    assert parts.shape == (2, 1, 1)
    assert len(parts.__dask_graph__()) <= 3 * parts.size


def test_one_value_of_the_truth_can_be_the_class():
    predicted = np.ones(SHAPE, np.uint8)
    truth = np.random.default_rng(0).integers(0, 3, SHAPE)
    found = add_counts(execute(voxel_count_parts(predicted, truth, is_mask=True, truth_value=2)))
    assert found.n_truth == found.n_both == (truth == 2).sum()


@pytest.mark.parametrize(
    "change, word",
    [
        ({"truth": np.zeros((7, 11, 12))}, "the same shape"),
        ({"threshold": 1.0}, "not a probability"),
        ({"predicted": np.zeros(SHAPE, np.int16)}, "cannot be read as probabilities"),
    ],
)
def test_mistakes_are_sentences(change, word):
    given = {"predicted": np.zeros(SHAPE, "f4"), "truth": np.zeros(SHAPE)} | change
    with pytest.raises(InputError, match=word):
        voxel_count_parts(given.pop("predicted"), given.pop("truth"), **given)
