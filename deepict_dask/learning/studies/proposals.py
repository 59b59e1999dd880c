"""Proposals: which hyperparameters to try next, by all combinations, one after the other, or by Optuna.

Optuna's study lies in a journal beside the results, and this process alone writes it: workers train, send the score of
each epoch and are told to stop by a file. So any Dask cluster will do, whether or not its workers have
Optuna. `optuna_integration.DaskStorage` was weighed and left: it keeps the study in the scheduler's memory, or needs
Optuna and the database there, and every trial would talk to the scheduler's event loop for what only the
one who hands out trials has to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import Any, Protocol

from deepict_dask.config.sweep import Hyperparameters, SearchSettings, hyperparameter
from deepict_dask.config.training import TrainSettings
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location


@dataclass(frozen=True)
class Proposal:
    """Hyperparameters to try.

    Attributes
    ----------
    chosen : dict
        Name to value.
    number : int
        Of the trial, from 1.
    """

    chosen: Hyperparameters
    number: int


class Search(Protocol):
    """What a sweep asks for choices and tells of results."""

    def take(self) -> Proposal | None:
        """Give what to try next; None if there is nothing now, or nothing any more."""

    def report(self, proposal: Proposal, epoch: int, value: float) -> bool:
        """Hear of an epoch; say whether the training should go on."""

    def done(self, proposal: Proposal, score: float | None, *, pruned: bool = False) -> None:
        """Hear of the score; None if the trial failed."""


class GridSearch:
    """Tries every combination, the last hyperparameter changing fastest."""

    def __init__(self, space: Mapping[str, Sequence[Any]]):
        combinations = product(*space.values())
        self._left = [Proposal(dict(zip(space, c, strict=True)), k) for k, c in enumerate(combinations, 1)]

    def take(self) -> Proposal | None:
        """Give the next combination."""
        return self._left.pop(0) if self._left else None

    def report(self, proposal: Proposal, epoch: int, value: float) -> bool:
        """Let every training go on."""
        return True

    def done(self, proposal: Proposal, score: float | None, *, pruned: bool = False) -> None:
        """Nothing depends on scores."""


class PaperSearch:
    """Tries all values of the first hyperparameter, keeps the best, goes on to the next.

    The first values of the others are those of the training settings. What was kept is a contender at every step, and
    stays if none is better; a choice that was scored before is not tried again.

    Parameters
    ----------
    space : mapping of str to sequence
        Values of each, in the order in which to try them.
    training : TrainSettings
        Where to begin.

    Examples
    --------
    >>> from deepict_dask.config.training import EXAMPLE
    >>> search = PaperSearch({"depth": [1, 2], "batch_norm": [False, True]}, EXAMPLE)
    >>> for score in (0.3, 0.7):
    ...     search.done(search.take(), score)
    >>> search.take().chosen
    {'depth': 2, 'batch_norm': False}
    """

    def __init__(self, space: Mapping[str, Sequence[Any]], training: TrainSettings):
        self.space = {name: list(values) for name, values in space.items()}
        self.best: Hyperparameters = {name: hyperparameter(training, name) for name in space}
        self.scores: dict[tuple[Any, ...], float | None] = {}
        self._names = list(space)
        self._waiting: list[Hyperparameters] = []
        self._out: list[Hyperparameters] = []
        self._number = 0
        self._begin()

    def take(self) -> Proposal | None:
        """Give the next value of the present hyperparameter; None while its last ones are awaited."""
        if not self._waiting:
            return None
        chosen = self._waiting.pop(0)
        self._out.append(chosen)
        self._number += 1
        return Proposal(chosen, self._number)

    def report(self, proposal: Proposal, epoch: int, value: float) -> bool:
        """Let every training go on."""
        return True

    def done(self, proposal: Proposal, score: float | None, *, pruned: bool = False) -> None:
        """Note a score; with the last of a hyperparameter, keep the best and go on to the next."""
        self._out.remove(proposal.chosen)
        self.scores[_key(proposal.chosen)] = score
        while self._names and not self._waiting and not self._out:
            self._keep(self._names.pop(0))
            self._begin()

    def _begin(self) -> None:
        if self._names:
            candidates = [self.best | {self._names[0]: value} for value in self.space[self._names[0]]]
            self._waiting = [c for c in candidates if _key(c) not in self.scores]

    def _keep(self, name: str) -> None:
        """Choose the best value, the first of those that are equal; what was kept before comes first of all."""
        candidates = [self.best, *(self.best | {name: value} for value in self.space[name])]
        scored = [(self.scores.get(_key(c)), c) for c in candidates]
        measured = [(score, c) for score, c in scored if score is not None]
        if measured:
            self.best = max(measured, key=lambda pair: pair[0])[1]


def _key(chosen: Hyperparameters) -> tuple[Any, ...]:
    return tuple((type(v) is bool, v) for v in chosen.values())


JOURNAL = "study.journal"


class OptunaSearch:
    """Asks a study in a journal for choices (tree-structured Parzen estimator) and tells it the results.

    Parameters
    ----------
    folder : Location
        Of the sweep; the journal is ``study.journal`` in it.
    settings : SearchSettings
        Space, number of trials, pruning, seed.
    made_by : dict
        What scores depend on; a study with others is refused. Plain values.
    overwrite : bool
        Begin anew where the study is of something else.

    Raises
    ------
    InputError
        If Optuna is not installed.
    OutputExistsError
        If the study in the folder is of something else and is not to be replaced.
    """

    def __init__(
        self, folder: Location, settings: SearchSettings, made_by: dict[str, Any], overwrite: bool = False
    ):
        if find_spec("optuna") is None:
            raise InputError(
                "this search needs optuna, which is not installed; run pip install 'deepict_dask[train]', or use the "
                "method paper or grid"
            )
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState

        self.settings, self.path = settings, folder / JOURNAL
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.make_folder()
        pruner = (
            optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=settings.prune_after)
            if settings.prune
            else optuna.pruners.NopPruner()
        )

        def open_study() -> Any:
            return optuna.create_study(
                storage=JournalStorage(JournalFileBackend(self.path.url)),
                study_name="sweep",
                direction="maximize",
                pruner=pruner,
                load_if_exists=True,
            )

        self.study = open_study()
        stored = self.study.user_attrs.get("made_by")
        if stored is not None and stored != made_by:
            if not overwrite:
                raise OutputExistsError(
                    f"{self.path} is the study of another search space, score or training; use --overwrite to begin anew, or "
                    "another output folder"
                )
            self.path.remove()
            self.study = open_study()
        self.study.set_user_attr("made_by", made_by)
        states = TrialState
        trials = self.study.get_trials(deepcopy=False)
        # Draws of an earlier session are not drawn again.
        seed = settings.seed + len(trials)
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)
        for trial in trials:
            if trial.state == states.RUNNING:
                # Its session ended before it did; its training goes on from the last epoch.
                self.study.tell(trial.number, state=states.FAIL)
                self.study.enqueue_trial(trial.params)
        ended = (states.COMPLETE, states.PRUNED)
        self.n_before = sum(t.state in ended for t in trials)
        self._left = max(0, settings.trials - self.n_before)
        self._out: dict[int, Any] = {}

    def take(self) -> Proposal | None:
        """Ask for the next choice, until there were as many trials as the settings say."""
        if not self._left:
            return None
        self._left -= 1
        trial = self.study.ask()
        chosen = {n: trial.suggest_categorical(n, values) for n, values in self.settings.space.items()}
        self._out[trial.number + 1] = trial
        return Proposal(chosen, trial.number + 1)

    def report(self, proposal: Proposal, epoch: int, value: float) -> bool:
        """Note the score of an epoch; say whether the median of the others is not better."""
        trial = self._out.get(proposal.number)
        if trial is None:
            return True
        trial.report(value, epoch)
        return not trial.should_prune()

    def done(self, proposal: Proposal, score: float | None, *, pruned: bool = False) -> None:
        """Tell the study how a trial ended."""
        from optuna.trial import TrialState

        trial = self._out.pop(proposal.number)
        if score is None:
            self.study.tell(trial, state=TrialState.FAIL)
        elif pruned:
            # Optuna takes the last epoch's score itself.
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, score)

    def earlier(self) -> list[tuple[Proposal, str, float | None]]:
        """Give the trials of all sessions that have ended: choice, ``done``, ``pruned`` or ``failed``, and score."""
        from optuna.trial import TrialState

        words = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
        return [
            (Proposal(dict(t.params), t.number + 1), words[t.state], t.value)
            for t in self.study.get_trials(deepcopy=False)
            if t.state in words
        ]
