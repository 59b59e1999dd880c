"""Figures as PNG, PDF or SVG, with matplotlib, which the extra ``plot`` installs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Letters of a label in a legend; the ends tell names apart.
_LONGEST = 60
SUFFIXES = (".png", ".pdf", ".svg")
# Okabe and Ito: told apart with any color vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def require_matplotlib() -> None:
    """Check that plots can be drawn.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise InputError(
            "plots need matplotlib, which is not installed; run pip install 'deepict_dask[plot]', or leave plots out"
        )


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Make an empty figure without pyplot: no global state, no display, and safe beside other threads.

    Parameters
    ----------
    width, height : float
        Inches.
    **options
        Of matplotlib's Figure.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", **options)
    FigureCanvasAgg(figure)
    return figure


def legend_below(axes: Axes, *more: Axes, **options: Any) -> None:
    """Put the legend under the axes, where it covers no data; nothing where nothing has a label.

    Parameters
    ----------
    axes : Axes
        Whose legend it is.
    *more : Axes
        Others that are drawn over the same place, such as a second scale.
    **options
        Of matplotlib's legend.
    """
    handles, labels = [], []
    for one in (axes, *more):
        found = one.get_legend_handles_labels()
        handles += found[0]
        labels += found[1]
    if handles:
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "frameon": False}
        shown = [t if len(t) <= _LONGEST else f"{t[: _LONGEST // 2]}...{t[-_LONGEST // 2 :]}" for t in labels]
        legend = axes.legend(handles, shown, **place, **options)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a dollar sign in a name is a dollar sign


def save_figure(figure: Figure, path: Location, **options: Any) -> Location:
    """Write a figure, whole or not at all; the suffix says how.

    Raises
    ------
    InputError
        If it is none of .png, .pdf and .svg.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} does not end like a figure; use one of {', '.join(SUFFIXES)}")
    with path.publish() as partial:
        figure.savefig(partial, format=suffix[1:], **options)
    return path
