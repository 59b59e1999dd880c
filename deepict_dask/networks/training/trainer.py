"""The training loop: epochs of steps, validation, and what to make of it.

Lightning was weighed and left: it brings five packages more, and the random state that a bit-identical resume
needs would have to be kept beside its checkpoints all the same. The loop knows no number of spatial axes; a 2D network
with 2D patches trains as it is.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepict_dask.errors import InputError, WorkError
from deepict_dask.networks.training.judgement import best_of, is_better, reason_to_end, value_of
from deepict_dask.networks.training.loading import EpochBatches, Order, make_loader, shuffled
from deepict_dask.networks.training.losses import LOSSES, N_SUMS, dice_scores, loss_sums, overlap_counts
from deepict_dask.networks.training.processes import Team, choose_device, team_size, train_together
from deepict_dask.networks.training.recipe import Epoch, Fit, Recipe, Resume
from deepict_dask.networks.training.resume import load_progress, save_progress
from deepict_dask.networks.training.switches import choose_dtype, torch_switches


@dataclass(frozen=True)
class Patches:
    """What to train and validate on.

    Attributes
    ----------
    training, validation : dataset
        ``dataset[index]`` is (x, y): float32 (channel, ...) and 0 or 1 (class, ...). It has a length and, if its
        patches change from epoch to epoch, a method ``set_epoch`` that reaches loader workers, too.
    order : Order or None
        Which patches an epoch trains on; None for all, shuffled.
    """

    training: Any
    validation: Any
    order: Order | None = None


@dataclass(frozen=True)
class Watcher:
    """Functions that are called in the first process only; they may do anything, but are waited for.

    Attributes
    ----------
    on_step : callable
        Called after each step of training.
    on_epoch : callable
        Called with each epoch and the weights after it (on the device), before the state is saved.
    on_resume : callable
        Called with the history so far where training goes on from a saved state.
    """

    on_step: Callable[[], None] = lambda: None
    on_epoch: Callable[[Epoch, dict[str, Tensor]], None] = lambda epoch, state: None
    on_resume: Callable[[list[Epoch]], None] = lambda history: None


def fit(
    network: nn.Module,
    patches: Patches,
    recipe: Recipe,
    *,
    resume: Resume | None = None,
    watcher: Watcher | None = None,
) -> Fit:
    """Train a network.

    Parameters
    ----------
    network : torch.nn.Module
        (n, channel, ...) to logits (n, class, ...); its weights are where training starts, and are changed.
    patches : Patches
        Picklable where there are loader workers or several GPUs.
    recipe : Recipe
        How.
    resume : Resume, optional
        File for the state after every epoch. If there is one, training goes on from it, to the same result as
        without the interruption, bit for bit on a CPU with the same number of threads.
    watcher : Watcher, optional
        Follows the training.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        If there are no patches, or the device is not there.
    WorkError
        If the loss is not finite.
    """
    for name in ("training", "validation"):
        if not len(getattr(patches, name)):
            raise InputError(f"there are no {name} patches; lower min_label_fraction, or add tomograms")
    kind = choose_device(recipe.device)
    size = team_size(kind, recipe.n_processes, recipe.batch_size)
    if size == 1:
        other_arguments: tuple = ()
    else:
        other_arguments = (network, patches, recipe, resume, None)
    own_arguments = (network, patches, recipe, resume, watcher or Watcher())
    return train_together(size, kind, _fit, own_arguments, other_arguments)


def _fit(
    team: Team,
    network: nn.Module,
    patches: Patches,
    recipe: Recipe,
    resume: Resume | None,
    watcher: Watcher | None,
) -> Fit:
    with torch_switches(recipe, team.device):
        session = _Session(team, network, patches, recipe)
        # Everyone reads the state; only the first writes it.
        history, ended_by = session.restore(resume)
        if watcher is not None and history:
            watcher.on_resume(history)
        reason = ended_by or reason_to_end(history, recipe)
        while reason is None:
            epoch = session.run(len(history) + 1, history, watcher.on_step if watcher else (lambda: None))
            history.append(epoch)
            if recipe.stop_patience and epoch.epoch - best_of(history).epoch >= recipe.stop_patience:
                ended_by = f"early stopping: no improvement in {recipe.stop_patience} epochs"
            reason = ended_by or reason_to_end(history, recipe)
            if watcher is not None:
                watcher.on_epoch(epoch, session.network.state_dict())
                if resume is not None:
                    save_progress(resume, session.parts(), history, ended_by)
        if not history:
            raise InputError(f"no epoch can be trained with epochs: {recipe.epochs}; use at least 1")
        assert session.best_state is not None
        return Fit(tuple(history), best_of(history), session.best_state, reason)


class _Session:
    """What lives from the first epoch to the last."""

    def __init__(self, team: Team, network: nn.Module, patches: Patches, recipe: Recipe):
        self.team, self.recipe = team, recipe
        self.loss = LOSSES[recipe.loss]
        if team.rank:
            # torch hands the first process's tensors over as shared memory, and there both would step.
            network = copy.deepcopy(network)
        # Convolutions on a CPU take a third of the time in this layout.
        self.network = network.to(team.device)
        for spatial, layout in ((3, torch.channels_last_3d), (2, torch.channels_last)):
            if any(p.ndim == spatial + 2 for p in network.parameters()):
                self.network.to(memory_format=layout)  # type: ignore[call-overload]
        self.n_classes = len(patches.validation[0][1])
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.learning_rate)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer,
            mode="min" if recipe.monitor == "loss" else "max",
            factor=recipe.plateau_factor,
            patience=recipe.plateau_patience,
        )
        self.dtype = choose_dtype(recipe.precision, team.device)
        self.scaler = torch.amp.GradScaler(team.device.type, enabled=self.dtype == torch.float16)
        self.shared = team.wrap(self.network)
        self.best_state: dict[str, Tensor] | None = None
        n, pinned = len(patches.training), team.device.type == "cuda"
        self.batches = EpochBatches(
            patches.order or shuffled(n, recipe.seed), recipe.batch_size, team.rank, team.size
        )
        self.dataset = patches.training
        self.training = make_loader(self.dataset, self.batches, recipe.loader_workers, pinned)
        # Validation sums add up exactly, so each process takes the patches of its turn.
        turn = range(team.rank, len(patches.validation), team.size)
        self.validation = make_loader(
            patches.validation,
            EpochBatches(lambda epoch: turn, max(1, recipe.batch_size // team.size)),
            min(recipe.loader_workers, 2),
            pinned,
        )

    def restore(self, resume: Resume | None) -> tuple[list[Epoch], str | None]:
        progress = load_progress(resume) if resume is not None else None
        if progress is None:
            return [], None
        parts, history, ended_by = progress
        self.network.load_state_dict(parts["network"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.plateau.load_state_dict(parts["plateau"])
        self.scaler.load_state_dict(parts["scaler"])
        self.best_state = parts["best"]
        return history, ended_by

    def parts(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "plateau": self.plateau.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best_state,
        }

    def run(self, number: int, history: list[Epoch], on_step: Callable[[], None]) -> Epoch:
        # No random state need be kept: every epoch has its own.
        seed = np.random.SeedSequence([self.recipe.seed, number, self.team.rank])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        began = time.perf_counter()
        learning_rate = float(self.optimizer.param_groups[0]["lr"])
        loss, n_patches = self._train(number, on_step)
        trained = time.perf_counter()
        validation_loss, dice = self._validate(number)
        epoch = Epoch(
            epoch=number,
            loss=loss,
            validation_loss=validation_loss,
            dice=dice,
            learning_rate=learning_rate,
            # One clock for all, since the time decides when to end.
            seconds=self.team.agree(time.perf_counter() - began),
            patches_per_second=n_patches / max(trained - began, 1e-9),
            is_best=False,
        )
        value = value_of(epoch, self.recipe)
        is_best = not history or is_better(value, value_of(best_of(history), self.recipe), self.recipe)
        if is_best:
            self.best_state = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
        self.plateau.step(value)
        return Epoch(**{**vars(epoch), "is_best": is_best})

    def _train(self, number: int, on_step: Callable[[], None]) -> tuple[float, int]:
        self.shared.train()
        self.batches.epoch = number
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(number)
        total, n_patches = 0.0, 0
        for step, batch in enumerate(self.training, start=1):
            x, y = _send(batch, self.team.device)
            with torch.autocast(self.team.device.type, self.dtype, enabled=self.dtype != torch.float32):
                logits = self.shared(x)
            loss = self.loss(self.team.total(loss_sums(logits, y)))
            value = float(loss.item())
            if not math.isfinite(value):
                raise WorkError(
                    f"the loss became {value} in epoch {number}, step {step}, at a learning rate of "
                    f"{self.optimizer.param_groups[0]['lr']:g}; lower the learning rate"
                    + (", or use precision: float32" if self.dtype != torch.float32 else "")
                    + ", and look for extreme voxels in the training tomograms"
                )
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            total += value
            n_patches += len(x) * self.team.size
            on_step()
        return total / max(len(self.batches), 1), n_patches

    @torch.no_grad()
    def _validate(self, number: int) -> tuple[float, tuple[float, ...]]:
        self.network.eval()
        # Zeros to begin with: a process may have no patch at all.
        sums = torch.zeros(self.n_classes, N_SUMS, dtype=torch.float64, device=self.team.device)
        counts = torch.zeros(self.n_classes, 2, dtype=torch.float64, device=self.team.device)
        for batch in self.validation:
            x, y = _send(batch, self.team.device)
            with torch.autocast(self.team.device.type, self.dtype, enabled=self.dtype != torch.float32):
                logits = self.network(x)
            sums += loss_sums(logits, y)
            counts += overlap_counts(logits, y)
        value = float(self.loss(self.team.total(sums)).item())
        if not math.isfinite(value):
            raise WorkError(
                f"the validation loss became {value} in epoch {number}; lower the learning rate, and look for "
                "extreme voxels in the validation tomograms"
            )
        return value, tuple(dice_scores(self.team.total(counts)))


def _send(batch: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    x, y = batch
    return x.to(device, non_blocking=True), y.to(device, non_blocking=True)
