"""Logs for TensorBoard, which the extra ``train`` installs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepict_dask.networks.training.recipe import Epoch


class TensorBoardLog:
    """Scalars of every epoch.

    Parameters
    ----------
    folder : Path
        For ``tensorboard --logdir``.
    classes : sequence of str
        Names for the Dice scores.
    done : int
        Epochs that were logged before; what was logged later, by a session that was interrupted before it
        kept its state, is dropped from view.
    """

    def __init__(self, folder: Path, classes: Sequence[str], done: int = 0):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=done + 1 if done else None)
        self.classes = classes

    def add(self, epoch: Epoch) -> None:
        """Log an epoch."""
        values = {
            "loss/training": epoch.loss,
            "loss/validation": epoch.validation_loss,
            "learning_rate": epoch.learning_rate,
            "patches_per_second": epoch.patches_per_second,
            **{f"dice/{name}": dice for name, dice in zip(self.classes, epoch.dice, strict=True)},
        }
        for name, value in values.items():
            self.writer.add_scalar(name, value, epoch.epoch)
        self.writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
