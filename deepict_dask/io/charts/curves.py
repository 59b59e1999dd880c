"""Precision and recall drawn, one curve per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.io.charts.figure import COLORS, legend_below, new_figure, require_matplotlib, save_figure
from deepict_dask.io.location import Location

if TYPE_CHECKING:
    from deepict_dask.kernels.curves import Curve

_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}
_WORDS = {"picks": ("Picks", "score"), "voxels": ("Voxels", "probability")}


def plot_curves(
    path: Location,
    pooled: Sequence[tuple[str, Curve, tuple[float, float]]],
    single: Sequence[tuple[str, str, Curve]] = (),
    *,
    kind: str = "picks",
) -> Location:
    """Draw precision against recall, and precision, recall and F1 against the threshold.

    Parameters
    ----------
    path : Location
        File to write, .png, .pdf or .svg.
    pooled : sequence of (class, Curve, (recall, precision))
        One curve per class in its own color, and the point that was evaluated, which gets a dot.
    single : sequence of (class, tomogram, Curve)
        Curves of the tomograms, thin, behind those; left out where a class has only one.
    kind : {"picks", "voxels"}
        For the words on the axes.

    Returns
    -------
    Location

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib

    title, score = _WORDS[kind]
    with matplotlib.rc_context(_STYLE):
        figure = new_figure(10.4, 5.2 + 0.22 * max(3, len(pooled)), dpi=150)
        left, right = figure.subplots(1, 2)
        _f1_lines(left)
        for i, (class_name, curve, point) in enumerate(pooled):
            color = COLORS[i % len(COLORS)]
            same = [c for name, _, c in single if name == class_name]
            for one in same if len(same) > 1 else ():
                left.plot(*_steps(one), color=color, lw=0.7, alpha=0.45)
            area = curve.average_precision
            label = f"{class_name or title.lower()}: AUPRC {area:.3f}" if np.isfinite(area) else class_name
            left.plot(*_steps(curve), color=color, lw=2, label=label)
            if np.isfinite(point).all():
                left.plot(*point, "o", color=color, ms=7, mec="white", mew=1.2, zorder=5, clip_on=False)
            _against_threshold(right, curve, color, class_name, alone=len(pooled) == 1)
        left.set(xlabel="recall", ylabel="precision", title=f"{title}: precision and recall")
        several = any(sum(n == c for n, _, _ in single) > 1 for c, *_ in pooled)
        note = "dot: all picks" if kind == "picks" else "dot: above the threshold"
        note += "; thin: single tomograms" if several else ""
        legend_below(left, title=note, title_fontsize=9)
        alone = len(pooled) == 1
        right.set(
            xlabel=f"least {score}",
            ylabel="precision, recall, F1" if alone else "F1",
            title=f"With a threshold on the {score}",
        )
        legend_below(right)
        for axes in (left, right):
            axes.set_ylim(0, 1.02)
            axes.title.set_fontsize(11)
        left.set_xlim(0, 1)
        left.set_aspect("equal")
        return save_figure(figure, path)


def _steps(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Give the corners whose area is the average precision: each precision holds back to the recall before."""
    recall = np.concatenate([[0.0], np.repeat(curve.recall, 2)])[: 2 * len(curve)]
    before = np.repeat(curve.precision, 2)
    return recall, before


def _f1_lines(axes: Any) -> None:
    """Draw lines of equal F1 in the back."""
    for f1 in (0.2, 0.4, 0.6, 0.8, 0.9):
        recall = np.linspace(f1 / (2 - f1), 1, 200)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="#d5d5d5", lw=0.8, zorder=0)
        axes.annotate(
            f"F1 {f1:g}",
            (1, f1 / (2 - f1)),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color="#888888",
            annotation_clip=False,
        )


def _against_threshold(axes: Any, curve: Curve, color: str, class_name: str, *, alone: bool) -> None:
    is_finite = np.isfinite(curve.thresholds)
    x = curve.thresholds[is_finite]
    if not len(x):
        return
    kinds = (("precision", "--"), ("recall", ":"), ("f1", "-")) if alone else (("f1", "-"),)
    threshold, best = curve.best
    at_best = f", at best {best:.3f} from {threshold:.3f}" if np.isfinite([threshold, best]).all() else ""
    for (name, style), line_color in zip(
        kinds, (COLORS[2], COLORS[1], color) if alone else (color,), strict=True
    ):
        word = f"F1{at_best}" if name == "f1" else name
        label = word if alone else f"{class_name}: {word}"
        axes.plot(
            x,
            getattr(curve, name)[is_finite],
            style,
            color=line_color,
            lw=1.8,
            label=label,
            drawstyle="steps-post",
        )
    if at_best:
        # Clipped neither by the axes nor minded by the layout: it may lie on their edge.
        (mark,) = axes.plot(
            threshold, best, "D", color=color, ms=6, mec="white", mew=1, zorder=5, clip_on=False
        )
        mark.set_in_layout(False)
