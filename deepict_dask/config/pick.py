"""Settings of picking, each of which may differ from class to class."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationInfo, field_validator, model_validator

from deepict_dask import tomogram
from deepict_dask.config.by_class import OTHERS, PerClass, value_for
from deepict_dask.config.section import Border, ClassName, Section
from deepict_dask.errors import InputError, SettingsError
from deepict_dask.names import first_duplicate
from deepict_dask.networks.architecture import NetworkKind

_DIAMETER = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(A|\u00c5|\u212b|angstrom|nm)\s*", re.IGNORECASE)
_LARGEST = 10**15
# The original's, of particles and of compartments.
_THRESHOLDS: dict[NetworkKind, float] = {"unet3d": 0.5, "unet2d": 0.75}


def _size(value: object) -> int | str:
    """Read a number of voxels, or a diameter with its unit, which stays as it is given."""
    if isinstance(value, str) and _diameter(value) is not None:
        return value.strip()
    try:
        number = (
            float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
        )
    except ValueError:
        number = math.nan
    if not (0 <= number <= _LARGEST and number == int(number)):
        raise ValueError(
            f"a size is a whole number of voxels, or a diameter such as 90A or 9nm, not {value!r:.100}"
        )
    return int(number)


def _upper_size(value: object) -> int | str | None:
    size = None if value is None else _size(value)
    if size == 0:
        raise ValueError("a largest size of 0 leaves nothing; give at least 1 voxel")
    return size


def _diameter(text: str) -> float | None:
    """Read a diameter, in A; None if it is none."""
    match = _DIAMETER.fullmatch(text)
    if match is None or (value := float(match[1])) == 0:
        return None
    return value * 10 if match[2].lower() == "nm" else value


Size = Annotated[int | str, PlainValidator(_size)]
UpperSize = Annotated[int | str | None, PlainValidator(_upper_size)]
Threshold = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class ClassPickSettings:
    """How one class is picked.

    Attributes
    ----------
    threshold : float
        Probability above which a voxel belongs to a particle.
    min_size, max_size : int or str, and None for no upper limit
        Voxels of the map, or the diameter of a sphere such as ``"90A"``.
    connectivity : int
        Neighbors that connect two voxels: 6, 18 or 26.
    border : (int, int, int)
        Voxels (z, y, x) left out at the edges.
    region : str or None
        Path of the region mask.
    """

    threshold: float
    min_size: int | str
    max_size: int | str | None
    connectivity: int
    border: tuple[int, int, int]
    region: str | None

    def in_voxels(self, voxel_size: tomogram.VoxelSize | float | None) -> ClassPickSettingsInVoxels:
        """Express the sizes in voxels: a diameter becomes the volume of its sphere.

        Parameters
        ----------
        voxel_size : float or (float, float, float) or None
            Of the probability map, in A; None if it is not known.

        Raises
        ------
        InputError
            If a diameter is given and the voxel size is not known.
        SettingsError
            If the limits leave no size.

        Examples
        --------
        >>> PickSettings(min_size="100A").of_class("ribosome").in_voxels(10.0).min_size
        523
        """
        smallest = _voxels("min_size", self.min_size, voxel_size)
        largest = None if self.max_size is None else _voxels("max_size", self.max_size, voxel_size)
        if largest is not None and largest <= smallest:
            raise SettingsError(
                f"max_size {self.max_size} ({largest} voxels) must be larger than min_size {self.min_size} "
                f"({smallest} voxels), or no size is left"
            )
        kept = {key: getattr(self, key) for key in ("threshold", "connectivity", "border", "region")}
        return ClassPickSettingsInVoxels(min_size=smallest, max_size=largest, **kept)


@dataclass(frozen=True)
class ClassPickSettingsInVoxels(ClassPickSettings):
    """How one class is picked from a map whose voxel size is known: sizes are numbers of voxels."""

    min_size: int
    max_size: int | None


def _voxels(name: str, size: int | str, voxel_size: tomogram.VoxelSize | float | None) -> int:
    if isinstance(size, int):
        return size
    if voxel_size is None:
        raise InputError(
            f"{name} is the diameter {size}, but the voxel size of the map is not known; "
            "give voxels, or the voxel size with --voxel-size"
        )
    # Components are whole numbers of voxels, so that more than V voxels is more than floor(V).
    return math.floor(math.pi / 6 * (_diameter(size) or 0.0) ** 3 / math.prod(tomogram.per_axis(voxel_size)))


class PickSettings(Section):
    """From probability map to particles."""

    threshold: PerClass[Threshold | None] = Field(
        None,
        description="A voxel belongs to a particle if its probability is above this. None: 0.5, or 0.75 in the map of a 2D "
        "network.",
    )
    min_size: PerClass[Size] = Field(
        100,
        description="Components of this many voxels or fewer are dropped; or the diameter of a sphere: 90A, 9nm.",
    )
    max_size: PerClass[UpperSize] = Field(
        None,
        description="Components of more voxels than this, or larger than a sphere of this diameter, are dropped. "
        "None: no limit.",
    )
    connectivity: PerClass[Literal[6, 18, 26]] = Field(26, description="Neighbors that connect two voxels.")
    border: PerClass[Border] = Field(
        (0, 0, 0), description="Thickness in voxels (one number, or z,y,x) at the tomogram's edges left out."
    )
    region: PerClass[str | None] = Field(
        None,
        description="Region mask of the tomogram's shape; particles are picked where it is above 0. "
        "{name} stands for the tomogram's name.",
    )
    region_threshold: float | None = Field(
        None,
        description="A region mask with values between 0 and 1 is inside above this. None: no such mask.",
    )
    resample_region: bool = Field(
        False, description="Resample region masks of another grid instead of refusing them."
    )
    classes: list[ClassName] | None = Field(
        None, min_length=1, description="Classes to pick. None: all that the network knows."
    )
    formats: list[Literal["csv", "motl", "star", "parquet"]] = Field(
        ["csv"], min_length=1, description="Tables to write: csv, motl, star, parquet."
    )
    write_labels: bool | None = Field(
        None,
        description="Also write the label image as OME-Zarr. None: for the map of a 2D network, whose classes are "
        "compartments, where it is the segmentation.",
    )

    @field_validator("classes", "formats")
    @classmethod
    def _named_once(cls, names: list[str] | None) -> list[str] | None:
        if names and (twice := first_duplicate(names)):
            raise ValueError(f"{twice!r} is there twice; name it once")
        return names

    @field_validator(*(field.name for field in fields(ClassPickSettings)))
    @classmethod
    def _other_classes_are_said(cls, value: Any, info: ValidationInfo) -> Any:
        """Put the default of all other classes into a mapping that does not say it: it is part of what was used."""
        if not isinstance(value, dict) or OTHERS in value:
            return value
        assert info.field_name is not None
        return {OTHERS: cls.model_fields[info.field_name].default, **value}

    @model_validator(mode="after")
    def _sizes_leave_something(self) -> PickSettings:
        for name in (OTHERS, *named_classes(self)):
            rules = self.of_class(name)
            if rules.max_size is None:
                continue
            sizes = [_diameter(s) if isinstance(s, str) else s for s in (rules.min_size, rules.max_size)]
            # Voxels and diameters are compared once the voxel size is known.
            if type(rules.min_size) is type(rules.max_size) and sizes[1] <= sizes[0]:  # type: ignore[operator]
                which = "" if name == OTHERS else f" for class {name!r}"
                raise ValueError(
                    f"max_size {rules.max_size} must be larger than min_size {rules.min_size}{which}, or no size is left"
                )
        return self

    def of_class(self, name: str, network: NetworkKind = "unet3d") -> ClassPickSettings:
        """Give how one class of a network's map is picked; "*" gives it for classes that are not named.

        >>> PickSettings().of_class("er").threshold, PickSettings().of_class("er", "unet2d").threshold
        (0.5, 0.75)
        """
        values = {
            field.name: value_for(getattr(self, field.name), name) for field in fields(ClassPickSettings)
        }
        if values["threshold"] is None:
            values["threshold"] = _THRESHOLDS[network]
        return ClassPickSettings(**values)

    def writes_labels(self, network: NetworkKind = "unet3d") -> bool:
        """Say whether label images are written of a network's map."""
        return network == "unet2d" if self.write_labels is None else self.write_labels


def named_classes(settings: PickSettings) -> tuple[str, ...]:
    """Give the classes that have a setting of their own, in the order in which they are first named."""
    values = (getattr(settings, field.name) for field in fields(ClassPickSettings))
    names = (name for value in values if isinstance(value, Mapping) for name in value)
    return tuple(dict.fromkeys(name for name in names if name != OTHERS))


def check_class_names(settings: PickSettings, available: Iterable[str], where: str = "the network") -> None:
    """Check that settings name no class that is not there.

    Parameters
    ----------
    settings : PickSettings
        Settings by class, and the classes to pick.
    available : iterable of str
        Classes that there are.
    where : str
        What they are of, for the error.

    Raises
    ------
    SettingsError
        With the classes that there are.
    """
    available = tuple(available)
    for name in (*named_classes(settings), *(settings.classes or ())):
        if name not in available:
            keys = [
                f.name for f in fields(ClassPickSettings) if isinstance(getattr(settings, f.name), Mapping)
            ]
            key = next((key for key in keys if name in getattr(settings, key)), "classes")
            raise SettingsError(
                f"pick.{key}: there is no class {name!r} in {where}; it has {', '.join(available)}"
            )
