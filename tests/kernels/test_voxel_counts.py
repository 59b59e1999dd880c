"""Voxel counts of one block, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.errors import WorkError
from deepict_dask.kernels import voxel_counts
from deepict_dask.kernels.voxel_counts import FLOAT_BINS, count_voxels


@pytest.fixture
def truth():
    return np.random.default_rng(0).random((5, 6, 7)) < 0.3


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16", "uint16"])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.3])
def test_counts_above_the_threshold_are_exact(truth, dtype, threshold, monkeypatch):
    monkeypatch.setattr(voxel_counts, "_SLAB", 64)  # several slabs
    rng = np.random.default_rng(1)
    scale = None
    if dtype == "uint8":
        predicted, real = (levels := rng.integers(0, 256, truth.shape, np.uint8)), levels / 255
    elif dtype == "uint16":
        scale = 1 / 65535
        predicted = rng.integers(0, 65536, truth.shape, np.uint16)
        real = predicted * scale
    else:
        predicted = rng.random(truth.shape).astype(dtype)
        predicted[0, 0, :3] = [0, 0.5, 1]
        real = predicted.astype(float)
    counts = count_voxels(predicted, truth, threshold=threshold, scale=scale)
    above = real > threshold
    assert (counts.n_predicted, counts.n_truth) == (above.sum(), truth.sum())
    assert counts.n_both == (above & truth).sum()
    assert counts.precision == pytest.approx(truth[above].mean())
    assert counts.recall == pytest.approx(above[truth].mean())
    assert counts.f1 == pytest.approx(2 * (above & truth).sum() / (above.sum() + truth.sum()))
    # Every bin holds what numpy says lies in it.
    edges = np.append(counts.values, np.inf)
    if dtype != "uint8":
        assert counts.unit == 1 / FLOAT_BINS
        assert (counts.true == np.histogram(real[truth], edges)[0]).all()
        assert (counts.false == np.histogram(real[~truth], edges)[0]).all()
    else:
        assert (counts.true == np.bincount(predicted[truth], minlength=256)).all()
        assert (counts.false == np.bincount(predicted[~truth], minlength=256)).all()


def test_a_mask_has_counts_and_no_bins(truth):
    predicted = np.random.default_rng(2).integers(-1, 2, truth.shape).astype(np.int8)
    counts = count_voxels(predicted, truth, is_mask=True)
    assert (counts.n_predicted, counts.n_both) == ((predicted != 0).sum(), (truth & (predicted != 0)).sum())
    assert len(counts.true) == 0


def test_blocks_add_up_to_the_whole(truth):
    predicted = np.random.default_rng(3).random(truth.shape).astype("f4")
    whole = count_voxels(predicted, truth)
    parts = count_voxels(predicted[:2], truth[:2]) + count_voxels(predicted[2:], truth[2:])
    for name in ("n", "n_predicted", "n_truth", "n_both", "precision", "recall", "f1"):
        assert getattr(parts, name) == getattr(whole, name)
    assert (parts.true == whole.true).all() and (parts.false == whole.false).all()


@pytest.mark.parametrize("value, word", [(1.5, "no probability"), (-0.1, "no probability"), (np.nan, "hole")])
def test_what_is_no_probability_is_refused(truth, value, word):
    predicted = np.zeros(truth.shape, "f4")
    predicted[1, 2, 3] = value
    with pytest.raises(WorkError, match=word):
        count_voxels(predicted, truth, start=(8, 0, 0))
