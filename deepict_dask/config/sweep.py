"""The settings of ``deepict-dask crossvalidate`` and ``deepict-dask sweep``."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from deepict_dask.config.load import load_settings
from deepict_dask.config.pick import PickSettings
from deepict_dask.config.section import Section
from deepict_dask.config.settings import ClusterSettings, SegmentSettings
from deepict_dask.config.training import FitSettings, NetworkSettings, TrainSettings

# The order in which the paper tuned them.
PAPER_ORDER = ("depth", "initial_features", "batch_norm", "encoder_dropout", "decoder_dropout")
_HOMES: dict[str, Literal["network", "fit"]] = {
    **dict.fromkeys(FitSettings.model_fields, "fit"),  # type: ignore[dict-item]
    **dict.fromkeys(NetworkSettings.model_fields, "network"),  # type: ignore[dict-item]
}
_FIXED = ("network", "epochs", "max_minutes", "monitor", "seed")
Hyperparameters = dict[str, Any]
"""A choice of settings of the network and of its fit, by name."""
Score = Literal["dice", "f1", "best_f1", "auprc"]
Count = Annotated[int, Field(ge=1)]


class FoldSettings(Section):
    """Which tomograms are held out, never seen in training, to be evaluated with."""

    folds: Annotated[int, Field(ge=2)] | list[Annotated[list[str], Field(min_length=1)]] = Field(
        3, description="How many; or the names of the tomograms to hold out, a list for each fold."
    )
    held_out: Count | None = Field(
        None, description="Tomograms held out in each fold. None: every tomogram is held out once."
    )
    shuffle: bool = Field(True, description="Draw them; else take them in the order of the settings.")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Of the drawing.")

    @model_validator(mode="after")
    def _named_or_counted(self) -> FoldSettings:
        if isinstance(self.folds, list) and self.held_out is not None:
            raise ValueError("folds names the tomograms to hold out, so held_out must be left out")
        return self


class JudgeSettings(Section):
    """How a network is judged by the tomograms that were held out."""

    tolerance: Annotated[float, Field(gt=0, le=100_000)] = Field(
        135.0, description="Largest distance in A between a pick and the true position that it is."
    )
    keep_maps: bool = Field(
        True, description="Keep the probability maps of the tomograms that were held out."
    )


class SearchSettings(Section):
    """Which hyperparameters to try, and how."""

    method: Literal["paper", "grid", "optuna"] = Field(
        "paper",
        description="paper: one hyperparameter after the other, keeping the best; grid: all; optuna: its choice.",
    )
    space: dict[str, Annotated[list[bool | int | float | str], Field(min_length=1)]] = Field(
        {
            "depth": [1, 2, 3],
            "initial_features": [4, 8, 16],
            "batch_norm": [False, True],
            "encoder_dropout": [0.0, 0.1, 0.2],
            "decoder_dropout": [0.0, 0.1, 0.2],
        },
        min_length=1,
        description="Values to try of each hyperparameter of network or fit, in the order in which to try them.",
    )
    score: Score = Field(
        "dice",
        description="What is best: Dice score of the validation patches; or, of particles that were held out, F1, "
        "F1 at the best threshold (best_f1), or the area under the precision-recall curve (auprc).",
    )
    trials: Count = Field(30, description="Of optuna: trainings to do, those of earlier sessions included.")
    prune: bool = Field(
        False, description="Of optuna: end trainings that are worse than the median of the others so far."
    )
    prune_after: Annotated[int, Field(ge=0)] = Field(5, description="Epochs that every training gets.")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Of optuna's choices.")

    @field_validator("space")
    @classmethod
    def _known_and_different(cls, space: dict[str, list[Any]]) -> dict[str, list[Any]]:
        hyperparameters = [name for name in _HOMES if name not in _FIXED]
        for name, values in space.items():
            if name not in hyperparameters:
                raise ValueError(
                    f"there is no hyperparameter {name!r} to search; there are {', '.join(hyperparameters)}"
                )
            if len({(type(v) is bool, v) for v in values}) < len(values):
                raise ValueError(f"{name} has a value twice in {values}; name each once")
        return space

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return prod(len(values) for values in self.space.values())


class CrossValidateSettings(Section):
    """All settings of ``deepict-dask crossvalidate``."""

    command: ClassVar[str] = "crossvalidate --defaults"

    output: str = Field("crossvalidation", description="Folder for networks, picks and results.")
    training: TrainSettings = Field(
        description="Settings of `deepict-dask train`, or the path of a file with them; all its tomograms take part."
    )
    folds: FoldSettings | None = FoldSettings()
    judge: JudgeSettings = JudgeSettings()
    segment: SegmentSettings = SegmentSettings()
    pick: PickSettings = PickSettings()
    at_once: Count | None = Field(
        None,
        description="Trainings at a time, each on a worker of its own. None: as many as there are workers.",
    )
    cluster: ClusterSettings = ClusterSettings()

    @field_validator("training", mode="before")
    @classmethod
    def _training_of_a_file(cls, training: Any, info: ValidationInfo) -> Any:
        """Read the training's settings where their file is named, relative to that of these."""
        if not isinstance(training, str):
            return training
        folder = (info.context or {}).get("folder") or Path()
        return load_settings(folder / training, None, TrainSettings)

    @model_validator(mode="after")
    def _parts_agree(self) -> CrossValidateSettings:
        if self.segment.model is not None:
            raise ValueError(
                "segment.model must be left out, since the networks are the ones that are trained"
            )
        if self.folds is not None and isinstance(self.training.split.validation, list):
            raise ValueError(
                "split.validation of the training must be a share, such as 0.2, since every tomogram may be held out"
            )
        return self

    @classmethod
    def example(cls) -> Self:
        """Give all defaults, with the name of a file of training settings to fill in."""
        return cls.model_construct(training="train.yaml")  # type: ignore[arg-type, return-value]


class SweepSettings(CrossValidateSettings):
    """All settings of ``deepict-dask sweep``."""

    command: ClassVar[str] = "sweep --defaults"

    output: str = Field("sweep", description="Folder for networks and results.")
    search: SearchSettings = SearchSettings()
    folds: FoldSettings | None = Field(
        None, description="Cross-validate each choice: the keys below. None: train each once."
    )

    @model_validator(mode="after")
    def _score_is_known(self) -> SweepSettings:
        if self.search.score != "dice" and self.folds is None:
            raise ValueError(
                f"the score {self.search.score} needs tomograms that are held out; set folds, or score: dice"
            )
        if self.search.prune and (self.folds is not None or self.search.method != "optuna"):
            raise ValueError("only optuna prunes, and only without folds; set prune: false")
        return self


def with_hyperparameters(training: TrainSettings, chosen: Hyperparameters) -> TrainSettings:
    """Put hyperparameters into training settings.

    Parameters
    ----------
    training : TrainSettings
        All else.
    chosen : dict
        Name, of `NetworkSettings` or `FitSettings`, to value.

    Raises
    ------
    pydantic.ValidationError
        If a value is not allowed, also in view of the others.
    """
    tree = training.model_dump()
    for name, value in chosen.items():
        tree[_HOMES[name]][name] = value
    return TrainSettings.model_validate(tree)


def hyperparameter(training: TrainSettings, name: str) -> Any:
    """Give the value of a hyperparameter of network or fit."""
    return getattr(getattr(training, _HOMES[name]), name)
