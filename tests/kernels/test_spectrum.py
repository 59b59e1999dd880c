"""The original's amplitude spectrum: its own files, and a brute-force version with index grids."""

from __future__ import annotations

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deepict_dask.kernels.spectrum import (
    deepict_means,
    deepict_shell_sums,
    deepict_spectrum,
    deepict_transform,
    unit_scale,
)

shapes = st.tuples(st.integers(1, 17), st.integers(2, 17), st.integers(2, 17))


def brute_force(volume: np.ndarray) -> np.ndarray:
    """Write the reference's description out over whole-volume grids."""
    scaled = volume.astype(np.float32) - np.float32(volume.min())
    scaled /= scaled.max()
    magnitude = np.abs(np.fft.fftshift(np.fft.fftn(scaled)))
    z, y, x = (i - n / 2 for i, n in zip(np.indices(volume.shape), volume.shape, strict=True))
    r = np.hypot(np.hypot(y, x), z)
    shells = (max(volume.shape) / 2 * r / r.max()).astype(int)
    return np.asarray(ndimage.mean(magnitude, shells, np.arange(1, shells.max() + 1)))


@settings(max_examples=30, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_spectrum_equals_the_description_written_out(shape, seed):
    volume = np.random.default_rng(seed).normal(5, 2, shape).astype(np.float32)
    np.testing.assert_allclose(deepict_spectrum(volume), brute_force(volume), rtol=1e-6)


def test_a_corner_that_rounding_puts_one_shell_lower_is_no_shell_of_its_own():
    volume = np.random.default_rng(0).normal(5, 2, (2, 8, 10)).astype(np.float32)
    assert len(deepict_spectrum(volume)) == 4
    np.testing.assert_allclose(deepict_spectrum(volume), brute_force(volume), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16])
def test_integers_are_scaled_without_overflow(dtype):
    volume = np.random.default_rng(0).integers(0, 100, (6, 7, 8)).astype(dtype)
    if dtype == np.int8:
        volume[0, 0, :2] = -128, 127
    np.testing.assert_allclose(deepict_spectrum(volume), brute_force(volume.astype(np.float32)), rtol=1e-6)


def test_sums_over_rows_add_up_to_those_of_the_whole():
    shape = (5, 13, 8)
    transform = deepict_transform(np.random.default_rng(1).normal(size=shape))
    parts = [slice(0, 4), slice(4, 5), slice(5, 13)]
    added = sum(deepict_shell_sums(transform[:, rows], shape, rows) for rows in parts)
    np.testing.assert_allclose(added, deepict_shell_sums(transform, shape), rtol=1e-12)
    assert added[1].sum() == np.prod(shape)


@pytest.mark.parametrize("exact", [True, False])
def test_threads_change_no_bit(exact):
    volume = np.random.default_rng(2).normal(size=(9, 15, 14))
    one, three = (deepict_transform(volume, exact=exact, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_scaling_a_constant_gives_zeros_and_no_nan():
    np.testing.assert_array_equal(unit_scale(np.full(3, 7.0), 7, 7), np.zeros(3, np.float32))


def test_empty_shells_are_zero_and_not_nan():
    np.testing.assert_array_equal(deepict_means(np.array([[1.0, 6.0, 0.0], [1.0, 2.0, 0.0]])), [3.0, 0.0])


@pytest.mark.parametrize(
    ("tomogram", "spectrum"),
    [
        ("reference/equalize/defocus.mrc", "reference/equalize/defocus_spectrum.tsv"),
        ("data/phantom/TS_011/tomogram.mrc.gz", "reference/models/spectrum_TS_011.tsv"),
    ],
)
def test_original_spectra_come_out_to_the_last_bit(shared, tomogram, spectrum):
    volume = mrcfile.read(shared / tomogram)
    wanted = np.loadtxt(shared / spectrum, skiprows=1)[:, 1]
    np.testing.assert_array_equal(deepict_spectrum(volume), wanted)
    np.testing.assert_allclose(deepict_spectrum(volume, exact=False), wanted, rtol=1e-4)
