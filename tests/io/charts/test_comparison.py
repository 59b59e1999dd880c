"""Tables and pictures of several trainings."""

from __future__ import annotations

import csv
import math

import pytest

from deepict_dask.io.charts.comparison import plot_folds, plot_trials
from deepict_dask.io.scores import write_rows

FOLD = {"class": "ribosome", "precision": 0.5, "recall": 0.7, "f1": 0.6, "best_f1": 0.65, "auprc": None}
TRIALS = [
    {"trial": 1, "depth": 2, "batch_norm": True, "loss": "dice", "status": "done", "score": 0.4},
    {"trial": 2, "depth": 10, "batch_norm": False, "loss": "bce", "status": "failed", "score": None},
    {"trial": 3, "depth": 3, "batch_norm": False, "loss": "bce", "status": "pruned", "score": 0.2},
    {"trial": 4, "depth": 3, "batch_norm": True, "loss": "dice", "status": "done", "score": 0.9},
]


def test_what_is_not_known_is_an_empty_cell(folder):
    path = write_rows(
        folder / "new" / "t.csv", ("a", "b"), [{"a": 1.5}, {"a": math.nan, "b": None}, {"b": "x,y"}]
    )
    assert list(csv.reader(path.local_path().open())) == [["a", "b"], ["1.5", ""], ["", ""], ["", "x,y"]]
    assert [p.name for p in path.parent.children()] == ["t.csv"]


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are saved."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1]
    )
    return figures


def test_folds_are_bars_at_their_mean_with_a_dot_each(folder, drawn):
    rows = [FOLD, FOLD | {"f1": 0.8}, FOLD | {"class": "fas", "f1": 0.1}]
    path = plot_folds(folder / "folds.png", rows)
    assert path.read_bytes().startswith(b"\x89PNG")
    axes = drawn[0].axes[0]
    heights = [round(bar.get_height(), 6) for bar in axes.patches]
    # Precision, recall, F1 and best F1 of two classes; of AUPRC nothing is known.
    assert heights == [0.5, 0.7, 0.7, 0.65, 0.5, 0.7, 0.1, 0.65]
    dots = [list(line.get_ydata()) for line in axes.lines if line.get_marker() == "o"]
    assert [0.6, 0.8] in dots


def test_every_hyperparameter_has_a_panel_and_the_best_a_star(folder, drawn):
    plot_trials(folder / "trials.png", TRIALS, ["depth", "batch_norm", "loss"], "score")
    first, depth, batch_norm, loss = drawn[0].axes
    assert [t.get_text() for t in depth.get_xticklabels()] == ["2", "3", "10"]
    assert [t.get_text() for t in batch_norm.get_xticklabels()] == ["false", "true"]
    assert [t.get_text() for t in loss.get_xticklabels()] == ["bce", "dice"]
    stars = [(line.get_xdata()[0], line.get_ydata()[0]) for line in depth.lines if line.get_marker() == "*"]
    assert stars == [(1, 0.9)]
    assert sum(line.get_marker() == "x" for line in first.lines) == 1
