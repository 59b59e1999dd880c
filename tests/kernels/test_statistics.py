from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.kernels.statistics import block_statistics, combine


def split(values: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(values, sorted(c % (len(values) + 1) for c in cuts))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 400), st.lists(st.integers(0, 1000), max_size=6))
def test_float_statistics_equal_numpy_float64_on_any_split(seed: int, n: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(1e4, 3.0, n)).astype(np.float32)
    values[rng.random(n) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    result = combine(block_statistics(part) for part in split(values, cuts))
    good = values[np.isfinite(values)].astype(np.float64)
    assert result.count == good.size
    assert result.n_nan == n - good.size
    if good.size:
        assert result.mean == pytest.approx(good.mean(), rel=1e-14)
        assert result.std == pytest.approx(good.std(), rel=1e-9, abs=1e-9)
        assert (result.minimum, result.maximum) == (good.min(), good.max())


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]),
    st.integers(0, 2**31),
    st.lists(st.integers(0, 1000), max_size=6),
)
def test_integer_statistics_are_exact_on_any_split(dtype: str, seed: int, cuts: list[int]) -> None:
    info = np.iinfo(dtype)
    values = np.random.default_rng(seed).integers(info.min, info.max, 200, dtype=dtype, endpoint=True)
    values[:2] = info.min, info.max
    result = combine(block_statistics(part) for part in split(values, cuts))
    exact = [int(v) for v in values]
    mean = Fraction(sum(exact), len(exact))
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    assert result.mean == float(mean)
    assert result.std == math.sqrt(variance)
    assert (result.minimum, result.maximum) == (float(info.min), float(info.max))


def test_large_offset_does_not_destroy_the_standard_deviation() -> None:
    values = np.array([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])
    assert combine([block_statistics(values[:1]), block_statistics(values[1:])]).std == pytest.approx(
        math.sqrt(22.5), rel=1e-12
    )


def test_slabs_of_a_large_block_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepict_dask.kernels.statistics._SLAB", 7)
    block = np.random.default_rng(0).normal(5, 2, (3, 5, 7)).astype(np.float32)
    block[1, 2, 3] = np.nan
    counts = np.random.default_rng(0).integers(-128, 128, (3, 5, 7)).astype(np.int8)
    result = combine([block_statistics(block)])
    assert result.mean == pytest.approx(np.nanmean(block.astype(float)), rel=1e-14)
    assert result.std == pytest.approx(np.nanstd(block.astype(float)), rel=1e-13)
    assert combine([block_statistics(counts)]).std == pytest.approx(counts.std(dtype=float), rel=1e-14)


def test_no_finite_voxel_gives_nan_and_the_count_of_those_left_out() -> None:
    result = combine([block_statistics(np.full((2, 3), np.nan, np.float16)), block_statistics(np.empty(0))])
    assert result.count == 0
    assert result.n_nan == 6
    assert math.isnan(result.mean) and math.isnan(result.minimum)


def test_constant_block_has_a_standard_deviation_of_exactly_zero() -> None:
    assert combine([block_statistics(np.full((5, 5), 0.1, np.float32))] * 3).std == 0.0


def test_non_contiguous_and_boolean_blocks_are_summed() -> None:
    block = np.arange(60, dtype=np.int16).reshape(3, 4, 5).transpose(2, 0, 1)[::2]
    assert combine([block_statistics(block)]).mean == block.mean()
    assert combine([block_statistics(block > 20)]).mean == (block > 20).mean()
