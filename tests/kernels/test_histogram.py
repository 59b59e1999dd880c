from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.kernels.histogram import histogram


def test_bins_are_numpys() -> None:
    values = np.random.default_rng(0).normal(size=(7, 8, 9)).astype("f4")
    found = histogram(values, 13)
    assert found is not None
    counts, bins = np.histogram(values.astype("f8"), 13)
    assert list(found.counts) == counts.tolist()
    assert (found.low, found.high) == (bins[0], bins[-1])
    assert found.mean == pytest.approx(values.mean(dtype="f8")) and found.std == pytest.approx(
        values.std(dtype="f8")
    )


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    found = histogram(np.array([1.0, 2.0, np.nan, np.inf, 2.0]), 2)
    assert found is not None
    assert (found.counts, found.n_not_finite, found.commonest, found.share) == ((1, 2), 2, 2.0, 0.4)
    assert histogram(np.array([np.nan, np.inf])) is None


def test_a_constant_and_a_hot_voxel() -> None:
    constant = histogram(np.full(9, 3, "u1"), 4)
    assert constant is not None and constant.counts == (9, 0, 0, 0) and constant.largest_deviation == 0
    hot = histogram(np.r_[np.zeros(9999), 1e30])
    assert hot is not None and hot.largest_deviation == pytest.approx(99.99, rel=1e-3)


def test_one_voxel_shows_beside_millions() -> None:
    found = histogram(np.r_[np.zeros(1_000_000), 1.0], 3)
    assert found is not None and found.line() == "█ ▁" and found.line(plain=True) == "@ ."
