"""What a simulated cell holds and how it is imaged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepict_dask.errors import SettingsError


@dataclass(frozen=True)
class CellSettings:
    """Describe one simulated cell and the microscope that looks at it.

    Lengths are in angstrom unless said otherwise; every default is that of the demo.

    Attributes
    ----------
    shape : (int, int, int)
        Tomogram, (z, y, x) voxels. The lamella is exactly as thick as the tomogram.
    voxel_size : float
        Edge of a voxel.
    seed : int
        Same settings and seed, same cell, bit for bit on one machine.
    n_ribosome, n_fas : int
        Particles of each class, all of them inside the cytosol.
    crowding : float
        Fraction of the volume that is filled with small globular proteins.
    organelle_radius : float
        Radius of the organelle whose membrane curves through the tomogram; 0 for none.
    n_vesicles : int
        Closed vesicles in the cytosol.
    vesicle_radius : float
        Their radius.
    allow_cut : bool
        Let particles stick out of the tomogram (their centers stay inside).
    max_tilt, tilt_step : float
        Tilts run from -max_tilt to max_tilt about the y axis, degrees.
    voltage : float
        Accelerating voltage, kV.
    spherical_aberration : float
        Cs, mm.
    defocus : float
        Underfocus, micrometers.
    phase_shift : float
        Of the phase plate, degrees: 0 for none, about 90 for a Volta phase plate.
    amplitude_contrast : float
        Fraction in [0, 1).
    b_factor : float
        Envelope exp(-B k^2 / 4) of the images, square angstrom.
    dose : float
        Electrons per square angstrom over the whole tilt series; ``inf`` for no noise.
    detective_efficiency : float
        Fraction of the electrons that the detector counts, in (0, 1].
    """

    shape: tuple[int, int, int] = (64, 192, 192)
    voxel_size: float = 13.48
    seed: int = 0
    n_ribosome: int = 40
    n_fas: int = 20
    crowding: float = 0.2
    organelle_radius: float = 900.0
    n_vesicles: int = 1
    vesicle_radius: float = 260.0
    allow_cut: bool = False
    max_tilt: float = 60.0
    tilt_step: float = 3.0
    voltage: float = 300.0
    spherical_aberration: float = 2.7
    defocus: float = 2.5
    phase_shift: float = 90.0
    amplitude_contrast: float = 0.07
    b_factor: float = 1500.0
    dose: float = 30.0
    detective_efficiency: float = 0.5

    def __post_init__(self) -> None:
        shape = self.shape
        if len(shape) != 3 or any(int(n) != n or n < 8 for n in shape):
            raise SettingsError(f"shape must be three whole numbers (z, y, x) of at least 8, not {shape}")
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        for name in ("voxel_size", "tilt_step", "voltage", "dose"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("n_ribosome", "n_fas", "n_vesicles", "seed"):
            value = getattr(self, name)
            if int(value) != value or value < 0:
                raise SettingsError(f"{name} must be a whole number of at least 0, not {value}")
        for name in ("organelle_radius", "vesicle_radius", "spherical_aberration", "b_factor"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")
        ranges = {
            "crowding": (0.0, 0.5),
            "max_tilt": (0.0, 90.0),
            "amplitude_contrast": (0.0, 0.999),
            "detective_efficiency": (1e-3, 1.0),
            "phase_shift": (-180.0, 180.0),
            "defocus": (-100.0, 100.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise SettingsError(f"{name} must be from {low:g} to {high:g}, not {getattr(self, name)}")

    @property
    def tilts(self) -> tuple[float, ...]:
        """Tilts of the series in degrees, equally spaced and centered on 0."""
        n = math.floor(self.max_tilt / self.tilt_step + 1e-9)
        return tuple(i * self.tilt_step for i in range(-n, n + 1))
