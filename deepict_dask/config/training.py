"""The settings of ``deepict-dask train``: data, network, patches, augmentation, and how to fit."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from deepict_dask.config.section import (
    ClassName,
    Clip,
    Name,
    PositiveLength,
    Section,
    VoxelSize,
    VoxelValue,
)
from deepict_dask.config.settings import EqualizeSettings
from deepict_dask.names import first_duplicate
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.training.augmentation_settings import AugmentationSettings
from deepict_dask.networks.training.recipe import LossName, Precision

Count = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Range = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]


class ClassSettings(Section):
    """One class of particles, one channel of the network."""

    name: ClassName = Field(description="As in the column `class` of a table of positions.")
    radius: PositiveLength | None = Field(
        None, description="Radius of the sphere at each position; not needed where masks are given."
    )
    unit: Literal["nm", "voxels"] = Field("nm", description="Of the radius; voxels are those trained on.")


class LabelSettings(Section):
    """A volume of labels, and which of them are of a class."""

    path: str = Field(description="MRC, EM, HDF5, OME-Zarr.")
    values: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] | None = Field(
        None, description="Voxels of these values are of the class. None: all above 0."
    )


class TomogramSettings(Section):
    """One tomogram to train on or to validate with, and what is where in it."""

    tomogram: str = Field(description="MRC, EM, HDF5, OME-Zarr; also one that this program wrote.")
    name: Name | None = Field(None, description="Unique; the file's name by default.")
    positions: str | dict[str, str] | None = Field(
        None,
        description="Table of positions in voxels (with a column class if there are several), or one per class.",
    )
    masks: str | dict[str, str | LabelSettings] | None = Field(
        None,
        description="Instead: what `deepict-dask masks` wrote, or a volume per class, labelled where above 0, or where "
        "it has some values: {ribosome: {path: labels.mrc, values: [1]}}. Volumes of some classes may stand beside the "
        "positions of the others.",
    )
    box: dict[Literal["z", "y", "x"], Range] | None = Field(
        None, description="Part to use, in voxels: {x: [0, 128]}. None: all of it."
    )
    voxel_size: VoxelSize | None = Field(None, description="In A; overrides what the file's header says.")
    dataset: str | None = Field(None, description="Dataset inside an HDF5 file.")
    clip: Clip | None = Field(None, description="Limit hot voxels, as in `run`.")
    ignore_value: VoxelValue | None = Field(None, description="Leave voxels of this value out, as in `run`.")
    invert: bool = Field(False, description="Change the sign of the voxels, as in `run`.")

    @model_validator(mode="after")
    def _something_to_learn(self) -> TomogramSettings:
        if self.positions is None and self.masks is None:
            raise ValueError(f"{self.tomogram} needs positions or masks")
        if self.positions is not None and isinstance(self.masks, str):
            raise ValueError(
                f"{self.tomogram} has positions, and masks {self.masks} that are of all classes; beside positions "
                "name a volume per class, such as masks: {membrane: membrane.mrc}"
            )
        for axis, (start, stop) in (self.box or {}).items():
            if start >= stop:
                raise ValueError(f"box of {self.tomogram}: {axis} from {start} to {stop} holds nothing")
        return self

    def at_positions(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the classes that come from positions; the others come from masks."""
        if self.positions is None:
            return ()
        if isinstance(self.positions, dict):
            return tuple(n for n in classes if n in self.positions)
        return tuple(n for n in classes if n not in (self.masks or ()))


class SplitSettings(Section):
    """What to validate with: never seen in training, it chooses the best epoch."""

    split: Literal["tomogram", "patch"] = Field(
        "tomogram",
        description="tomogram: whole tomograms; patch: a share of each one's patches, which share voxels.",
    )
    validation: list[str] | Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Names of tomograms, or a share, drawn with the seed."
    )

    @model_validator(mode="after")
    def _names_are_tomograms(self) -> SplitSettings:
        if self.split == "patch" and isinstance(self.validation, list):
            raise ValueError("with split: patch, validation must be a share such as 0.2, not names")
        return self


class NetworkSettings(Section):
    """The network."""

    network: Literal["unet3d"] = Field("unet3d", description="The 3D U-Net of DeePiCt.")
    depth: Annotated[int, Field(ge=1, le=8)] = Field(2, description="Number of poolings.")
    initial_features: Count = Field(
        8, description="Channels of the first level, doubled at each further one."
    )
    batch_norm: bool = Field(True, description="Batch normalization after each activation, none in the base.")
    elu: bool = Field(False, description="ELU instead of ReLU.")
    encoder_dropout: Dropout = Field(0.0, description="Probability of dropping a value in encoder and base.")
    decoder_dropout: Dropout = Field(0.0, description="The same in the decoder.")


class PatchSettings(Section):
    """What the network sees at once."""

    patch: Annotated[int, Field(ge=8, le=512)] = Field(
        64, description="Edge in voxels; a multiple of 2**depth."
    )
    overlap: Annotated[int, Field(ge=0)] = Field(
        12, description="Voxels on each side that a patch shares with its neighbor."
    )
    min_label_fraction: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        0.002,
        description="Patches with no larger labelled share of any class are dropped. None: none is.",
    )
    balanced: bool = Field(True, description="Draw patches so that each class comes as often as the others.")
    patches_per_epoch: Count | None = Field(None, description="None: as many as there are.")
    jitter: Annotated[int, Field(ge=0, le=256)] = Field(
        0, description="Move patches by up to so many voxels, drawn anew in every epoch."
    )


class FitSettings(Section):
    """Optimization with Adam."""

    loss: LossName = Field(
        "dice", description="Dice, Generalized Dice, binary cross-entropy, or a sum of two."
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(1e-3, description="At the start.")
    batch_size: Count = Field(4, description="Patches of one step, over all GPUs together.")
    epochs: Count = Field(100, description="At most.")
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(
        None, description="No epoch is begun that would end later than this."
    )
    monitor: Literal["loss", "dice"] = Field(
        "loss",
        description="What is best on the validation patches: the lowest loss or the highest Dice score.",
    )
    plateau_patience: Annotated[int, Field(ge=0)] = Field(
        5, description="Epochs without improvement after which the learning rate falls."
    )
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = Field(0.5, description="To this share of it.")
    stop_patience: Annotated[int, Field(ge=0)] = Field(
        20, description="Epochs without improvement after which training ends; 0: never."
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Of weights, order, augmentation and dropout.")


class HardwareSettings(Section):
    """On what to train; on a CPU, of these only threads and precision change the result."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a CUDA device if there is one.")
    gpus: Count | None = Field(None, description="GPUs to share each batch. None: all that there are.")
    precision: Precision = Field("auto", description="auto: mixed precision on a GPU, float32 on a CPU.")
    deterministic: bool = Field(True, description="Prefer algorithms that repeat exactly on a GPU, too.")
    loader_workers: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Processes that read patches ahead. None: one per four cores; 0: none."
    )
    threads: Count | None = Field(None, description="Threads of the network on a CPU. None: all cores.")


class TrainSettings(Section):
    """All settings of ``deepict-dask train``."""

    command: ClassVar[str] = "train --defaults"

    name: Name = Field("network", description="Of the model: NAME.safetensors.")
    output: str = Field(
        "training", description="Folder for the model, logs and what is made of the tomograms."
    )
    data: str | None = Field(
        None, description="Folder for ingested tomograms and masks, to share it. None: OUTPUT/data."
    )
    model_voxel_size: PositiveLength | None = Field(
        None, description="Resample all tomograms to this voxel size in A. None: they must agree."
    )
    density: Literal["dark", "bright"] | None = Field(
        None,
        description="What particles look like in the tomograms, once those with invert are inverted; for the model card.",
    )
    description: str = Field("", description="For the model card.")
    license: str = Field("", description="For the model card.")
    tomograms: list[TomogramSettings] = Field(
        min_length=1, description="Tomograms, each with positions or masks."
    )
    classes: list[ClassSettings] = Field(min_length=1, description="Classes, in the order of the channels.")
    split: SplitSettings = SplitSettings()
    network: NetworkSettings = NetworkSettings()
    patches: PatchSettings = PatchSettings()
    fit: FitSettings = FitSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    equalize: EqualizeSettings = EqualizeSettings()
    hardware: HardwareSettings = HardwareSettings()

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: list[ClassSettings]) -> list[ClassSettings]:
        if twice := first_duplicate([c.name for c in classes]):
            raise ValueError(f"class {twice!r} is named twice; every class is one channel")
        return classes

    @model_validator(mode="after")
    def _parts_agree(self) -> TrainSettings:
        for t in self.tomograms:
            self._check_classes(t)
        step = 2**self.network.depth
        if self.patches.patch % step:
            near = max(step, round(self.patches.patch / step) * step)
            raise ValueError(
                f"a patch of {self.patches.patch} voxels is no multiple of 2**depth = {step}; use {near}"
            )
        if 2 * self.patches.overlap >= self.patches.patch:
            raise ValueError(
                f"an overlap of {self.patches.overlap} leaves nothing of a patch of {self.patches.patch} voxels; "
                "use a smaller one"
            )
        return self

    def _check_classes(self, t: TomogramSettings) -> None:
        """Check that each class of a tomogram comes from one thing."""
        names = self.class_names
        paths_by_kind = {k: v for k in ("positions", "masks") if isinstance(v := getattr(t, k), dict)}
        for kind, paths in paths_by_kind.items():
            if odd := sorted(set(paths) - set(names)):
                raise ValueError(
                    f"tomogram {t.tomogram} names {kind} for class {odd[0]!r}; the classes are {', '.join(names)}"
                )
        if len(paths_by_kind) == 2 and (
            twice := sorted(set(paths_by_kind["positions"]) & set(paths_by_kind["masks"]))
        ):
            raise ValueError(
                f"tomogram {t.tomogram} has positions and a mask of class {twice[0]!r}; leave out one of both"
            )
        at_positions = t.at_positions(names)
        if not isinstance(t.masks, str):
            for name in names:
                if name not in at_positions and name not in (t.masks or ()):
                    kind = "positions and no mask" if len(paths_by_kind) == 2 else next(iter(paths_by_kind))
                    raise ValueError(
                        f"tomogram {t.tomogram} names no {kind} for class {name!r}; give one for each class"
                    )
        for c in self.classes:
            if c.name in at_positions and c.radius is None:
                raise ValueError(
                    f"tomogram {t.tomogram} has positions of class {c.name!r}, which has no radius; give it one"
                )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the channels."""
        return tuple(c.name for c in self.classes)

    @property
    def architecture(self) -> Architecture:
        """Hyperparameters of the network."""
        n = self.network
        return Architecture(
            depth=n.depth,
            initial_features=n.initial_features,
            out_classes=len(self.classes),
            batch_norm=n.batch_norm,
            elu=n.elu,
            encoder_dropout=n.encoder_dropout,
            decoder_dropout=n.decoder_dropout,
        )


EXAMPLE = TrainSettings(
    tomograms=[
        TomogramSettings(tomogram="TS_1.mrc", positions="TS_1.csv"),
        TomogramSettings(tomogram="TS_2.mrc", positions="TS_2.csv"),
    ],
    classes=[ClassSettings(name="ribosome", radius=10.8)],
)
"""All defaults, and something to fill in."""
