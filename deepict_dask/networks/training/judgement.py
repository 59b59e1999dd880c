"""Which epoch is the best, and whether there is to be another one."""

from __future__ import annotations

from collections.abc import Sequence

from deepict_dask.networks.training.recipe import Epoch, Recipe


def best_of(history: Sequence[Epoch]) -> Epoch:
    """Give the best epoch so far: the last that was the best when it ended."""
    return next(epoch for epoch in reversed(history) if epoch.is_best)


def value_of(epoch: Epoch, recipe: Recipe) -> float:
    """Give what is monitored of an epoch: validation loss, or mean Dice score."""
    return epoch.validation_loss if recipe.monitor == "loss" else epoch.mean_dice


def is_better(value: float, best: float, recipe: Recipe) -> bool:
    """Say whether a monitored value is strictly better than the best so far."""
    return value < best if recipe.monitor == "loss" else value > best


def reason_to_end(history: Sequence[Epoch], recipe: Recipe) -> str | None:
    """Say why no further epoch is to be begun for now, None if one is; more epochs or minutes would go on."""
    if len(history) >= recipe.epochs:
        return f"all {recipe.epochs} epochs"
    if recipe.max_minutes is not None and history:
        spent = sum(epoch.seconds for epoch in history)
        if spent + history[-1].seconds > 60 * recipe.max_minutes:
            return f"{recipe.max_minutes:g} minutes"
    return None
