"""How to train, and what came of it: plain values, so that no loop knows about settings files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Literal

LossName = Literal["dice", "generalized_dice", "bce", "dice_bce", "generalized_dice_bce"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Recipe:
    """What the training loop is told.

    Attributes
    ----------
    loss : LossName
        Key of `losses.LOSSES`.
    learning_rate : float
        Of Adam at the start.
    batch_size : int
        Patches of one step, over all GPUs together.
    epochs : int
        Passes over the patches, at most.
    max_minutes : float or None
        No epoch is begun that would probably end later than this, all sessions added up.
    plateau_patience, plateau_factor
        After so many epochs without improvement, the learning rate is multiplied by the factor.
    stop_patience : int
        After so many epochs without improvement, training ends.
    monitor : {"loss", "dice"}
        What "improvement" looks at, on the validation patches.
    seed : int
        Of order, augmentation and dropout.
    precision : Precision
        auto is mixed precision on a GPU and float32 on a CPU.
    device : {"auto", "cpu", "cuda"}
    n_processes : int or None
        GPUs to share a batch out to; None for all there are (one process on a CPU).
    loader_workers : int
        Processes that read patches ahead; 0 reads in the training process.
    threads : int or None
        Threads of the training process; None leaves torch's choice.
    deterministic : bool
        Also on a GPU, choose algorithms that give the same result every time where there are such.
    """

    loss: LossName = "dice"
    learning_rate: float = 1e-3
    batch_size: int = 4
    epochs: int = 100
    max_minutes: float | None = None
    plateau_patience: int = 5
    plateau_factor: float = 0.5
    stop_patience: int = 20
    monitor: Literal["loss", "dice"] = "loss"
    seed: int = 0
    precision: Precision = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    n_processes: int | None = None
    loader_workers: int = 0
    threads: int | None = None
    deterministic: bool = True


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes
    ----------
    epoch : int
        From 1.
    loss : float
        Mean over the batches.
    validation_loss : float
        Of all validation patches as one.
    dice : tuple of float
        Per class, Dice score of the validation patches at a probability of 0.5; NaN for a class that is
        neither there nor predicted.
    learning_rate : float
        That the epoch was trained with.
    seconds : float
        With validation.
    patches_per_second : float
        Of training.
    is_best : bool
        Whether it was the best on the validation patches so far.
    """

    epoch: int
    loss: float
    validation_loss: float
    dice: tuple[float, ...]
    learning_rate: float
    seconds: float
    patches_per_second: float
    is_best: bool

    @property
    def mean_dice(self) -> float:
        """Mean over the classes that have a score; 0 if none has."""
        coefficients = [d for d in self.dice if not isnan(d)]
        return sum(coefficients) / len(coefficients) if coefficients else 0.0


@dataclass(frozen=True)
class Fit:
    """What a training gave.

    Attributes
    ----------
    history : tuple of Epoch
    best : Epoch
    state : dict of str to torch.Tensor
        Weights after the best epoch, on the CPU.
    ended_by : str
        In words.
    """

    history: tuple[Epoch, ...]
    best: Epoch
    state: dict[str, Any]
    ended_by: str


def _changed(old: str, new: str) -> str:
    return "settings or data have changed"


@dataclass(frozen=True)
class Resume:
    """Where the loop keeps its state after every epoch.

    Attributes
    ----------
    path : Path
        The file.
    key : str
        Identifies network, data and settings; a state with another key is refused.
    difference : callable
        Says of the state's key and this one what differs, to end a sentence that begins with "since".
    """

    path: Path
    key: str
    difference: Callable[[str, str], str] = _changed
