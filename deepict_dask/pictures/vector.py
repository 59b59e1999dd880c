"""Drawings to PDF and SVG, with matplotlib: lines and letters stay sharp at any size, slices stay pixels."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import Any

from deepict_dask.io.charts.figure import require_matplotlib
from deepict_dask.pictures.drawing import Box, Circle, Drawing, Fill, Label, Line, Raster, Shape2D
from deepict_dask.pictures.fonts import drawable
from deepict_dask.pictures.raster import SOFTWARE

# Pixels become 1/96 inch, as on the web; letters are measured in points.
_DPI = 96
_POINT = 72 / _DPI


def encode(drawing: Drawing, suffix: str) -> bytes:
    """Draw and give the bytes of a file.

    Parameters
    ----------
    drawing : Drawing
        What to draw.
    suffix : {".pdf", ".svg"}
        The format.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Letters as letters, and no date or random number: the same drawing is the same file.
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "deepict_dask", "pdf.fonttype": 42}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(drawing.width / _DPI, drawing.height / _DPI), dpi=_DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, drawing.width), ylim=(drawing.height, 0))
        axes.set_axis_off()
        for order, shape in enumerate(drawing.shapes, start=1):
            # What shows an SVG has fonts of its own; a PDF has only the one that goes with it.
            _draw(axes, _drawable(shape) if suffix == ".pdf" else shape, order)
        out = io.BytesIO()
        about = {"Title": drawing.title, "Creator": SOFTWARE}
        dates = {"Date": None} if suffix == ".svg" else {"CreationDate": None}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")
            figure.savefig(out, format=suffix[1:], metadata={**about, **dates}, dpi=_DPI)
    return out.getvalue()


def _drawable(shape: Shape2D) -> Shape2D:
    return replace(shape, text=drawable(shape.text)) if isinstance(shape, Label) else shape


def _draw(axes: Any, shape: Shape2D, order: int) -> None:
    from matplotlib.patches import Circle as Ring
    from matplotlib.patches import Rectangle

    if isinstance(shape, Raster):
        b = shape.box
        axes.imshow(
            shape.pixels,
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=(b.x, b.right, b.bottom, b.y),
            interpolation="nearest",
            aspect="auto",
            zorder=order,
        )
    elif isinstance(shape, Fill):
        b = shape.box
        axes.add_patch(Rectangle((b.x, b.y), b.width, b.height, color=shape.color, lw=0, zorder=order))
    elif isinstance(shape, Circle):
        ring = Ring(
            (shape.x, shape.y),
            shape.radius,
            fill=False,
            ec=shape.color,
            lw=shape.width * _POINT,
            alpha=shape.opacity,
            ls=(0, (3, 2)) if shape.is_dashed else "solid",
            zorder=order,
        )
        axes.add_patch(ring)
        _clip(axes, ring, shape.clip)
    elif isinstance(shape, Line):
        (x0, y0), (x1, y1) = shape.start, shape.end
        (line,) = axes.plot(
            [x0, x1],
            [y0, y1],
            color=shape.color,
            lw=shape.width * _POINT,
            alpha=shape.opacity,
            solid_capstyle="butt",
            zorder=order,
        )
        _clip(axes, line, shape.clip)
    else:
        axes.text(
            shape.x,
            shape.y,
            shape.text,
            size=shape.size * _POINT,
            color=shape.color,
            ha={"left": "left", "middle": "center", "right": "right"}[shape.align],
            va="center",
            rotation=90 if shape.turned else 0,
            rotation_mode="anchor",
            parse_math=False,  # a dollar sign in a name is a dollar sign
            zorder=order,
        )


def _clip(axes: Any, artist: Any, box: Box | None) -> None:
    from matplotlib.patches import Rectangle

    if box is not None:
        artist.set_clip_path(Rectangle((box.x, box.y), box.width, box.height, transform=axes.transData))
