"""Fold: one training that does not see some tomograms, its judgement by them; the work of one Dask task."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Required, TypedDict

from deepict_dask.config import PickSettings, SegmentSettings
from deepict_dask.config.sweep import CrossValidateSettings, JudgeSettings
from deepict_dask.config.training import TrainSettings
from deepict_dask.engine.dispatch import Post
from deepict_dask.errors import DamagedOutputError, WorkError
from deepict_dask.io.location import Location
from deepict_dask.io.scores import Row
from deepict_dask.learning.train import train
from deepict_dask.networks.training.recipe import Epoch
from deepict_dask.provenance import Provenance
from deepict_dask.scoring.judge import judge, names_of
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.results import read_result, write_result
from deepict_dask.stages.work import Work

RESULT, PRUNE = "result.json", "prune"


class FoldMessage(TypedDict, total=False):
    """What a fold tells while it is done: a sentence or a warning with its ``text``, or an epoch; plain, it goes by Dask."""

    fold: Required[str]
    kind: Required[Literal["say", "warn", "epoch"]]
    text: str
    epoch: int
    value: float


@dataclass(frozen=True)
class FoldResult:
    """What a fold gave, as in its ``result.json``; plain values.

    Attributes
    ----------
    held_out : list of str
        Names of the tomograms that it was judged by.
    best_epoch : int
        The epoch whose network was kept.
    validation_dice, validation_loss : float
        Of that epoch; Dice is the mean over classes.
    dice : list of float or None
        Per class; None where a class has none.
    epochs : int
        That were trained.
    ended_by : str
        What ended the training.
    history : list of float
        Mean Dice per epoch.
    pooled, tomograms : list of Row
        Rows of scores of what was held out, per class, and per tomogram and class.
    pruned : bool
        Whether a search gave it up; then nothing was judged.
    seconds, patches_per_second : float
        Of the training.
    model : str or None
        The network.
    """

    held_out: list[str]
    best_epoch: int
    validation_dice: float
    validation_loss: float
    dice: list[float | None]
    epochs: int
    ended_by: str
    history: list[float]
    pooled: list[Row]
    tomograms: list[Row]
    pruned: bool = False
    seconds: float = 0.0
    patches_per_second: float = 0.0
    model: str | None = None

    @classmethod
    def of(cls, fold: Fold, best: Epoch, history: Sequence[Epoch], **more: Any) -> FoldResult:
        """Put the result of a training together."""
        return cls(
            held_out=list(fold.held_out),
            best_epoch=best.epoch,
            validation_dice=best.mean_dice,
            validation_loss=best.validation_loss,
            dice=[None if math.isnan(d) else d for d in best.dice],
            history=[e.mean_dice for e in history],
            **more,
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FoldResult:
        """Read what `to_json` gave."""
        return cls(**{f.name: content[f.name] for f in fields(cls) if f.name in content})

    def to_json(self) -> dict[str, Any]:
        """Give plain values by name; of a training that was given up only those that it has."""
        values = asdict(self)
        unknown = ("seconds", "patches_per_second", "model") if self.pruned else ()
        return {name: value for name, value in values.items() if name not in unknown}


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

    def result(self) -> FoldResult | None:
        """Give the result if it is there.

        Raises
        ------
        OutputExistsError
            If it was made with other settings and is not to be replaced.
        DamagedOutputError
            If a part of it is missing.
        """
        content = read_result(self.folder / RESULT, self.made_by, overwrite=self.overwrite)
        try:
            return None if content is None else FoldResult.from_json(content)
        except TypeError as error:
            raise DamagedOutputError(
                f"{self.folder / RESULT} lacks a part of the result ({error}); remove it to judge this fold again"
            ) from error

    def write(self, result: FoldResult) -> FoldResult:
        """Write the result, whole and last."""
        write_result(self.folder / RESULT, self.made_by, result.to_json())
        return result


def make_fold(
    name: str,
    folder: Location,
    training: TrainSettings,
    held_out: tuple[str, ...],
    settings: CrossValidateSettings,
    identity: Mapping[str, str],
    overwrite: bool,
) -> Fold:
    """Put a fold together, with all that its result depends on."""
    compared = training.model_dump(
        mode="json",
        exclude={"name", "output", "data", "density", "description", "license", "tomograms", "hardware"},
    )
    compared["precision"], compared["tomograms"] = training.hardware.precision, dict(identity)
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
        self.post.send(FoldMessage(fold=self.fold.name, kind="say", text=sentence))

    def warn(self, sentence: str) -> None:
        self.post.send(FoldMessage(fold=self.fold.name, kind="warn", text=sentence))


def run_fold(fold: Fold, post: Post) -> FoldResult:
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
    FoldResult
        As in ``result.json``.
    """
    if (kept := fold.result()) is not None:
        return kept
    reporter = _PostReporter(fold, post)
    settings = _at_post(fold, post)
    epochs: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        post.send(FoldMessage(fold=fold.name, kind="epoch", epoch=epoch.epoch, value=epoch.mean_dice))
        if not post.is_wanted() or (fold.folder / PRUNE).exists():
            raise _Ended

    fold.folder.make_folder()
    try:
        trained = train(settings, Work(reporter, fold.overwrite), on_epoch=on_epoch)
    except _Ended:
        if not post.is_wanted():
            raise WorkError(f"{fold.name} was given up after epoch {epochs[-1].epoch}") from None
        best = max(epochs, key=lambda e: e.mean_dice)
        n = epochs[-1].epoch
        return fold.write(
            FoldResult.of(
                fold, best, epochs, epochs=n, ended_by="pruned", pruned=True, pooled=[], tomograms=[]
            )
        )
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
    return fold.write(
        FoldResult.of(
            fold,
            trained.best,
            trained.history,
            epochs=len(trained.history),
            ended_by=trained.ended_by,
            seconds=trained.seconds,
            patches_per_second=trained.patches_per_second,
            model=str(trained.model_path),
            pooled=pooled,
            tomograms=single,
        )
    )


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


def sentence(error: BaseException | None) -> str:
    """Say an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def digest(content: Any) -> str:
    """Identify plain values."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
