"""Train: tomograms and positions in, a network with its model card out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deepict_dask.cluster.machine import this_machine
from deepict_dask.config import commented_yaml
from deepict_dask.config.training import TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.learning.course import course_of, what_changed
from deepict_dask.learning.diary import Diary, scores
from deepict_dask.learning.training_data import TrainingData, prepare_training_data
from deepict_dask.networks.training.recipe import Epoch, Recipe, Resume
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work

if TYPE_CHECKING:
    from deepict_dask.networks.training.dataset import PatchDataset
    from deepict_dask.networks.training.trainer import Patches

# A Dice score that is 0 in print.
_NOTHING = 0.0005


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave.

    Attributes
    ----------
    model_path : Location
        The ``.safetensors`` file with the weights of the best epoch, its card beside it.
    history : tuple of Epoch
        All epochs, of all sessions.
    best_epoch : int
        From 1.
    seconds : float
        Of all epochs, with validation.
    patches_per_second : float
        Of training, on average.
    ended_by : str
        Why it ended.
    """

    model_path: Location
    history: tuple[Epoch, ...]
    best_epoch: int
    seconds: float
    patches_per_second: float
    ended_by: str

    @property
    def best(self) -> Epoch:
        """The best epoch."""
        return self.history[self.best_epoch - 1]

    @property
    def unlearned(self) -> tuple[int, ...]:
        """Numbers of the classes of which the best epoch found nothing in the validation patches (Dice 0)."""
        return tuple(k for k, dice in enumerate(self.best.dice) if dice < _NOTHING)


def train(
    settings: TrainSettings,
    work: Work,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainingResult:
    """Train a network on tomograms.

    Parameters
    ----------
    settings : TrainSettings
        All of it. The folder ``output`` gets the model, ``history.csv``, ``learning_curve.png``,
        ``tensorboard/``, ``settings.yaml``, and ``last.pt``, from which the same training goes on where it
        was interrupted.
    work : Work
        Follows the work; its ``overwrite`` begins anew, and replaces what was made with other settings.
    on_epoch : callable, optional
        Called with every epoch after it was written; what it raises ends the training.

    Returns
    -------
    TrainingResult

    Raises
    ------
    InputError
        If tomograms, masks or settings do not fit together.
    WorkError
        If the loss is not finite.
    """
    output = Location.of(settings.output)
    output.check_folder()
    data = prepare_training_data(settings, replace(work, threads=settings.hardware.threads))
    return train_on(data, settings, work, on_epoch=on_epoch)


def train_on(
    data: TrainingData,
    settings: TrainSettings,
    work: Work,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainingResult:
    """Train on tomograms that are prepared; parameters as in `train`."""
    import torch

    from deepict_dask.networks.training.resume import forget_progress
    from deepict_dask.networks.training.trainer import Watcher, fit
    from deepict_dask.networks.unet3d import UNet3D

    reporter, output = work.reporter, Location.of(settings.output)
    patches = make_patches(data, settings)
    _check_classes(patches.training, patches.validation, settings.class_names, reporter)
    (output / "settings.yaml").write(commented_yaml(settings))
    resume = Resume((output / "last.pt").local_path(), course_of(data, settings), what_changed)
    if work.overwrite:
        forget_progress(resume.path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.fit.seed)
        network = UNet3D.from_architecture(settings.architecture)
    recipe = _recipe(settings)
    n_weights = sum(p.numel() for p in network.parameters())
    reporter.say(
        f"{settings.name}: {len(patches.training)} patches of {settings.patches.patch} voxels to train on, "
        f"{len(patches.validation)} to validate with; 3D U-Net of depth {settings.network.depth} with "
        f"{settings.network.initial_features} features, {n_weights} weights"
    )
    with ExitStack() as stack:
        diary = Diary(data, settings, patches, reporter, stack, on_epoch)
        watcher = Watcher(diary.step, diary.epoch, diary.resume)
        outcome = fit(network, patches, recipe, resume=resume, watcher=watcher)
    # Again: a session that was interrupted may have left none, or that of an epoch that it did not keep.
    path = diary.save(outcome.best, outcome.state)
    spent = sum(1 / e.patches_per_second for e in outcome.history)
    reporter.say(
        f"{path}: best of {len(outcome.history)} epochs is {outcome.best.epoch}, {scores(outcome.best, settings.class_names)}; "
        f"ended by {outcome.ended_by}"
    )
    return TrainingResult(
        model_path=path,
        history=outcome.history,
        best_epoch=outcome.best.epoch,
        seconds=sum(e.seconds for e in outcome.history),
        patches_per_second=len(outcome.history) / spent,
        ended_by=outcome.ended_by,
    )


def make_patches(data: TrainingData, settings: TrainSettings) -> Patches:
    """Draw the patches, split them, and decide in which order they are seen.

    Raises
    ------
    InputError
        If there are none, or the split leaves nothing on one side.
    """
    from deepict_dask.networks.training.augmentation import Augmentation
    from deepict_dask.networks.training.dataset import (
        PatchDataset,
        balanced_sampler,
        draw_patches,
        shuffled_sampler,
        split_patches,
    )
    from deepict_dask.networks.training.loading import SampledOrder
    from deepict_dask.networks.training.trainer import Patches

    p, seed = settings.patches, settings.fit.seed
    drawn = draw_patches(data.tomograms, p.patch, p.overlap, p.min_label_fraction)
    to_train, to_validate = split_patches(
        drawn, settings.split.validation, by=settings.split.split, seed=seed
    )
    augmentation = Augmentation(settings.augmentation, seed)
    training = PatchDataset(
        data.tomograms, to_train, p.patch, augmentation=augmentation, jitter=p.jitter, seed=seed
    )
    validation = PatchDataset(data.tomograms, to_validate, p.patch)
    sampler = (balanced_sampler if p.balanced else shuffled_sampler)(
        training, seed, n_samples=p.patches_per_epoch
    )
    return Patches(training, validation, SampledOrder(sampler))


def _recipe(settings: TrainSettings) -> Recipe:
    fit, hardware = settings.fit, settings.hardware
    workers = hardware.loader_workers
    if workers is None:
        workers = min(8, this_machine().cores // 4)
    return Recipe(
        **fit.model_dump(),
        precision=hardware.precision,
        device=hardware.device,
        n_processes=hardware.gpus,
        loader_workers=workers,
        threads=hardware.threads,
        deterministic=hardware.deterministic,
    )


def _check_classes(
    training: PatchDataset, validation: PatchDataset, classes: Sequence[str], reporter: Reporter
) -> None:
    for k, name in enumerate(classes):
        if not any(p.labelled[k] for p in training.patches):
            raise InputError(
                f"class {name!r} is labelled nowhere in the {len(training)} patches to train on, so nothing can be "
                "learned of it; add tomograms with it, leave the class out, or lower min_label_fraction"
            )
        if not any(p.labelled[k] for p in validation.patches):
            reporter.warn(
                f"class {name!r} is labelled nowhere in the {len(validation)} patches to validate with; the best epoch "
                "is chosen without it"
            )
