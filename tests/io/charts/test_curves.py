"""Plots: what they need, and that they are there."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings

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
    assert matplotlib.image.imread(path.local_path()).shape == (879, 1560, 4)


def test_matplotlib_is_loaded_only_to_draw():
    code = (
        "import sys, deepict_dask.io.charts.curves, deepict_dask.scoring.picks, deepict_dask.cli.evaluate; "
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _curves(n):
    rng = np.random.default_rng(0)
    for k in range(n):
        scores = np.sort(rng.random(50))[::-1]
        yield (
            f"$class_{k}$",
            precision_recall_curve(scores, (rng.random(50) < scores).astype(int), 1, 40),
            (0.5, 0.5),
        )


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_legends_cover_no_data_axes_are_labelled_and_nothing_is_warned_of(folder, monkeypatch, n):
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_curves(folder / "a.png", list(_curves(n)))
    (figure,) = figures
    for axes in figure.axes:
        assert axes.get_xlabel() and axes.get_ylabel()
        legend = axes.get_legend()
        assert (legend is None) == (n == 0)
        if legend is not None:
            box = legend.get_window_extent()
            assert not any(box.overlaps(other.get_window_extent()) for other in figure.axes)
            assert legend.get_texts()[0].get_text().startswith("$class_0$") or n == 1
            assert not any(text.get_parse_math() for text in legend.get_texts())
            assert box.y0 >= 0 and box.x0 >= 0 and box.x1 <= figure.bbox.width


@pytest.mark.parametrize("suffix, begin", [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_the_suffix_says_how_a_figure_is_written(folder, suffix, begin):
    assert plot_curves(folder / f"a{suffix}", list(_curves(1))).read_bytes().startswith(begin)
    with pytest.raises(InputError, match=r"does not end like a figure; use one of \.png, \.pdf, \.svg"):
        plot_curves(folder / "a.gif", list(_curves(1)))
