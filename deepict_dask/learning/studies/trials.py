"""Trials: from what a search proposes to trainings, and from their results to scores."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import fmean

from pydantic import ValidationError

from deepict_dask.config.sweep import Hyperparameters, SweepSettings, with_hyperparameters
from deepict_dask.config.training import TrainSettings
from deepict_dask.errors import SettingsError
from deepict_dask.io.location import Location
from deepict_dask.learning.studies.fold import PRUNE, Fold, FoldResult
from deepict_dask.learning.studies.proposals import OptunaSearch, Proposal, Search
from deepict_dask.learning.studies.study import Study


@dataclass
class Trial:
    """One choice of hyperparameters, and what came of it.

    Attributes
    ----------
    number : int
        From 1.
    chosen : dict
        Hyperparameters.
    status : {"running", "done", "pruned", "failed"}
        How it is.
    score : float or None
        What the search maximizes; mean over classes and folds.
    results : dict of str to FoldResult or None
        Of each fold; None where it failed.
    error : BaseException or str or None
        Why it failed, if it did.
    """

    number: int
    chosen: Hyperparameters
    status: str = "running"
    score: float | None = None
    results: dict[str, FoldResult | None] = field(default_factory=dict)
    error: BaseException | str | None = None


@dataclass
class Trials:
    """Makes trainings of what the search proposes, and scores of their results."""

    study: Study
    settings: SweepSettings
    search: Search
    trials: list[Trial] = field(default_factory=list)
    waiting: deque[Fold] = field(default_factory=deque)
    # Folds by name: the trials that wait for them (optuna may propose a choice twice), and their proposals.
    under_way: dict[str, list[tuple[Trial, Proposal]]] = field(default_factory=dict)
    folders: dict[str, Location] = field(default_factory=dict)

    def take(self) -> Fold | None:
        """Give the next training."""
        while not self.waiting:
            proposal = self.search.take()
            if proposal is None:
                return None
            self._begin(proposal)
        return self.waiting.popleft()

    def done(self, fold: Fold, result: FoldResult | None, error: BaseException | None) -> None:
        """Note what came of a training."""
        for trial, proposal in self.under_way.pop(fold.name):
            self._note(trial, proposal, fold.name, result, error)

    def epoch(self, name: str, epoch: int, value: float) -> None:
        """Pass on the score of an epoch, and end the training if it is hopeless."""
        if self.settings.folds is not None:
            # The epochs of one fold say nothing of the trial.
            return
        for _, proposal in self.under_way.get(name, ())[:1]:
            if not self.search.report(proposal, epoch, value):
                (self.folders[name] / PRUNE).write("")

    def with_earlier(self, search: OptunaSearch) -> list[Trial]:
        """Give the trials of all sessions, but those that failed or were interrupted and were tried again."""
        by_number = {t.number: t for t in self.trials}
        trials: list[Trial] = []
        for proposal, word, score in search.earlier():
            trial = by_number.get(proposal.number)
            if trial is None:
                trial = Trial(proposal.number, proposal.chosen, word, score)
                if word == "failed":
                    trial.error = "failed in an earlier session"
                else:
                    folds = self._folds(
                        proposal.chosen, with_hyperparameters(self.study.training, proposal.chosen)
                    )
                    trial.results = {f.name: r for f in folds if (r := f.result()) is not None}
            trials.append(trial)
        ended = [t.chosen for t in trials if t.status != "failed"]
        return [t for t in trials if t.status != "failed" or t.chosen not in ended]

    def _folds(self, chosen: Hyperparameters, training: TrainSettings) -> list[Fold]:
        called, folds = _called(chosen), []
        for k, group in enumerate(self.study.groups, start=1):
            name = called + (f"_fold_{k}" if group else "")
            folder = self.study.output.join("trials", called, *([f"fold_{k}"] if group else []))
            folds.append(self.study.fold(name, folder, group, training))
        return folds

    def _begin(self, proposal: Proposal) -> None:
        trial = Trial(proposal.number, proposal.chosen)
        self.trials.append(trial)
        try:
            training = with_hyperparameters(self.study.training, proposal.chosen)
        except ValidationError as error:
            reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            self._note(trial, proposal, "", None, SettingsError(reason))
            self.study.reporter.warn(f"{_called(proposal.chosen)} cannot be tried: {reason}")
            return
        for fold in self._folds(proposal.chosen, training):
            if fold.name in self.under_way:
                self.under_way[fold.name].append((trial, proposal))
            elif (result := fold.result()) is not None:
                self.study.reporter.say(f"{fold.name} is done already")
                self._note(trial, proposal, fold.name, result, None)
            else:
                self.under_way[fold.name] = [(trial, proposal)]
                self.folders[fold.name] = fold.folder
                self.waiting.append(fold)

    def _note(
        self,
        trial: Trial,
        proposal: Proposal,
        name: str,
        result: FoldResult | None,
        error: BaseException | None,
    ) -> None:
        """Take in one fold of a trial; with the last, score it."""
        if error is not None:
            trial.error = trial.error or error
        trial.results[name] = result
        if name and len(trial.results) < len(self.study.groups):
            return
        if trial.error is not None:
            trial.status = "failed"
            self.search.done(proposal, None)
            return
        results = [r for r in trial.results.values() if r is not None]
        pruned = any(r.pruned for r in results)
        trial.status = "pruned" if pruned else "done"
        trial.score = mean_score(results, self.settings.search.score)
        if trial.score is None:
            trial.status, trial.error = (
                "failed",
                f"there is no {self.settings.search.score}, since nothing was picked",
            )
        self.search.done(proposal, trial.score, pruned=pruned)


def mean_score(results: list[FoldResult], name: str) -> float | None:
    """Give the mean of a score over folds and classes; None where nothing was picked."""
    if name == "dice":
        return fmean(r.validation_dice for r in results)
    # A class of which nothing was picked has no curve, and was not found.
    values = [0.0 if row[name] is None else float(row[name]) for r in results for row in r.pooled]
    return fmean(values) if values else None


def _called(chosen: Hyperparameters) -> str:
    """Name a choice, also as a folder; the same for every order of the hyperparameters."""
    words = {name: str(v).lower() if isinstance(v, bool) else str(v) for name, v in chosen.items()}
    return "_".join(f"{name}={words[name]}" for name in sorted(words)).replace("/", "_")
