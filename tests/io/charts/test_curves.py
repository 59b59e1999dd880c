"""Plots: what they need, and that they are there."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from deepict_dask.errors import InputError
from deepict_dask.io.charts.curves import plot_curves
from deepict_dask.kernels.curves import precision_recall_curve


def test_without_matplotlib_a_sentence_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"deepict_dask\[plot\]"):
        plot_curves(folder / "a.png", [])


@pytest.mark.parametrize("scores, n_truth", [([], 3), ([0.5], 0), ([0.5, np.nan], 1), ([0.9, 0.8, 0.7], 4)])
def test_every_curve_can_be_drawn_even_the_empty_one(folder, scores, n_truth):
    import matplotlib.image

    curve = precision_recall_curve(scores, np.ones(len(scores), int), 1, n_truth)
    path = plot_curves(
        folder / "new" / "a.png", [("fas", curve, (0.5, 0.5))], [("fas", "a", curve), ("fas", "b", curve)]
    )
    assert matplotlib.image.imread(path.local_path()).shape == (735, 1560, 4)


def test_matplotlib_is_loaded_only_to_draw():
    code = (
        "import sys, deepict_dask.io.charts.curves, deepict_dask.scoring.picks, deepict_dask.cli.evaluate; "
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
