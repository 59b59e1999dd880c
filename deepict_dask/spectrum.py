"""The amplitude spectrum of a tomogram, in one of two conventions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from deepict_dask.errors import InputError

Convention = Literal["physical", "deepict"]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Radial mean of the FFT magnitude of a tomogram.

    Attributes
    ----------
    convention : {"physical", "deepict"}
        ``physical``: shells of equal width in 1/A up to the Nyquist frequency, zero frequency left
        out, amplitudes per unit of volume, so that tomograms of any shape and voxel size compare.
        ``deepict``: the original's shells, which know no voxel size and compare by index only.
    frequency : numpy.ndarray of float64, shape (shell,)
        In 1/A and increasing (``physical``), or the shell's index 0, 1, 2, ... (``deepict``).
    amplitude : numpy.ndarray of float64, shape (shell,)
        Mean magnitude: density units x A**1.5 (``physical``); of the FFT of the tomogram scaled
        to [0, 1] (``deepict``).
    voxel_size : (float, float, float), optional
        Of the tomogram it was taken from, (z, y, x), in A.
    shape : (int, int, int), optional
        Of that tomogram, (z, y, x) voxels.
    """

    convention: Convention
    frequency: np.ndarray
    amplitude: np.ndarray
    voxel_size: tuple[float, float, float] | None = None
    shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.convention not in get_args(Convention):
            raise InputError(
                f'a spectrum is "physical" or "deepict", not "{self.convention}"; choose one of the two'
            )
        if np.shape(self.frequency) != np.shape(self.amplitude) or np.ndim(self.amplitude) != 1:
            raise InputError(
                f"a spectrum needs one amplitude per frequency, not {np.shape(self.amplitude)} for "
                f"{np.shape(self.frequency)}; give two lists of one length"
            )

    def require(self, convention: Convention, role: str) -> None:
        """Refuse the spectrum where another convention is needed.

        Raises
        ------
        InputError
            Saying what to do about it.
        """
        if self.convention != convention:
            raise InputError(
                f'the {role} is in the "{self.convention}" convention and cannot be used for "{convention}" '
                f'equalization; extract it again with convention "{convention}", '
                f'or equalize with convention "{self.convention}"'
            )
