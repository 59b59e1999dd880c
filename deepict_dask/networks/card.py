"""The model card: what a checkpoint's weights are and what they were trained on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deepict_dask.names import check_classes, check_name
from deepict_dask.networks.architecture import Architecture

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(BaseModel):
    """What happened to the training tomograms, and so must happen to others.

    Attributes
    ----------
    normalization : str
        ``mean_std``: the whole tomogram's mean subtracted, divided by its standard deviation.
    equalization : str
        Convention of the amplitude equalization, or ``none``.
    target_spectrum : str or None
        Name or description of the amplitude spectrum that tomograms were matched to.
    """

    model_config = _FROZEN

    normalization: Literal["mean_std"] = "mean_std"
    equalization: Literal["none", "deepict", "physical"] = "none"
    target_spectrum: str | None = None


class ModelCard(BaseModel):
    """Frozen description that travels with the weights; unknown keys are refused.

    Attributes
    ----------
    card_version : int
        Version of these keys.
    name : str
        Name of the model, and of its files.
    classes : tuple of str
        One name per output channel.
    architecture : Architecture
    voxel_size : float or None
        Voxel edge of the training tomograms in angstrom; None if unknown.
    density : {"dark", "bright"} or None
        What particles looked like in the training tomograms, as the network saw them; None if unknown.
    preprocessing : Preprocessing
    training_data : tuple of str
        Names of the training tomograms, or free text.
    metrics : dict of str to float
    license, package_version, description : str
    """

    model_config = _FROZEN

    card_version: Literal[1] = 1
    name: str
    classes: tuple[str, ...] = Field(min_length=1)
    architecture: Architecture
    voxel_size: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    density: Literal["dark", "bright"] | None = None
    preprocessing: Preprocessing = Preprocessing()
    training_data: tuple[str, ...] = ()
    metrics: dict[str, float] = {}
    license: str = ""
    package_version: str = ""
    description: str = ""

    @field_validator("name")
    @classmethod
    def _name_of_files(cls, name: str) -> str:
        return check_name(name, "the network of the model card")

    @field_validator("classes")
    @classmethod
    def _names_of_classes(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return check_classes(classes, "the model card")

    @model_validator(mode="after")
    def _one_name_per_class(self) -> ModelCard:
        if len(self.classes) != self.architecture.out_classes:
            raise ValueError(
                f"classes has {len(self.classes)} names, but the architecture has "
                f"{self.architecture.out_classes} output classes; give one name per class"
            )
        return self
