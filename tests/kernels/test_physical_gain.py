"""Gain in 1/A: by frequency and not by index, finite, low-passed in A."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError
from deepict_dask.kernels.physical_gain import physical_gain
from deepict_dask.spectrum import Spectrum


def made(voxel_size: float, n: int, amplitude) -> Spectrum:
    frequency = np.arange(1, n + 1) / (2 * n * voxel_size)
    return Spectrum("physical", frequency, amplitude(frequency), (voxel_size,) * 3, (64, 64, 64))


def test_spectra_meet_at_physical_frequencies():
    def power_law(f):
        return f**-1.5

    gain = physical_gain(made(10, 32, power_law), made(14, 20, lambda f: 7 * power_law(f)), smooth=0)
    f = np.linspace(0.006, 1 / 28, 50)
    np.testing.assert_allclose(gain(f), 7, rtol=0.02)


def test_beyond_the_target_its_last_value_holds():
    gain = physical_gain(made(10, 32, np.ones_like), made(20, 32, lambda f: 3 - 40 * f), smooth=0)
    np.testing.assert_allclose(gain(np.array([0.03, 0.05, 0.08])), 3 - 40 / 40, rtol=1e-3)


def test_zero_frequency_takes_the_first_shell_s_gain():
    gain = physical_gain(made(10, 8, np.ones_like), made(10, 8, lambda f: 1 / f))
    assert gain(np.array([0.0])) == gain.value[0]


@settings(max_examples=30, deadline=None)
@given(
    amplitude=st.lists(st.floats(0, 1e6), min_size=2, max_size=40).filter(lambda a: max(a) > 1e-3),
    smooth=st.floats(0, 5),
)
def test_gain_is_finite_and_positive_whatever_the_input(amplitude, smooth):
    spectrum = made(10, len(amplitude), lambda _: np.array(amplitude))
    if smooth > len(amplitude):
        with pytest.raises(InputError, match="wider than that"):
            physical_gain(spectrum, made(13, 16, np.ones_like), smooth=smooth)
        return
    gain = physical_gain(spectrum, made(13, 16, np.ones_like), smooth=smooth)
    value = gain(np.linspace(0, 0.2, 100))
    assert np.isfinite(value).all()
    assert (value > 0).all()
    assert value.max() <= 1.01e4 / max(amplitude)


def test_cutoff_in_angstrom_halves_the_gain_there():
    flat = made(10, 32, np.ones_like)
    gain = physical_gain(flat, flat, cutoff=40)
    half = gain.edge / 2
    np.testing.assert_allclose(
        gain(np.array([0.0, 1 / 40 - half, 1 / 40, 1 / 40 + half, 0.05])), [1, 1, 0.5, 0, 0], atol=1e-12
    )


def test_smoothing_acts_on_the_logarithm():
    spike = made(10, 32, lambda f: np.where(np.arange(32) == 16, 100.0, 1.0))
    rough, smooth = (physical_gain(made(10, 32, np.ones_like), spike, smooth=s) for s in (0, None))
    assert max(rough.value) == pytest.approx(100)
    assert max(smooth.value) < 3
    assert np.log(smooth.value).sum() == pytest.approx(np.log(100))


@pytest.mark.parametrize("settings_", [{"cutoff": 0}, {"cutoff": -5}, {"smooth": -1}])
def test_settings_out_of_range_are_refused(settings_):
    flat = made(10, 4, np.ones_like)
    with pytest.raises(InputError, match="leave it out"):
        physical_gain(flat, flat, **settings_)


def test_the_other_convention_is_refused_with_a_way_out():
    flat = made(10, 4, np.ones_like)
    original = Spectrum("deepict", np.arange(4.0), np.ones(4))
    with pytest.raises(InputError, match=r'target spectrum is in the "deepict" convention.*extract it again'):
        physical_gain(flat, original)


def test_an_empty_spectrum_is_refused():
    with pytest.raises(InputError, match="constant"):
        physical_gain(made(10, 4, np.zeros_like), made(10, 4, np.ones_like))
