"""Train a fold: the work of one Dask task."""

from __future__ import annotations

import math
from typing import Any

from deepict_dask.config.training import TrainSettings
from deepict_dask.engine.dispatch import Post
from deepict_dask.errors import WorkError
from deepict_dask.networks.training.recipe import Epoch
from deepict_dask.stages.fold import PRUNE, RESULT, Fold, names_of
from deepict_dask.stages.judge import judge
from deepict_dask.stages.output import write_json
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.train import train


class _Ended(Exception):
    """Ends a training from within its callback."""


class _Told(Reporter):
    """Sends the sentences of a fold to the one who dispatched it."""

    def __init__(self, fold: Fold, post: Post):
        self.fold, self.post = fold, post

    def say(self, sentence: str) -> None:
        self.post.tell({"fold": self.fold.name, "kind": "say", "text": sentence})

    def warn(self, sentence: str) -> None:
        self.post.tell({"fold": self.fold.name, "kind": "warn", "text": sentence})


def run_fold(fold: Fold, post: Post) -> dict[str, Any]:
    """Train, segment, pick and evaluate; the work of one Dask task.

    Parameters
    ----------
    fold : Fold
        What to do. If its result is there already it is read. A training that was interrupted goes on.
    post : Post
        Threads to use, and where to report epochs. A file ``prune`` in the fold's folder ends the training after the
        present epoch.

    Returns
    -------
    dict
        Plain values, as in ``result.json``: ``validation_dice`` (mean over classes, of the best epoch), ``dice`` (per
        class), ``best_epoch``, ``epochs``, ``seconds``, ``patches_per_second``, ``model``, ``ended_by``, ``pruned``,
        ``history`` (mean Dice per epoch), and ``pooled`` and ``tomograms``, rows of scores of what was held out.
    """
    if (there := fold.result()) is not None:
        return there
    reporter = _Told(fold, post)
    settings = _at_post(fold, post)
    heard: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        heard.append(epoch)
        message = {"fold": fold.name, "kind": "epoch", "epoch": epoch.epoch, "value": epoch.mean_dice}
        post.tell(message)
        if not post.is_wanted() or (fold.folder / PRUNE).exists():
            raise _Ended

    fold.folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"complete": True, "made_by": fold.made_by, "held_out": list(fold.held_out)}
    try:
        trained = train(settings, reporter, overwrite=fold.overwrite, on_epoch=on_epoch)
    except _Ended:
        if not post.is_wanted():
            raise WorkError(f"{fold.name} was given up after epoch {heard[-1].epoch}") from None
        best = max(heard, key=lambda e: e.mean_dice)
        found = _about_epoch(best) | {"epochs": heard[-1].epoch, "ended_by": "pruned", "pruned": True}
        result |= found | {"history": [e.mean_dice for e in heard], "pooled": [], "tomograms": []}
        write_json(fold.folder / RESULT, result)
        return result
    pooled, single = judge(fold, trained.model_path, post.threads, reporter)
    result |= _about_epoch(trained.best) | {
        "epochs": len(trained.history),
        "ended_by": trained.ended_by,
        "pruned": False,
        "seconds": trained.seconds,
        "patches_per_second": trained.patches_per_second,
        "model": str(trained.model_path),
        "history": [e.mean_dice for e in trained.history],
        "pooled": pooled,
        "tomograms": single,
    }
    write_json(fold.folder / RESULT, result)
    return result


def _at_post(fold: Fold, post: Post) -> TrainSettings:
    """Give the settings of the training itself: what it sees, where it writes, what it may use."""
    whole = fold.training
    seen = [t for t, n in zip(whole.tomograms, names_of(whole), strict=True) if n not in fold.held_out]
    h = whole.hardware
    threads = h.threads or post.threads
    workers = h.loader_workers
    if workers is None and post.threads is not None:
        workers = min(8, post.threads // 4)
    # The GPU of this worker; those of other workers train other networks.
    hardware = h.model_copy(update={"threads": threads, "loader_workers": workers, "gpus": h.gpus or 1})
    return whole.model_copy(update={"tomograms": seen, "output": str(fold.folder), "hardware": hardware})


def _about_epoch(best: Epoch) -> dict[str, Any]:
    return {
        "best_epoch": best.epoch,
        "validation_dice": best.mean_dice,
        "validation_loss": best.validation_loss,
        "dice": [None if math.isnan(d) else d for d in best.dice],
    }
