"""Figures as PNG, with matplotlib, which the extra ``plot`` installs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def save_figure(figure: Figure, path: Location, **options: Any) -> Location:
    """Write a figure as PNG, whole or not at all."""
    with path.publish() as partial:
        figure.savefig(partial, format="png", **options)
    return path
