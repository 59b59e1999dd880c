"""Split: which tomograms each fold of a cross-validation holds out, and their preparation once for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deepict_dask.config.sweep import CrossValidateSettings, FoldSettings
from deepict_dask.config.training import LabelSettings, TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.learning.studies.fold import digest
from deepict_dask.learning.training_data import prepare_training_data
from deepict_dask.scoring.judge import check_truth, names_of
from deepict_dask.stages.work import Work


def split_folds(names: Sequence[str], settings: FoldSettings) -> list[tuple[str, ...]]:
    """Decide which tomograms each fold holds out.

    Parameters
    ----------
    names : sequence of str
        Of all tomograms; unique.
    settings : FoldSettings
        Number of folds and their size, or names.

    Returns
    -------
    list of tuple of str
        Disjoint; together all tomograms, unless the settings say how many or which.

    Raises
    ------
    InputError
        If there are too few tomograms, or a name is unknown or in two folds.

    Examples
    --------
    >>> split_folds(["a", "b", "c", "d"], FoldSettings(folds=3, shuffle=False))
    [('a', 'b'), ('c',), ('d',)]
    """
    if isinstance(settings.folds, list):
        chosen = [tuple(fold) for fold in settings.folds]
        flat = [n for fold in chosen for n in fold]
        if unknown := [n for n in flat if n not in names]:
            raise InputError(f"there is no tomogram {unknown[0]!r} to hold out; there are {', '.join(names)}")
        if twice := [n for n in flat if flat.count(n) > 1]:
            raise InputError(f"tomogram {twice[0]!r} is held out twice; hold each out once")
    else:
        k, n = settings.folds, settings.held_out
        needed = k * (n or 1)
        if len(names) < needed:
            raise InputError(
                f"{k} folds that hold out {n or 1} or more need {needed} tomograms, but there are {len(names)}; use fewer folds"
            )
        order = list(names)
        if settings.shuffle:
            order = [names[i] for i in np.random.default_rng(settings.seed).permutation(len(names))]
        if n is not None:
            order = order[: k * n]
        chosen = [tuple(str(name) for name in part) for part in np.array_split(np.array(order), k)]
    if any(len(fold) == len(names) for fold in chosen):
        raise InputError("a fold holds out all tomograms, and there is none left to train on; add some")
    return chosen


def prepare_tomograms(settings: CrossValidateSettings, work: Work) -> tuple[TrainSettings, dict[str, str]]:
    """Make the tomograms and targets of all folds, blockwise on all workers, before the first of them trains.

    Returns
    -------
    training : TrainSettings
        With absolute paths, and ``data`` as the folder in which everything lies.
    identity : dict
        Name of a tomogram to a digest of what it and its target were made from.
    """
    output = Location.of(settings.output)
    output.check_folder()
    training = settings.training
    training = _absolute(training, Location.of(training.data) if training.data else output / "data")
    data = prepare_training_data(training, replace(work, threads=training.hardware.threads))
    identity = {name: digest(value) for name, value in data.identities.items()}
    return training, identity


def check_folds(training: TrainSettings, settings: FoldSettings) -> list[tuple[str, ...]]:
    """Split the tomograms of a training into folds, and check that each can be trained and evaluated.

    Raises
    ------
    InputError
        If one cannot.
    """
    names = names_of(training)
    groups = split_folds(names, settings)
    left = len(names) - max(len(g) for g in groups)
    if training.split.split == "tomogram" and left < 2:
        raise InputError(
            f"with {len(names)} tomograms a fold has {left} to train on, and none to validate with; set split: patch in "
            "the training's split, or add tomograms"
        )
    by_name = dict(zip(names, training.tomograms, strict=True))
    for name in (n for g in groups for n in g):
        check_truth(by_name[name], training.class_names)
    return groups


def _absolute(training: TrainSettings, data: Location) -> TrainSettings:
    """Name files so that workers with another working directory find them; addresses stay as they are."""

    def one(path: str) -> str:
        return Location.of(path).url

    def some(paths: Any) -> Any:
        if isinstance(paths, dict):
            return {name: some(value) for name, value in paths.items()}
        if isinstance(paths, LabelSettings):
            return paths.model_copy(update={"path": one(paths.path)})
        return paths and one(paths)

    tomograms = [
        t.model_copy(
            update={"tomogram": one(t.tomogram), "positions": some(t.positions), "masks": some(t.masks)}
        )
        for t in training.tomograms
    ]
    target = training.equalize.target_spectrum
    equal = training.equalize.model_copy(update={"target_spectrum": target and one(target)})
    return training.model_copy(update={"tomograms": tomograms, "equalize": equal, "data": data.url})
