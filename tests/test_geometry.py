"""Integers: reflection against numpy.pad, grids against their own promises."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepict_dask.geometry import block_grid, divisor_chunk, reflect_indices


@given(n=st.integers(1, 40), before=st.integers(0, 99), after=st.integers(0, 99))
def test_reflection_is_numpys(n, before, after):
    padded = np.pad(np.arange(n), (before, after), mode="reflect")
    np.testing.assert_array_equal(reflect_indices(-before, n + after, n), padded)


@given(
    shape=st.tuples(*[st.integers(1, 1200)] * 3),
    target=st.integers(1, 400),
    align=st.sampled_from([1, 2, 4, 8, 32, 40]),
    at_least=st.integers(1, 200),
)
def test_grid_tiles_the_tomogram_with_aligned_cores_of_the_wanted_size(shape, target, align, at_least):
    grid = block_grid(shape, target, align=align, at_least=at_least)
    for n, core, sizes in zip(shape, grid.core, grid.chunks, strict=True):
        assert sum(sizes) == n and core % align == 0
        assert all(s == core for s in sizes[:-1])
        assert len(sizes) == 1 or min(sizes) >= at_least
        if n % align == 0 and at_least <= align <= target:
            assert core <= target


def test_divisor_chunks_divide():
    assert all(core % divisor_chunk(core) == 0 for core in range(1, 500))
