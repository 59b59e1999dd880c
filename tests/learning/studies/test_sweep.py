"""Sweeps: trials as Dask tasks; most here with a score by formula instead of a training."""

from __future__ import annotations

import csv
import json

import pytest

from deepict_dask.config import load_settings
from deepict_dask.config.sweep import SweepSettings
from deepict_dask.config.training import TrainSettings
from deepict_dask.errors import DamagedOutputError, WorkError
from deepict_dask.learning.studies import study as module
from deepict_dask.learning.studies.fold import PRUNE, RESULT, FoldResult
from deepict_dask.learning.studies.sweep import sweep as sweep_with
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from tests.learning.cells import training_tree, write_cells
from tests.learning.studies.test_crossvalidate import Listening


def sweep(settings, reporter=None, overwrite=False):
    return sweep_with(settings, Work(reporter or Reporter(), overwrite))


SPACE = {"depth": [1, 2], "initial_features": [2, 4], "decoder_dropout": [0.0, 0.1]}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return write_cells(tmp_path_factory.mktemp("cells"), "abc")


def settings(cells, output, training=None, **others):
    search = {"method": "paper", "space": SPACE} | others.pop("search", {})
    tree = {
        "output": str(output),
        "training": training_tree(cells, "abc", **(training or {})),
        "search": search,
    }
    return SweepSettings.model_validate(tree | others)


class Formula:
    """Stands for a training: four features are best, then depth 1, then no dropout."""

    def __init__(self, fail=lambda network: False):
        self.done, self.fail = [], fail

    def __call__(self, fold, post):
        network = fold.training.network
        self.done.append((network.depth, network.initial_features, network.decoder_dropout))
        if self.fail(network):
            raise WorkError("the loss became nan")
        score = (
            0.3 * (network.initial_features == 4) + 0.2 * (network.depth == 1) - network.decoder_dropout + 0.1
        )
        pooled = (
            [{"class": "ribosome", "f1": score / 2, "best_f1": score, "auprc": None}] if fold.held_out else []
        )
        return fold.write(
            FoldResult(
                held_out=list(fold.held_out),
                best_epoch=1,
                validation_dice=score,
                validation_loss=1.0,
                dice=[score],
                epochs=2,
                ended_by="epochs",
                history=[score, score],
                pooled=pooled,
                tomograms=[],
                seconds=1.0,
                model="m",
            )
        )


@pytest.fixture
def formula(monkeypatch):
    stand_in = Formula()
    monkeypatch.setattr(module, "run_fold", stand_in)
    return stand_in


def test_the_papers_order_finds_the_best_and_writes_it_down(formula, cells, tmp_path):
    found = sweep(settings(cells, tmp_path))
    # One hyperparameter after the other; what is known is not trained again.
    assert formula.done == [(1, 2, 0.0), (2, 2, 0.0), (1, 4, 0.0), (1, 4, 0.1)]
    assert found.best.chosen == {"depth": 1, "initial_features": 4, "decoder_dropout": 0.0}
    best = load_settings(tmp_path / "best.yaml", None, TrainSettings)
    assert (best.network.depth, best.network.initial_features) == (1, 4)
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [r["best"] for r in rows] == ["0", "0", "1", "0"]
    assert [float(r["score"]) for r in rows] == pytest.approx([0.3, 0.1, 0.6, 0.5])
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "sweep.json").read_text())["best"] == found.best.chosen


def test_a_second_sweep_trains_nothing_and_a_larger_space_only_what_is_new(formula, cells, tmp_path):
    first = sweep(settings(cells, tmp_path))
    formula.done.clear()
    again = sweep(settings(cells, tmp_path))
    assert not formula.done and again.rows == first.rows
    wider = sweep(settings(cells, tmp_path, search={"space": SPACE | {"decoder_dropout": [0.0, 0.1, 0.2]}}))
    assert formula.done == [(1, 4, 0.2)] and wider.best.chosen == first.best.chosen


def test_a_trial_that_fails_is_recorded_and_tried_again_next_time(cells, tmp_path, monkeypatch):
    stand_in = Formula(fail=lambda network: network.initial_features == 4)
    monkeypatch.setattr(module, "run_fold", stand_in)
    reporter = Listening()
    found = sweep(settings(cells, tmp_path), reporter)
    assert found.best.chosen == {"depth": 1, "initial_features": 2, "decoder_dropout": 0.0}
    failed = [r for r in found.rows if r["status"] == "failed"]
    assert [(r["initial_features"], r["error"]) for r in failed] == [(4, "the loss became nan")]
    assert any("failed: the loss became nan" in s for s in reporter.warned)
    stand_in.fail = lambda network: False
    assert sweep(settings(cells, tmp_path)).best.chosen["initial_features"] == 4


def test_values_that_cannot_be_are_recorded(formula, cells, tmp_path):
    grid = {"method": "grid", "space": {"depth": [1, 5]}}
    found = sweep(settings(cells, tmp_path, search=grid))
    assert [t.status for t in found.trials] == ["done", "failed"]
    assert "no multiple of 2**depth = 32" in found.rows[1]["error"]


def test_a_choice_is_scored_by_the_mean_over_its_folds(formula, cells, tmp_path):
    chosen = {"method": "grid", "space": {"depth": [1, 2]}, "score": "f1"}
    found = sweep(settings(cells, tmp_path, search=chosen, folds={"folds": 3}))
    assert len(formula.done) == 6 and [t.score for t in found.trials] == pytest.approx([0.15, 0.05])
    assert sorted(p.name for p in (tmp_path / "trials" / "depth=1").iterdir()) == [
        "fold_1",
        "fold_2",
        "fold_3",
    ]
    # One of six is lost: the trial it belongs to needs that one alone.
    (tmp_path / "trials" / "depth=2" / "fold_2" / RESULT).unlink()
    formula.done.clear()
    again = sweep(settings(cells, tmp_path, search=chosen, folds={"folds": 3}))
    assert len(formula.done) == 1 and again.rows == found.rows


def test_a_study_resumes_and_a_choice_made_twice_is_trained_once(formula, cells, tmp_path):
    pytest.importorskip("optuna")
    first = sweep(settings(cells, tmp_path, search={"method": "optuna", "trials": 6}))
    assert len(first.trials) == 6 and len(set(formula.done)) == len(formula.done)
    n_before = len(formula.done)
    found = sweep(settings(cells, tmp_path, search={"method": "optuna", "trials": 12}))
    assert [t.number for t in found.trials] == list(range(1, 13))
    assert [r["score"] for r in found.rows[:6]] == [r["score"] for r in first.rows]
    assert found.rows[0]["validation_dice"] == found.rows[0]["score"]
    assert len(set(formula.done)) == len(formula.done) <= 8 and len(formula.done) >= n_before
    assert found.best.score == max(t.score for t in found.trials)
    formula.done.clear()
    again = sweep(settings(cells, tmp_path, search={"method": "optuna", "trials": 12}))
    assert not formula.done and again.rows == found.rows


def test_real_trials_on_workers(client, cells, tmp_path):
    chosen = {"method": "grid", "space": {"initial_features": [2, 3]}}
    reporter = Listening()
    found = sweep(settings(cells, tmp_path, search=chosen), reporter)
    assert [t.status for t in found.trials] == ["done", "done"]
    for row, trial in zip(found.rows, found.trials, strict=True):
        (result,) = trial.results.values()
        assert row["score"] == result.validation_dice == result.history[result.best_epoch - 1]
        assert len(result.history) == 2
    assert any("initial_features=3: epoch 2 of 2" in s for s in reporter.said)
    reporter = Listening()
    assert sweep(settings(cells, tmp_path, search=chosen), reporter).rows == found.rows
    assert not any("epoch" in s for s in reporter.said)


def test_a_training_that_is_told_to_ends_after_its_epoch_and_is_recorded_as_pruned(
    cells, tmp_path, monkeypatch
):
    pytest.importorskip("optuna")
    from deepict_dask.learning.studies.proposals import OptunaSearch

    # What the pruner says is its own matter.
    monkeypatch.setattr(OptunaSearch, "report", lambda self, proposal, epoch, value: epoch < 2)
    search = {"method": "optuna", "trials": 1, "prune": True, "space": {"depth": [1]}}
    found = sweep(
        settings(
            cells,
            tmp_path,
            search=search,
            training={"fit": {"epochs": 5}, "hardware": {"device": "cpu", "threads": 1}},
        )
    )
    (trial,) = found.trials
    assert trial.status == "pruned" and trial.results["depth=1"].epochs == 2 and found.best is None
    assert (tmp_path / "trials" / "depth=1" / PRUNE).exists()


def test_results_are_found_again_in_another_order_of_the_hyperparameters(formula, cells, tmp_path):
    grid = {"method": "grid", "space": {"depth": [1, 2], "initial_features": [2, 4]}}
    first = sweep(settings(cells, tmp_path, search=grid))
    formula.done.clear()
    other = grid | {"space": dict(reversed(grid["space"].items()))}
    again = sweep(settings(cells, tmp_path, search=other))
    assert not formula.done and again.best.chosen == first.best.chosen and len(again.trials) == 4


def test_a_result_that_lacks_a_part_is_named(formula, cells, tmp_path):
    sweep(settings(cells, tmp_path))
    file = tmp_path / "trials" / next(p.name for p in (tmp_path / "trials").iterdir()) / RESULT
    content = json.loads(file.read_text())
    del content["best_epoch"]
    file.write_text(json.dumps(content))
    with pytest.raises(DamagedOutputError, match=r"result.json lacks .*best_epoch.*; remove it"):
        sweep(settings(cells, tmp_path))
