"""How pictures are to look: what may be asked of them, checked where it is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepict_dask.errors import InputError

_MOST_SLICES = 64
_LONGEST = 1000


@dataclass(frozen=True)
class Look:
    """What a picture of slices shows, and how.

    Attributes
    ----------
    image : str
        Of the tomogram's images: ``tomogram``, ``equalized``, ``rescaled``, ``probability`` or ``probability:CLASS``.
    classes : tuple of str or None
        Classes to draw; all of them if None.
    slices : int
        How many x-y slices; one is where most particles are, several are spread over where particles are.
    z, y : tuple of float
        Planes of x-y and x-z slices in voxels instead; empty for the program's choice.
    thickness : float
        In nm: a slice is the mean of so much; one plane at least.
    contrast : (float, float)
        Percentiles of the voxels drawn that become black and white.
    gaussian : float
        Sigma in nm of a smoothing within the slice.
    diameter : float or None
        Of all circles in nm; what the tables say if None.
    width : int
        Of an x-y slice in pixels, at most.
    """

    image: str = "tomogram"
    classes: tuple[str, ...] | None = None
    slices: int = 1
    z: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    thickness: float = 10.0
    contrast: tuple[float, float] = (1.0, 99.0)
    gaussian: float = 0.0
    diameter: float | None = None
    width: int = 720

    def __post_init__(self) -> None:
        if not 1 <= self.slices <= _MOST_SLICES:
            raise InputError(f"slices is {self.slices}; draw 1 to {_MOST_SLICES} slices")
        if len(self.z) > _MOST_SLICES or len(self.y) > _MOST_SLICES:
            raise InputError(f"more than {_MOST_SLICES} planes are given; draw 1 to {_MOST_SLICES} slices")
        low, high = self.contrast
        if not 0 <= low < high <= 100:
            raise InputError(
                f"contrast is {low:g}, {high:g}; give two percentiles, the smaller first, such as 1,99"
            )
        for name in ("thickness", "gaussian"):
            value = getattr(self, name)
            if not 0 <= value <= _LONGEST:
                raise InputError(f"{name} is {value:g}; give a length in nm, 0 to {_LONGEST}")
        if self.diameter is not None and not (math.isfinite(self.diameter) and self.diameter > 0):
            raise InputError(f"diameter is {self.diameter:g}; give a length in nm above 0")
        if not 64 <= self.width <= 4096:
            raise InputError(f"width is {self.width}; give 64 to 4096 pixels")
