"""Study: trainings over the same prepared tomograms, each on a worker of its own; folds, or the trials of a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepict_dask.config.sweep import CrossValidateSettings
from deepict_dask.config.training import TrainSettings
from deepict_dask.engine.dispatch import dispatch
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.learning.studies.fold import (
    PRUNE,
    Fold,
    FoldMessage,
    FoldResult,
    make_fold,
    run_fold,
    sentence,
)
from deepict_dask.learning.studies.split import check_folds, prepare_tomograms
from deepict_dask.provenance import Provenance
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.results import write_result
from deepict_dask.stages.work import Work

Done = Callable[[Fold, FoldResult | None, BaseException | None], None]
"""Told of each training how it ended: with a result, or with an error."""


@dataclass(frozen=True)
class Study:
    """What a cross-validation and a sweep have in common.

    Attributes
    ----------
    settings : CrossValidateSettings
        All of them.
    training : TrainSettings
        With absolute paths, and ``data`` as the folder in which the tomograms lie prepared.
    identity : dict
        Name of a tomogram to a digest of what it and its target were made from.
    groups : list of tuple of str
        Tomograms that each fold holds out; one empty group where there are no folds.
    work : Work
        Follows the work; says whether what was made with other settings may be replaced.
    """

    settings: CrossValidateSettings
    training: TrainSettings
    identity: dict[str, str]
    groups: list[tuple[str, ...]]
    work: Work

    @property
    def output(self) -> Location:
        """Folder of everything that is written."""
        return Location.of(self.settings.output)

    @property
    def reporter(self) -> Reporter:
        """Is told what happens."""
        return self.work.reporter

    def fold(
        self, name: str, folder: Location, held_out: tuple[str, ...], training: TrainSettings | None = None
    ) -> Fold:
        """Put a training together: the study's own, or one with other hyperparameters."""
        return make_fold(
            name,
            folder,
            training or self.training,
            held_out,
            self.settings,
            self.identity,
            self.work.overwrite,
        )

    def train(
        self,
        word: str,
        n_epochs: int,
        take: Callable[[], Fold | None],
        done: Done,
        on_epoch: Callable[[str, int, float], None] = lambda fold, epoch, value: None,
    ) -> None:
        """Have trainings done, no more at a time than there are workers, until `take` gives none.

        Parameters
        ----------
        word : str
            What this is, for the line of progress.
        n_epochs : int
            How many there may be in all.
        take : callable
            Gives the next training; it may depend on what others gave.
        done : callable
            Told how each ended.
        on_epoch : callable
            ``on_epoch(fold, epoch, mean validation Dice)``.
        """

        def begin() -> Fold | None:
            # What was left of an earlier session would end it at once.
            if (fold := take()) is not None:
                (fold.folder / PRUNE).remove()
            return fold

        def ended(fold: Fold, result: FoldResult | None, error: BaseException | None) -> None:
            _tell_outcome(fold.name, result, error, self.reporter)
            done(fold, result, error)

        with self.reporter.progress(word, self.training.name, n_epochs, "epoch") as advance:
            dispatch(
                run_fold,
                begin,
                ended,
                on_message=_listener(self.reporter, advance, on_epoch),
                at_once=self.settings.at_once,
            )

    def draw(self, plot: Callable[[], Location]) -> list[Location]:
        """Draw a plot, where there is what draws; else say what is missing."""
        try:
            return [plot()]
        except InputError as error:
            self.reporter.warn(str(error))
            return []

    def write(self, file: str, stage: str, content: dict[str, Any]) -> Location:
        """Write what came of it, with all that it depends on."""
        decides = {"settings": self.settings.model_dump(mode="json"), "data": self.identity}
        return write_result(self.output / file, Provenance(stage, {}, decides), content)


def open_study(settings: CrossValidateSettings, work: Work) -> Study:
    """Prepare the tomograms of a study and split them.

    Raises
    ------
    InputError
        If the tomograms cannot be split or prepared, or results are there that were made with other settings.
    """
    training, identity = prepare_tomograms(settings, work)
    groups: list[tuple[str, ...]] = [()] if settings.folds is None else check_folds(training, settings.folds)
    return Study(settings, training, identity, groups, work)


def _listener(
    reporter: Reporter,
    advance: Callable[[int], None],
    on_epoch: Callable[[str, int, float], None],
) -> Callable[[FoldMessage], None]:
    """Pass on what folds tell, and call ``on_epoch(fold, epoch, mean validation Dice)`` with each epoch."""

    def listen(message: FoldMessage) -> None:
        kind, fold = message["kind"], message["fold"]
        if kind == "epoch":
            advance(1)
            on_epoch(fold, message["epoch"], message["value"])
        elif kind == "warn":
            reporter.warn(f"{fold}: {message['text']}")
        else:
            reporter.say(f"{fold}: {message['text']}")

    return listen


def _tell_outcome(
    name: str, result: FoldResult | None, error: BaseException | None, reporter: Reporter
) -> None:
    """Say how a fold ended."""
    if result is None:
        reporter.warn(f"{name} failed: {sentence(error)}")
        return
    scores = "".join(f", {row['class']} F1 {row['f1']:.3f}" for row in result.pooled)
    ended = "was pruned" if result.pruned else "is done"
    reporter.say(f"{name} {ended}: validation Dice {result.validation_dice:.3f}{scores}")
