"""Sweep: search hyperparameters, each choice trained on a worker of its own."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from deepict_dask.config import commented_yaml
from deepict_dask.config.sweep import SweepSettings, with_hyperparameters
from deepict_dask.io.charts.comparison import plot_trials
from deepict_dask.io.location import Location
from deepict_dask.io.scores import Row, write_rows
from deepict_dask.learning.studies.fold import digest, sentence
from deepict_dask.learning.studies.proposals import GridSearch, OptunaSearch, PaperSearch, Search
from deepict_dask.learning.studies.study import Study, open_study
from deepict_dask.learning.studies.trials import Trial, Trials, mean_score
from deepict_dask.stages.work import Work

_SIDE, _TABLE, _PLOT, _BEST = "sweep.json", "trials.csv", "sweep.png", "best.yaml"
_WORDS = {
    "dice": "Dice, validation",
    "f1": "F1, held out",
    "best_f1": "best F1, held out",
    "auprc": "AUPRC, held out",
}


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave.

    Attributes
    ----------
    trials : tuple of Trial
        In order; also those of earlier sessions.
    best : Trial or None
        The one with the highest score, the first of several.
    rows : tuple of Row
        One per trial, as in ``trials.csv``.
    files : tuple of Location
        What was written.
    """

    trials: tuple[Trial, ...]
    best: Trial | None
    rows: tuple[Row, ...]
    files: tuple[Location, ...]


def sweep(settings: SweepSettings, work: Work) -> Sweep:
    """Search for the hyperparameters with the highest score.

    Parameters
    ----------
    settings : SweepSettings
        All of it. The folder ``output`` gets ``trials/CHOICE`` (what `train` leaves, ``result.json``; a
        folder per fold where each choice is cross-validated), ``trials.csv``, ``sweep.png``, ``best.yaml`` (settings to
        train with) and ``sweep.json``; with optuna also ``study.journal``.
    work : Work
        Follows the work; says whether what was made with other settings may be replaced.

    Returns
    -------
    Sweep
        A trial that fails does not stop the others. Trainings that are done are not done again, and one that was
        interrupted goes on from its last epoch.

    Raises
    ------
    InputError
        If tomograms cannot be prepared, or results are there that were made with other settings.

    Notes
    -----
    Each training is one task on the active distributed client, with a worker to itself; no more are under way than
    there are workers (or ``at_once``).
    """
    study = open_study(settings, work)
    search = _search(study, settings)
    trials = Trials(study, settings, search)
    study.train("sweep", _most_epochs(settings, len(study.groups)), trials.take, trials.done, trials.epoch)
    ended = trials.with_earlier(search) if isinstance(search, OptunaSearch) else trials.trials
    return _write(study, settings, ended)


def _search(study: Study, settings: SweepSettings) -> Search:
    if settings.search.method == "grid":
        return GridSearch(settings.search.space)
    if settings.search.method == "paper":
        return PaperSearch(settings.search.space, study.training)
    what = study.fold("sweep", study.output, study.groups[0]).made_by.compared()
    on = digest([what, [list(group) for group in study.groups]])
    made_by = {"space": settings.search.space, "score": settings.search.score, "on": on}
    return OptunaSearch(study.output, settings.search, made_by, study.work.overwrite)


def _most_epochs(settings: SweepSettings, n_folds: int) -> int:
    s = settings.search
    n = {"grid": s.size, "paper": sum(map(len, s.space.values())), "optuna": s.trials}[s.method]
    return n * n_folds * settings.training.fit.epochs


def _write(study: Study, settings: SweepSettings, trials: list[Trial]) -> Sweep:
    names, output = list(settings.search.space), study.output
    scored = [t for t in trials if t.status == "done" and t.score is not None]
    best = max(scored, key=lambda t: t.score or 0.0, default=None)
    rows = [_row(t, t is best) for t in trials]
    extra = ("validation_dice", "f1", "best_f1", "auprc", "epochs", "seconds", "model", "error")
    files = [write_rows(output / _TABLE, ("trial", *names, "status", "score", "best", *extra), rows)]
    if scored:
        files += study.draw(lambda: plot_trials(output / _PLOT, rows, names, _WORDS[settings.search.score]))
    if best is not None:
        best_settings = with_hyperparameters(settings.training, best.chosen)
        (output / _BEST).write(commented_yaml(best_settings))
        files.append(output / _BEST)
    side = {
        "complete": all(t.status in ("done", "pruned") for t in trials),
        "best": None if best is None else best.chosen,
        "trials": rows,
    }
    files.append(study.write(_SIDE, "sweep", side))
    return Sweep(tuple(trials), best, tuple(rows), tuple(files))


def _row(trial: Trial, is_best: bool) -> Row:
    row: Row = {
        "trial": trial.number,
        **trial.chosen,
        "status": trial.status,
        "score": trial.score,
    }
    row["best"] = int(is_best)
    results = [r for r in trial.results.values() if r is not None]
    if results:
        row["validation_dice"] = fmean(r.validation_dice for r in results)
        row["epochs"] = sum(r.epochs for r in results)
        row["seconds"] = sum(r.seconds for r in results)
        row["model"] = " ".join(r.model for r in results if r.model is not None)
        for name in ("f1", "best_f1", "auprc"):
            if any(r.pooled for r in results):
                row[name] = mean_score(results, name)
    if trial.error is not None:
        row["error"] = trial.error if isinstance(trial.error, str) else sentence(trial.error)
    return row
