"""The table and the picture of a training."""

from __future__ import annotations

import csv

from deepict_dask.io.charts.learning_curve import plot_learning_curve, write_history
from deepict_dask.networks.training.recipe import Epoch

NAN = float("nan")
HISTORY = [
    Epoch(1, 0.7, 0.8, (0.1, NAN), 0.01, 2.0, 30.0, True),
    Epoch(2, 0.5, 0.6, (0.4, NAN), 0.01, 2.0, 31.0, True),
    Epoch(3, 0.4, 0.7, (0.3, 0.2), 0.005, 2.0, 29.0, False),
]


def test_the_table_has_a_row_per_epoch_and_an_empty_cell_for_no_score(folder):
    path = write_history(folder / "history.csv", HISTORY, ("ribosome", "fas"))
    rows = list(csv.DictReader(path.local_path().open()))
    assert [r["dice_fas"] for r in rows] == ["", "", "0.2"]
    assert [float(r["validation_loss"]) for r in rows] == [0.8, 0.6, 0.7]
    assert [r["is_best"] for r in rows] == ["1", "1", "0"]
    assert folder.children() == [path]


def test_the_picture_shows_something_even_after_one_epoch(folder):
    from matplotlib.image import imread

    sizes = []
    for n in (1, 3):
        path = plot_learning_curve(folder / f"{n}.png", HISTORY[:n], ("ribosome", "fas"), "tiny")
        picture = imread(path.local_path())
        assert picture.shape[0] > 300 and picture.shape[1] > 800
        sizes.append((picture[..., :3] < 0.9).any(-1).sum())
    assert sizes[1] > sizes[0] > 1000
