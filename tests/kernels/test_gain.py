"""The original's gain and its application: its own files, and the description written out."""

from __future__ import annotations

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from deepict_dask.errors import InputError
from deepict_dask.kernels.gain import deepict_apply, deepict_gain, deepict_gain_plane, mirrored_distance
from deepict_dask.kernels.spectrum import deepict_means, deepict_shell_sums, deepict_transform


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13])
def test_distances_are_the_half_axis_padded_by_numpy(n):
    half = np.arange((n + 1) // 2)
    shifted = np.pad(half, (n // 2, 0), mode="reflect" if n % 2 else "symmetric")
    np.testing.assert_array_equal(mirrored_distance(n), np.fft.ifftshift(shifted))


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 12)] * 3), n_shells=st.integers(2, 8))
def test_gain_is_interpolated_by_index_distance(shape, n_shells):
    gain = np.random.default_rng(n_shells).uniform(0.1, 3, n_shells)
    d = np.meshgrid(*(mirrored_distance(n) for n in shape), indexing="ij")
    wanted = interp1d(np.arange(n_shells), gain, bounds_error=False, fill_value=0)(
        np.sqrt(sum(i**2 for i in d))
    )
    planes = np.stack([deepict_gain_plane(gain, shape, z) for z in range(shape[0])])
    np.testing.assert_allclose(planes, wanted, rtol=1e-5, atol=1e-6)
    rows = slice(shape[1] // 2, shape[1])
    np.testing.assert_array_equal(deepict_gain_plane(gain, shape, 0, rows), planes[0, rows])


def test_target_is_cut_or_padded_by_index():
    ones = np.ones(4)
    np.testing.assert_array_equal(deepict_gain(ones, np.arange(1.0, 7)), [1, 2, 3, 4])
    np.testing.assert_array_equal(deepict_gain(ones, np.array([5.0, 6.0])), [5, 6, 0, 0])


def test_cutoff_alone_is_sharp_and_smooth_makes_it_a_sigmoid():
    ones = np.ones(20)
    np.testing.assert_array_equal(deepict_gain(ones, ones, 7), np.arange(20) < 7)
    soft = deepict_gain(ones, ones, 10, 5)
    assert (np.diff(soft) < 0).all()
    assert soft[9] > 0.5 > soft[10]
    np.testing.assert_array_equal(deepict_gain(ones, ones, 7, 0), deepict_gain(ones, ones, 7))
    assert np.isfinite(deepict_gain(ones, ones, 7, 1e-4)).all()


def test_shells_without_amplitude_get_gain_zero():
    np.testing.assert_array_equal(deepict_gain(np.array([0.0, 2.0]), np.ones(2)), [0, 0.5])


@pytest.mark.parametrize(("cutoff", "smooth"), [(0, None), (-3, None), (5, -1), (None, 4)])
def test_settings_out_of_range_are_refused(cutoff, smooth):
    with pytest.raises(InputError, match=r"leave it out|give a cutoff"):
        deepict_gain(np.ones(3), np.ones(3), cutoff, smooth)


@pytest.mark.parametrize(("name", "cutoff", "smooth"), [("matched", None, None), ("matched_lowpass", 40, 10)])
def test_matched_tomograms_of_the_original_come_out(shared, name, cutoff, smooth):
    folder = shared / "reference" / "equalize"
    volume, wanted = mrcfile.read(folder / "defocus.mrc"), mrcfile.read(folder / f"{name}.mrc")
    target = np.loadtxt(folder / "target_spectrum.tsv", skiprows=1)[:, 1]
    for exact in (True, False):
        transform = deepict_transform(volume, exact=exact)
        gain = deepict_gain(
            deepict_means(deepict_shell_sums(transform, volume.shape)), target, cutoff, smooth
        )
        result = deepict_apply(transform, gain, exact=exact)
        if exact:
            np.testing.assert_array_equal(result, wanted)
        error = np.linalg.norm((result - wanted).astype(float)) / np.linalg.norm(wanted.astype(float))
        assert error <= 2e-6
        assert np.abs(result - wanted).max() <= 1e-5 * np.abs(wanted).max()
