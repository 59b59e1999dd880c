"""Fold: one training, and the tomograms that it does not see; a noun, with what it is made from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepict_dask.config import PickSettings, SegmentSettings
from deepict_dask.config.sweep import JudgeSettings
from deepict_dask.config.training import TrainSettings
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.stages.output import is_finished

RESULT, PRUNE = "result.json", "prune"


@dataclass(frozen=True)
class Fold:
    """One training, and what to do with its network; small, it travels to a worker.

    Attributes
    ----------
    name : str
        For people.
    folder : Path
        Of the network, the picks and ``result.json``, which is written last.
    training : TrainSettings
        With all tomograms; ``data`` is the folder in which they lie prepared.
    held_out : tuple of str
        Names of the tomograms that training does not see; may be empty.
    segment, pick, judge
        How particles are found in those, and judged.
    made_by : dict
        All that the result depends on; plain values.
    overwrite : bool
        Whether what was made by something else may be replaced.
    """

    name: str
    folder: Path
    training: TrainSettings
    held_out: tuple[str, ...]
    segment: SegmentSettings
    pick: PickSettings
    judge: JudgeSettings
    made_by: dict[str, Any]
    overwrite: bool = False

    def result(self) -> dict[str, Any] | None:
        """Give the result if it is there, see `run_fold`.

        Raises
        ------
        OutputExistsError
            If it was made with other settings and is not to be replaced.
        """
        path = self.folder / RESULT
        if not is_finished(path, self.made_by, self.overwrite):
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def names_of(training: TrainSettings) -> list[str]:
    """Give the names of a training's tomograms, in their order."""
    return [t.name or tomogram_name(t.tomogram) for t in training.tomograms]


def absolute(training: TrainSettings, data: Path) -> TrainSettings:
    """Name files so that workers with another working directory find them; addresses stay as they are."""

    def one(path: str) -> str:
        return os.path.abspath(path) if os.path.exists(path) else path

    def some(paths: str | dict[str, str] | None) -> str | dict[str, str] | None:
        return {n: one(p) for n, p in paths.items()} if isinstance(paths, dict) else paths and one(paths)

    tomograms = [
        t.model_copy(
            update={"tomogram": one(t.tomogram), "positions": some(t.positions), "masks": some(t.masks)}
        )
        for t in training.tomograms
    ]
    target = training.equalize.target_spectrum
    equal = training.equalize.model_copy(update={"target_spectrum": target and one(target)})
    return training.model_copy(
        update={"tomograms": tomograms, "equalize": equal, "data": str(data.absolute())}
    )
