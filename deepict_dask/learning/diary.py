"""What a training leaves behind after every epoch: model, table, picture, logs, a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from math import isnan
from typing import TYPE_CHECKING, Any

from deepict_dask.config.training import TrainSettings
from deepict_dask.io.charts.learning_curve import plot_learning_curve, write_history
from deepict_dask.io.location import Location
from deepict_dask.learning.training_data import TrainingData
from deepict_dask.networks.card import ModelCard
from deepict_dask.networks.checkpoint import save_checkpoint
from deepict_dask.networks.training.recipe import Epoch
from deepict_dask.stages.report import Reporter

if TYPE_CHECKING:
    from deepict_dask.networks.training.trainer import Patches

# What the extra brings, and what is missing without it.
_EXTRAS = {"tensorboard": "TensorBoard logs", "matplotlib": "learning curve"}


class Diary:
    """Writes down each epoch in the folder of the training, and tells of it.

    Parameters
    ----------
    data : TrainingData
        For the model card.
    settings : TrainSettings
        Of the training.
    patches : Patches
        Counted for the model card.
    reporter : Reporter
        Hears of each epoch and follows the steps.
    stack : ExitStack
        Ends what is open.
    then : callable, optional
        Called with each epoch when it is written.
    """

    def __init__(
        self,
        data: TrainingData,
        settings: TrainSettings,
        patches: Patches,
        reporter: Reporter,
        stack: ExitStack,
        then: Callable[[Epoch], None] | None,
    ):
        self.data, self.settings, self.patches, self.reporter = data, settings, patches, reporter
        self.stack, self.then = stack, then
        self.output, self.classes = Location.of(settings.output), settings.class_names
        self.history: list[Epoch] = []
        n = settings.patches.patches_per_epoch or len(patches.training)
        self.n_steps = -(-n // settings.fit.batch_size)
        total = self.n_steps * settings.fit.epochs
        self.advance = stack.enter_context(reporter.progress("train", settings.name, total, "step"))
        self.log: Any = None
        missing = [name for name in _EXTRAS if find_spec(name) is None]
        self.logs, self.draws = ("tensorboard" not in missing), ("matplotlib" not in missing)
        if missing:
            reporter.warn(
                f"without {' and '.join(missing)} there are no {' and no '.join(_EXTRAS[m] for m in missing)}; "
                "pip install 'deepict_dask[train]' brings both"
            )

    def resume(self, history: Sequence[Epoch]) -> None:
        """Go on after these epochs."""
        self.history = list(history)
        self.advance(self.n_steps * len(history))
        self.reporter.say(f"{self.settings.name}: goes on after epoch {len(history)}")

    def step(self) -> None:
        """Count a step of training."""
        self.advance(1)

    def epoch(self, epoch: Epoch, state: dict[str, Any]) -> None:
        """Write down an epoch, and its weights if they are the best so far."""
        self.history.append(epoch)
        if epoch.is_best:
            self.save(epoch, state)
        if self.logs:
            if self.log is None:
                from deepict_dask.networks.training.tensorboard import TensorBoardLog

                self.log = TensorBoardLog(
                    (self.output / "tensorboard").local_path(), self.classes, len(self.history) - 1
                )
                self.stack.callback(self.log.close)
            self.log.add(epoch)
        write_history(self.output / "history.csv", self.history, self.classes)
        if self.draws:
            plot_learning_curve(
                self.output / "learning_curve.png", self.history, self.classes, self.settings.name
            )
        best = " (best so far)" if epoch.is_best else ""
        self.reporter.say(
            f"epoch {epoch.epoch} of {self.settings.fit.epochs}: loss {epoch.loss:.4f}, validation "
            f"{epoch.validation_loss:.4f}{best}, {scores(epoch, self.classes)}, learning rate {epoch.learning_rate:.3g}, "
            f"{epoch.seconds:.1f} s, {epoch.patches_per_second:.2f} patches/s"
        )
        if self.then is not None:
            self.then(epoch)

    def save(self, epoch: Epoch, state: dict[str, Any]) -> Location:
        """Write the model with its card."""
        s, fit = self.settings, self.settings.fit
        validated_with = sorted({p.tomogram for p in self.patches.validation.patches})
        trained_on = sorted({p.tomogram for p in self.patches.training.patches})
        by_patch = s.split.split == "patch"
        dice = {
            f"validation_dice_{n}": d for n, d in zip(self.classes, epoch.dice, strict=True) if not isnan(d)
        }
        card = ModelCard(
            name=s.name,
            classes=self.classes,
            architecture=s.architecture,
            voxel_size=self.data.voxel_size,
            density=s.density,
            preprocessing=self.data.preprocessing,
            training_data=(*trained_on, *(() if by_patch else (f"{n} (validation)" for n in validated_with))),
            metrics={
                "epoch": epoch.epoch,
                "loss": epoch.loss,
                "validation_loss": epoch.validation_loss,
                **dice,
                "training_patches": len(self.patches.training),
                "validation_patches": len(self.patches.validation),
            },
            license=s.license,
            package_version=version("deepict-dask"),
            description=s.description
            or f"Trained by deepict-dask: {fit.loss} loss, Adam from {fit.learning_rate:g}, {fit.batch_size} patches of "
            f"{s.patches.patch} voxels per step, seed {fit.seed}"
            + (", validated on a share of the same tomograms' patches." if by_patch else "."),
        )
        return Location.of(save_checkpoint(self.output / f"{s.name}.safetensors", state, card))


def scores(epoch: Epoch, classes: Sequence[str]) -> str:
    """Say the Dice scores of an epoch."""
    return "Dice " + ", ".join(f"{n} {d:.3f}" for n, d in zip(classes, epoch.dice, strict=True))
