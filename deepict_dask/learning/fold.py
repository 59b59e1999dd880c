"""Fold: one training that does not see some tomograms, its judgement by them; the work of one Dask task."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepict_dask.config import PickSettings, SegmentSettings
from deepict_dask.config.sweep import CrossValidateSettings, JudgeSettings
from deepict_dask.config.training import LabelSettings, TrainSettings
from deepict_dask.engine.dispatch import Post
from deepict_dask.errors import WorkError
from deepict_dask.io.location import Location
from deepict_dask.learning.train import train
from deepict_dask.networks.training.recipe import Epoch
from deepict_dask.provenance import Provenance
from deepict_dask.scoring.judge import judge, names_of
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.results import read_result, write_result
from deepict_dask.stages.work import Work

RESULT, PRUNE = "result.json", "prune"


@dataclass(frozen=True)
class Fold:
    """One training, and what to do with its network; small, it travels to a worker.

    Attributes
    ----------
    name : str
        For people.
    folder : Location
        Of the network, the picks and ``result.json``, which is written last.
    training : TrainSettings
        With all tomograms; ``data`` is the folder in which they lie prepared.
    held_out : tuple of str
        Names of the tomograms that training does not see; may be empty.
    segment, pick, judge
        How particles are found in those, and judged.
    made_by : Provenance
        All that the result depends on.
    overwrite : bool
        Whether what was made by something else may be replaced.
    """

    name: str
    folder: Location
    training: TrainSettings
    held_out: tuple[str, ...]
    segment: SegmentSettings
    pick: PickSettings
    judge: JudgeSettings
    made_by: Provenance
    overwrite: bool = False

    def result(self) -> dict[str, Any] | None:
        """Give the result if it is there, see `run_fold`.

        Raises
        ------
        OutputExistsError
            If it was made with other settings and is not to be replaced.
        """
        return read_result(self.folder / RESULT, self.made_by, overwrite=self.overwrite)


def absolute(training: TrainSettings, data: Location) -> TrainSettings:
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


def make_fold(
    name: str,
    folder: Location,
    training: TrainSettings,
    held_out: tuple[str, ...],
    settings: CrossValidateSettings,
    identity: dict[str, Any],
    overwrite: bool,
) -> Fold:
    """Put a fold together, with all that its result depends on."""
    compared = training.model_dump(
        mode="json", exclude={"name", "output", "data", "description", "license", "tomograms", "hardware"}
    )
    compared["precision"], compared["tomograms"] = training.hardware.precision, identity
    pick = settings.pick.model_copy(
        update={"formats": ["csv", *(f for f in settings.pick.formats if f != "csv")]}
    )
    decides: dict[str, Any] = {"training": compared, "held_out": list(held_out)}
    if held_out:
        kept = {"segment": settings.segment, "pick": pick, "judge": settings.judge}
        decides |= {key: section.model_dump(mode="json") for key, section in kept.items()}
        for key in ("runtime", "device"):
            del decides["segment"][key]
    made_by = Provenance("fold", {}, decides)
    named = training.model_copy(update={"name": f"{training.name}_{name}".replace("/", "_")})
    return Fold(name, folder, named, held_out, settings.segment, pick, settings.judge, made_by, overwrite)


class _Ended(Exception):
    """Ends a training from within its callback."""


class _PostReporter(Reporter):
    """Sends the sentences of a fold to the one who dispatched it."""

    def __init__(self, fold: Fold, post: Post):
        self.fold, self.post = fold, post

    def say(self, sentence: str) -> None:
        self.post.send({"fold": self.fold.name, "kind": "say", "text": sentence})

    def warn(self, sentence: str) -> None:
        self.post.send({"fold": self.fold.name, "kind": "warn", "text": sentence})


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
    if (kept := fold.result()) is not None:
        return kept
    reporter = _PostReporter(fold, post)
    settings = _at_post(fold, post)
    epochs: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        message = {"fold": fold.name, "kind": "epoch", "epoch": epoch.epoch, "value": epoch.mean_dice}
        post.send(message)
        if not post.is_wanted() or (fold.folder / PRUNE).exists():
            raise _Ended

    fold.folder.make_folder()
    result: dict[str, Any] = {"held_out": list(fold.held_out)}
    try:
        trained = train(settings, Work(reporter, fold.overwrite), on_epoch=on_epoch)
    except _Ended:
        if not post.is_wanted():
            raise WorkError(f"{fold.name} was given up after epoch {epochs[-1].epoch}") from None
        best = max(epochs, key=lambda e: e.mean_dice)
        about = _about_epoch(best) | {"epochs": epochs[-1].epoch, "ended_by": "pruned", "pruned": True}
        result |= about | {"history": [e.mean_dice for e in epochs], "pooled": [], "tomograms": []}
        write_result(fold.folder / RESULT, fold.made_by, result)
        return result
    pooled, single = judge(
        trained.model_path,
        fold.training,
        fold.held_out,
        fold.folder,
        fold.judge,
        segment_settings=fold.segment,
        pick_settings=fold.pick,
        work=Work(reporter, True, post.threads),
    )
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
    write_result(fold.folder / RESULT, fold.made_by, result)
    return result


def _at_post(fold: Fold, post: Post) -> TrainSettings:
    """Give the settings of the training itself: what it sees, where it writes, what it may use."""
    whole = fold.training
    tomograms = [t for t, n in zip(whole.tomograms, names_of(whole), strict=True) if n not in fold.held_out]
    h = whole.hardware
    threads = h.threads or post.threads
    workers = h.loader_workers
    if workers is None and post.threads is not None:
        workers = min(8, post.threads // 4)
    # The GPU of this worker; those of other workers train other networks.
    hardware = h.model_copy(update={"threads": threads, "loader_workers": workers, "gpus": h.gpus or 1})
    return whole.model_copy(update={"tomograms": tomograms, "output": fold.folder.url, "hardware": hardware})


def _about_epoch(best: Epoch) -> dict[str, Any]:
    return {
        "best_epoch": best.epoch,
        "validation_dice": best.mean_dice,
        "validation_loss": best.validation_loss,
        "dice": [None if math.isnan(d) else d for d in best.dice],
    }


def begin(fold: Fold) -> Fold:
    """Clear away what would end a fold at once."""
    (fold.folder / PRUNE).remove()
    return fold


def listener(
    reporter: Reporter,
    advance: Callable[[int], None],
    then: Callable[[str, int, float], None] = lambda fold, epoch, value: None,
) -> Callable[[dict[str, Any]], None]:
    """Pass on what folds tell, and call ``then(fold, epoch, mean validation Dice)`` with each epoch."""

    def listen(message: dict[str, Any]) -> None:
        kind, fold = message["kind"], message["fold"]
        if kind == "epoch":
            advance(1)
            then(fold, message["epoch"], message["value"])
        elif kind == "warn":
            reporter.warn(f"{fold}: {message['text']}")
        else:
            reporter.say(f"{fold}: {message['text']}")

    return listen


def tell_outcome(
    name: str, result: dict[str, Any] | None, error: BaseException | None, reporter: Reporter
) -> None:
    """Say how a fold ended."""
    if result is None:
        reporter.warn(f"{name} failed: {sentence(error)}")
        return
    scores = "".join(f", {row['class']} F1 {row['f1']:.3f}" for row in result["pooled"])
    ended = "was pruned" if result["pruned"] else "is done"
    reporter.say(f"{name} {ended}: validation Dice {result['validation_dice']:.3f}{scores}")


def sentence(error: BaseException | None) -> str:
    """Say an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def digest(content: Any) -> str:
    """Identify plain values."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
