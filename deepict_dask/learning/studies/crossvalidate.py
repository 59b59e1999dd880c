"""Cross-validate: train once per fold, each on a worker, and judge by the tomograms that it did not see."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import fmean, stdev

from deepict_dask.config.sweep import CrossValidateSettings
from deepict_dask.errors import InputError
from deepict_dask.io.charts.comparison import plot_folds
from deepict_dask.io.location import Location
from deepict_dask.io.scores import Row, write_rows
from deepict_dask.learning.studies.fold import Fold, FoldResult, sentence
from deepict_dask.learning.studies.study import Study, open_study
from deepict_dask.stages.work import Work

NUMBERS = ("precision", "recall", "f1", "auprc", "best_threshold", "best_f1")
_SIDE, _TABLE, _SINGLE, _PLOT = "crossvalidation.json", "folds.csv", "tomograms.csv", "crossvalidation.png"


@dataclass(frozen=True)
class FoldOutcome:
    """What became of one fold.

    Attributes
    ----------
    name : str
        ``fold_1`` and so on.
    held_out : tuple of str
        Names of the tomograms that it was evaluated with.
    result : FoldResult or None
        From `run_fold`.
    error : BaseException or None
        Why it failed, if it did.
    """

    name: str
    held_out: tuple[str, ...]
    result: FoldResult | None
    error: BaseException | None = None


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation gave.

    Attributes
    ----------
    folds : tuple of FoldOutcome
        In their order.
    rows : tuple of Row
        One per fold and class; of a failed fold one with its error.
    summary : tuple of Row
        Mean and standard deviation (n - 1) over the folds that were done, two rows per class.
    files : tuple of Location
        What was written.
    """

    folds: tuple[FoldOutcome, ...]
    rows: tuple[Row, ...]
    summary: tuple[Row, ...]
    files: tuple[Location, ...]


def crossvalidate(settings: CrossValidateSettings, work: Work) -> CrossValidation:
    """Train and evaluate one network per fold.

    Parameters
    ----------
    settings : CrossValidateSettings
        All of it. The folder ``output`` gets ``folds/fold_1`` and so on (the network, what a training leaves, picks
        and evaluation of the tomograms that were held out, ``result.json``), ``folds.csv``, ``tomograms.csv``,
        ``crossvalidation.png`` and ``crossvalidation.json``.
    work : Work
        Follows the work; says whether what was made with other settings may be replaced.

    Returns
    -------
    CrossValidation
        A fold that fails does not stop the others. Folds that are done are not done again, and one that was
        interrupted goes on from its last epoch.

    Raises
    ------
    InputError
        If the tomograms cannot be split or prepared, or results are there that were made with other settings.

    Notes
    -----
    Each fold is one task on the active distributed client, with a worker to itself; workers need the same files.
    """
    if settings.folds is None:
        raise InputError("a cross-validation needs folds; set folds: {folds: 3}")
    study = open_study(settings, work)
    folds = [
        study.fold(f"fold_{k}", study.output.join("folds", f"fold_{k}"), group)
        for k, group in enumerate(study.groups, start=1)
    ]
    outcomes: dict[str, FoldOutcome] = {}
    waiting: deque[Fold] = deque()
    for fold in folds:
        if (result := fold.result()) is None:
            waiting.append(fold)
            continue
        outcomes[fold.name] = FoldOutcome(fold.name, fold.held_out, result)
        work.reporter.say(f"{fold.name} is done already")
    work.reporter.say(f"{len(folds)} folds, {len(waiting)} of them to do")

    def done(fold: Fold, result: FoldResult | None, error: BaseException | None) -> None:
        outcomes[fold.name] = FoldOutcome(fold.name, fold.held_out, result, error)

    study.train(
        "cross-validate",
        len(waiting) * study.training.fit.epochs,
        lambda: waiting.popleft() if waiting else None,
        done,
    )
    return _write(study, [outcomes[f.name] for f in folds])


def _write(study: Study, outcomes: list[FoldOutcome]) -> CrossValidation:
    rows: list[Row] = []
    single: list[Row] = []
    for o in outcomes:
        about: Row = {"fold": o.name, "held_out": " ".join(o.held_out)}
        if o.result is None:
            rows.append(about | {"status": "failed", "error": sentence(o.error)})
            continue
        about |= {
            key: getattr(o.result, key)
            for key in ("validation_dice", "epochs", "best_epoch", "seconds", "model")
        }
        rows += [about | {"status": "done"} | row for row in o.result.pooled]
        single += [{"fold": o.name} | row for row in o.result.tomograms]
    scored = [row for row in rows if row["status"] == "done"]
    summary, output = _summary(scored), study.output
    columns: tuple[str, ...] = (
        "fold", "held_out", "status", "class", "kind", "n_picked", "n_truth", "n_matched", *NUMBERS,
        "validation_dice", "epochs", "best_epoch", "seconds", "model", "error",
    )  # fmt: skip
    files = [write_rows(output / _TABLE, columns, [*rows, *summary])]
    columns = ("fold", "tomogram", "class", "kind", "n_picked", "n_truth", "n_matched", *NUMBERS)
    files.append(write_rows(output / _SINGLE, columns, single))
    if summary:
        files += study.draw(lambda: plot_folds(output / _PLOT, scored, study.training.name))
    side = {
        "complete": all(o.result is not None for o in outcomes),
        "folds": rows,
        "summary": summary,
        "tomograms": single,
    }
    files.append(study.write(_SIDE, "crossvalidate", side))
    return CrossValidation(tuple(outcomes), tuple(rows), tuple(summary), tuple(files))


def _summary(rows: list[Row]) -> list[Row]:
    summary = []
    for key in dict.fromkeys((row["class"], row["kind"]) for row in rows):
        of_class = [row for row in rows if (row["class"], row["kind"]) == key]
        for word in ("mean", "std"):
            row: Row = {
                "fold": word,
                "class": key[0],
                "kind": key[1],
                "status": f"{len(of_class)} folds",
            }
            for name in (*NUMBERS, "validation_dice"):
                numbers = [r[name] for r in of_class if r[name] is not None]
                if word == "mean":
                    row[name] = fmean(numbers) if numbers else None
                else:
                    row[name] = stdev(numbers) if len(numbers) > 1 else None
            summary.append(row)
    return summary
