"""Target spectrum over input spectrum by physical frequency, smoothed: a gain for every 1/A."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from deepict_dask.errors import InputError
from deepict_dask.spectrum import Spectrum
from deepict_dask.tomogram import VoxelSize

# Amplitudes below this part of a spectrum's largest are taken as this, which bounds the gain.
FLOOR = 1e-4
# Width of the low-pass edge in shells of the input: narrower ones ring beyond the halo.
EDGE_SHELLS = 6
# Default smoothing of the gain's logarithm, standard deviation in shells of the input.
SMOOTH = 2.0


@dataclass(frozen=True)
class Gain:
    """Factor for each physical frequency, hashable.

    Attributes
    ----------
    frequency : tuple of float
        In 1/A, increasing.
    value : tuple of float
        Gain there, finite and positive.
    voxel_size : (float, float, float)
        Of the tomogram that it is for, (z, y, x), in A.
    cutoff : float, optional
        Low-pass in A: half the gain is left at 1/cutoff.
    edge : float
        Full width of the low-pass edge, a raised cosine, in 1/A.
    """

    frequency: tuple[float, ...]
    value: tuple[float, ...]
    voxel_size: VoxelSize
    cutoff: float | None = None
    edge: float = 0.0

    def __call__(self, frequency: np.ndarray) -> np.ndarray:
        """Evaluate the gain.

        Parameters
        ----------
        frequency : numpy.ndarray of float64, any shape
            In 1/A. Below the first and above the last frequency of the gain its end values hold.

        Returns
        -------
        numpy.ndarray of float64
        """
        nodes, log_value = np.asarray(self.frequency), np.log(self.value)
        if len(nodes) == 1:
            gain = np.full(np.shape(frequency), self.value[0])
        else:
            # Two continuous derivatives, and level at both ends: a kink would make the filter long.
            spline = CubicSpline(nodes, log_value, bc_type="clamped")
            log_gain = spline(np.clip(frequency, nodes[0], nodes[-1]))
            gain = np.exp(np.clip(log_gain, log_value.min(), log_value.max()))
        if self.cutoff is not None:
            phase = (frequency - 1 / self.cutoff) / max(self.edge, np.finfo(float).tiny)
            gain = gain * (0.5 - 0.5 * np.sin(np.pi * np.clip(phase, -0.5, 0.5)))
        return gain


def physical_gain(
    spectrum: Spectrum, target: Spectrum, cutoff: float | None = None, smooth: float | None = None
) -> Gain:
    """Make the gain that brings one spectrum to another.

    Parameters
    ----------
    spectrum : Spectrum
        Of the tomogram to be equalized, convention ``physical``.
    target : Spectrum
        Convention ``physical``, of any shape and voxel size: it is interpolated at the
        input's frequencies in 1/A, linearly between logarithms of both. Beyond its last frequency its last value holds.
    cutoff : float, optional
        Low-pass in A (not in shells, as in the ``deepict`` convention).
    smooth : float, optional
        Standard deviation of the Gaussian that smooths the gain's logarithm, in shells of the
        input's spectrum; 2 by default, 0 for none.

    Returns
    -------
    Gain
        Finite: amplitudes below 1e-4 of a spectrum's largest are taken as that.

    Raises
    ------
    InputError
        If a spectrum is in the other convention, or ``cutoff`` or ``smooth`` is out of range.
    """
    spectrum.require("physical", "input spectrum")
    target.require("physical", "target spectrum")
    if spectrum.voxel_size is None:
        raise InputError("the input spectrum has no voxel size; extract it from the tomogram again")
    if cutoff is not None and not cutoff > 0:
        raise InputError(
            f"cutoff is {cutoff}, but must be a positive length in A; leave it out for no low-pass"
        )
    smooth = SMOOTH if smooth is None else smooth
    if not smooth >= 0:
        raise InputError(f"smooth is {smooth}, but must be at least 0 shells; leave it out for {SMOOTH:g}")
    if smooth > len(spectrum.frequency):
        raise InputError(
            f"smooth is {smooth:g} shells, but the tomogram's spectrum has {len(spectrum.frequency)}, and wider than that is "
            f"no gain at all; leave it out for {SMOOTH:g}"
        )
    log_target = np.interp(
        np.log(spectrum.frequency), np.log(target.frequency), _log_amplitude(target, "target")
    )
    log_gain = log_target - _log_amplitude(spectrum, "input")
    if smooth > 0.01:  # less is no smoothing, and scipy's Gaussian may underflow
        log_gain = gaussian_filter1d(log_gain, smooth, mode="reflect")
    return Gain(
        tuple(spectrum.frequency.tolist()),
        tuple(np.exp(log_gain).tolist()),
        spectrum.voxel_size,
        cutoff,
        EDGE_SHELLS * float(spectrum.frequency[0]),
    )


def _log_amplitude(spectrum: Spectrum, role: str) -> np.ndarray:
    amplitude = np.asarray(spectrum.amplitude, np.float64)
    if not np.isfinite(amplitude).all() or not amplitude.max() > 0:
        raise InputError(
            f"the {role} spectrum is empty or not finite; take it from a tomogram that is not constant"
        )
    return np.log(np.maximum(amplitude, FLOOR * amplitude.max()))
