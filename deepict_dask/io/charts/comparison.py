"""Pictures of networks compared: folds and trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deepict_dask.io.charts.figure import COLORS, legend_below, new_figure, require_matplotlib, save_figure
from deepict_dask.io.location import Location
from deepict_dask.io.scores import Row

_SHOWN = {"precision": "precision", "recall": "recall", "f1": "F1", "best_f1": "best F1", "auprc": "AUPRC"}


def plot_folds(path: Location, rows: Sequence[Row], title: str = "") -> Location:
    """Draw the scores of each fold, and their mean and standard deviation, per class.

    Parameters
    ----------
    path : Location
        Appears when it is whole.
    rows : sequence of mapping
        One per fold and class, with ``class``, ``precision``, ``recall``, ``f1``, ``best_f1`` and ``auprc``.
    title : str
        Above.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    classes = list(dict.fromkeys(str(row["class"]) for row in rows))
    figure = new_figure(7.5, 4)
    axes = figure.subplots()
    width = 0.8 / len(classes)
    for k, name in enumerate(classes):
        color = COLORS[k % len(COLORS)]
        for place, column in enumerate(_SHOWN):
            scores = [float(r[column]) for r in rows if str(r["class"]) == name and r[column] is not None]
            if not scores:
                continue
            x = place - 0.4 + width * (k + 0.5)
            mean = sum(scores) / len(scores)
            spread = math.sqrt(sum((v - mean) ** 2 for v in scores) / max(len(scores) - 1, 1))
            label = (name or "particles") if place == 0 else None
            axes.bar(x, mean, 0.9 * width, yerr=spread, capsize=3, color=color, alpha=0.45, label=label)
            # Side by side, so that equal scores do not hide each other.
            steps = [x + 0.5 * width * ((i + 0.5) / len(scores) - 0.5) for i in range(len(scores))]
            axes.plot(steps, scores, "o", ms=4, color=color, mec="white", mew=0.5, clip_on=False)
    axes.set(ylim=(0, 1.05), ylabel="score of tomograms held out")
    axes.set_title(title, parse_math=False)
    axes.set_xticks(range(len(_SHOWN)), list(_SHOWN.values()))
    axes.spines[["top", "right"]].set_visible(False)
    legend_below(axes, title="bar: mean and spread; dot: fold", ncols=4)
    return save_figure(figure, path, dpi=130)


def plot_trials(path: Location, rows: Sequence[Row], names: Sequence[str], word: str) -> Location:
    """Draw scores of trials in their order, and over the values of each hyperparameter.

    Parameters
    ----------
    path : Location
        Appears when it is whole.
    rows : sequence of mapping
        One per trial, in order, with ``score`` (None where it failed), ``status`` and the hyperparameters.
    names : sequence of str
        Hyperparameters.
    word : str
        What the score is.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.ticker import MaxNLocator

    scored = [row for row in rows if row["score"] is not None]
    best = max((r for r in scored if r["status"] == "done"), key=lambda r: r["score"], default=None)
    n = len(names) + 1
    columns = min(n, 3)
    figure = new_figure(3.6 * columns, 3 * math.ceil(n / columns))
    first, *other_axes = figure.subplots(math.ceil(n / columns), columns, squeeze=False).flat
    so_far, steps = -math.inf, []
    for row in scored:
        if row["status"] == "done":
            so_far = max(so_far, row["score"])
            steps.append((row["trial"], so_far))
    if steps:
        first.step(
            *zip(*steps, strict=True), where="post", color="#999999", lw=1, zorder=0, label="best so far"
        )
    first.set(xlabel="trial")
    first.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes, name in zip(other_axes, names, strict=False):
        values = sorted({_key(row[name]) for row in rows})
        places = {value: k for k, value in enumerate(values)}
        axes.set_xticks(range(len(values)), [text for _, text in values])
        axes.set(xlabel=name, xlim=(-0.5, len(values) - 0.5))
        for row in scored:
            _dot(axes, places[_key(row[name])], row, best)
    for row in scored:
        _dot(first, row["trial"], row, best)
    legend_below(first)
    for axes in other_axes[len(names) :]:
        axes.remove()
    for axes in (first, *other_axes[: len(names)]):
        axes.set_ylabel(word)
        axes.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path, dpi=130)


def _dot(axes: Any, x: float, row: Row, best: Row | None) -> None:
    if row is best:
        axes.plot(x, row["score"], "*", ms=13, color=COLORS[1], mec="white", zorder=3)
    elif row["status"] == "done":
        axes.plot(x, row["score"], "o", ms=5, color=COLORS[0], mec="white", mew=0.5)
    else:
        axes.plot(x, row["score"], "x", ms=5, color="#999999")


def _key(value: Any) -> tuple[Any, str]:
    """Sort numbers as numbers, words as words, and show both as in the settings."""
    number = float(value) if isinstance(value, (int, float)) else 0.0
    return (number, str(value).lower() if isinstance(value, bool) else str(value))
