"""What may be done to a training patch; read by settings files, so without torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from deepict_dask.errors import SettingsError


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes to training patches; what is 0 or False is not done.

    Flips and 90-degree rotations are drawn for every patch, each of the others with ``probability``.
    Densities keep the patch's mean and standard deviation, since a noisier tomogram, or one with another
    spectrum, is standardized too before it is segmented.

    Attributes
    ----------
    flips : bool
        Mirror along z, y and x, each every other time. Changes the hand of particles, which cannot be
        seen at 10 A per voxel.
    rot90 : bool
        Rotate by a multiple of 90 degrees about z, which turns the missing wedge to a direction that tomograms of one
        tilt axis do not have.
    rot90_all_axes : bool
        Rotate so about all axes, which turns the missing wedge away from z.
    rotation : float
        Rotate by an angle up to this, in degrees, about z; 180 for any.
    rotation_all_axes : bool
        Rotate so about an axis of any direction.
    elastic : float
        Standard deviation in voxels of random displacements, drawn at control points.
    elastic_spacing : int
        Distance of the control points in voxels; displacements are interpolated between them.
    gaussian_noise : float
        Largest standard deviation of added white noise, in those of the tomogram.
    colored_noise : float
        The same of noise with the patch's own amplitude spectrum, missing wedge included: as if the
        tomogram had less signal.
    salt_and_pepper : float
        Largest fraction of voxels set to the patch's minimum or maximum.
    missing_wedge : float
        Largest angle in degrees by which the missing wedge is widened on each side, beyond
        ``tilt_limit``; about a tilt axis of random direction in the xy plane.
    tilt_limit : float
        Tilt in degrees that the tomograms reach.
    spectrum : float
        Standard deviation of the logarithm of a random smooth gain over the radial frequency.
    probability : float
        Of each, but flips and 90-degree rotations.
    """

    flips: bool = True
    rot90: bool = False
    rot90_all_axes: bool = False
    rotation: float = 0.0
    rotation_all_axes: bool = False
    elastic: float = 0.0
    elastic_spacing: int = 16
    gaussian_noise: float = 0.0
    colored_noise: float = 0.0
    salt_and_pepper: float = 0.0
    missing_wedge: float = 0.0
    tilt_limit: float = 60.0
    spectrum: float = 0.0
    probability: float = 0.5

    # Read by pydantic when these are part of a settings file.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        limits = {
            "rotation": (0, 180),
            "elastic": (0, 20),
            "elastic_spacing": (4, 64),
            "gaussian_noise": (0, 20),
            "colored_noise": (0, 20),
            "salt_and_pepper": (0, 1),
            "missing_wedge": (0, 60),
            "tilt_limit": (0, 90),
            "spectrum": (0, 3),
            "probability": (0, 1),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise SettingsError(
                    f"augmentation: {name} is {getattr(self, name)!r}, but must be from {low} to {high}"
                )

    @property
    def does_nothing(self) -> bool:
        """Whether a patch stays as it is."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        strengths = ("rotation", "elastic", "gaussian_noise", "colored_noise", "salt_and_pepper")
        certain = self.flips or self.rot90 or self.rot90_all_axes
        drawn = any(values[name] > 0 for name in (*strengths, "missing_wedge", "spectrum"))
        return not certain and not (drawn and self.probability > 0)
