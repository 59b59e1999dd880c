"""Settings of training masks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deepict_dask.config.by_class import PerClass
from deepict_dask.config.section import Section

Length = Annotated[float, Field(gt=0, le=10_000)]


class MaskSettings(Section):
    """Shapes pasted at particle positions. One value for all classes, or one for each by its name."""

    radius: PerClass[Length] | None = Field(None, description="Radius of the spheres in voxels.")
    radius_nm: PerClass[Length] | None = Field(None, description="Radius of the spheres in nm.")
    shape: PerClass[str] | None = Field(
        None, description="Small mask (MRC, EM, ...) to paste instead of spheres, where it is not 0."
    )
    layout: Literal["channels", "labels"] = Field(
        "channels",
        description="channels: one mask per class; labels: one image with the values 1, 2, ... in the order of the "
        "classes, the later one where two meet.",
    )
    zarr_version: Literal["0.5", "0.4"] = Field("0.5", description="OME-Zarr version of what is written.")

    @model_validator(mode="after")
    def _shapes_are_said_once(self) -> MaskSettings:
        ways = {"radius": self.radius, "radius_nm": self.radius_nm, "shape": self.shape}
        shapes = {way: value for way, value in ways.items() if value is not None}
        if not shapes:
            raise ValueError("a mask needs a radius, radius_nm or a shape to paste; give one of them")
        if len(shapes) > 1 and not all(isinstance(value, dict) for value in shapes.values()):
            raise ValueError(
                f"{' and '.join(shapes)} are given for the same class; give one, or each by class"
            )
        named = [name for value in shapes.values() if isinstance(value, dict) for name in value]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"class {twice[0]!r} has several of {', '.join(shapes)}; give one")
        return self
