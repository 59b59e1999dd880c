"""Optuna's choice of hyperparameters, in a study that outlives the session.

The study lies in a journal beside the results, and this process alone writes it: workers train, send the score of
each epoch and are told to stop by a file. So any Dask cluster will do, whether or not its workers have
Optuna. `optuna_integration.DaskStorage` was weighed and left: it keeps the study in the scheduler's memory, or needs
Optuna and the database there, and every trial would talk to the scheduler's event loop for what only the
one who hands out trials has to know.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepict_dask.config.sweep import SearchSettings
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.stages.search import Proposal

JOURNAL = "study.journal"


class OptunaSearch:
    """Asks a study in a journal for choices (tree-structured Parzen estimator) and tells it the results.

    Parameters
    ----------
    folder : Path
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
        self, folder: Path, settings: SearchSettings, made_by: dict[str, Any], overwrite: bool = False
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
        folder.mkdir(parents=True, exist_ok=True)
        pruner = (
            optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=settings.prune_after)
            if settings.prune
            else optuna.pruners.NopPruner()
        )

        def open_study() -> Any:
            return optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(self.path))),
                study_name="sweep",
                direction="maximize",
                pruner=pruner,
                load_if_exists=True,
            )

        self.study = open_study()
        there = self.study.user_attrs.get("made_by")
        if there is not None and there != made_by:
            if not overwrite:
                raise OutputExistsError(
                    f"{self.path} is the study of another search space, score or training; use --overwrite to begin anew, or "
                    "another output folder"
                )
            self.path.unlink()
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

    def heard(self, proposal: Proposal, epoch: int, value: float) -> bool:
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
