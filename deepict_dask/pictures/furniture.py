"""What stands around slices and never on them: titles, axes in voxels, scale bar, legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepict_dask.pictures.drawing import Box, Circle, Fill, Label, Line, Shape2D
from deepict_dask.pictures.fonts import shortened, text_width
from deepict_dask.pictures.palette import FAINT, FRAME, INK, Stroke

SMALL, NORMAL, LARGE = 11.0, 13.0, 17.0
LEFT, RIGHT, GAP = 54, 16, 14
"""Room left of a slice for its axis, right of the last one, and between slices."""
ROW = 24
"""Height of a line of the legend."""


@dataclass(frozen=True)
class Entry:
    """One entry of a legend: a circle or a cross, and what it stands for."""

    text: str
    stroke: Stroke
    is_cross: bool = False


def ticks(n: int, pixels: float, room: float) -> list[int]:
    """Choose voxels to write at an axis: round numbers, at least ``room`` pixels apart.

    >>> ticks(928, 720, 60)
    [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]
    """
    least = n * room / max(pixels, 1)
    step = 10 ** math.floor(math.log10(max(least, 1)))
    step = next((step * m for m in (1, 2, 5, 10) if step * m >= least), step * 10)
    return list(range(0, n, max(1, int(step))))


def scale_bar_length(extent: float) -> float:
    """Choose the length of a scale bar: 1, 2 or 5 times a power of ten, a tenth to a quarter of the extent.

    >>> scale_bar_length(1250.0), scale_bar_length(76.0)
    (200.0, 10.0)
    """
    quarter = extent / 4
    step = 10 ** math.floor(math.log10(quarter))
    return float(max(step * m for m in (1, 2, 5) if step * m <= quarter))


def nanometers(length: float) -> str:
    """Write a length in nm; in µm from 1000 on.

    >>> nanometers(200.0), nanometers(2000.0), nanometers(0.5)
    ('200 nm', '2 µm', '0.5 nm')
    """
    return f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm"


def frame(box: Box, n: tuple[int, int], names: tuple[str, str], title: str) -> list[Shape2D]:
    """Draw frame, axes and title of a slice.

    Parameters
    ----------
    box : Box
        That the slice fills.
    n : (int, int)
        Voxels along rows and columns.
    names : (str, str)
        Of the vertical and the horizontal axis.
    title : str
        Above it.
    """
    rows, columns = n
    edges = (box.x - 0.5, box.y - 0.5, box.right + 0.5, box.bottom + 0.5)
    left, top, right, bottom = edges
    shapes: list[Shape2D] = [
        Line(a, b, FRAME)
        for a, b in (
            ((left, top), (right, top)),
            ((right, top), (right, bottom)),
            ((right, bottom), (left, bottom)),
            ((left, bottom), (left, top)),
        )
    ]
    title = shortened(title, NORMAL, box.width)
    shapes.append(Label(box.x, box.y - 14, title, NORMAL, INK))
    for k in ticks(columns, box.width, 48):
        x = box.x + (k + 0.5) * box.width / columns
        shapes.append(Line((x, bottom), (x, bottom + 4), FRAME))
        shapes.append(Label(x, bottom + 12, str(k), SMALL, FAINT, "middle"))
    for k in ticks(rows, box.height, 38):
        y = box.y + (k + 0.5) * box.height / rows
        shapes.append(Line((left - 4, y), (left, y), FRAME))
        shapes.append(Label(left - 7, y, str(k), SMALL, FAINT, "right"))
    vertical, horizontal = names
    shapes.append(Label(box.x + box.width / 2, bottom + 27, f"{horizontal} (voxels)", SMALL, FAINT, "middle"))
    shapes.append(
        Label(box.x - 44, box.y + box.height / 2, f"{vertical} (voxels)", SMALL, FAINT, "middle", True)
    )
    return shapes


TITLE_ROOM, AXIS_ROOM = 26, 38
"""Height above a slice for its title, and below for its axis."""


def scale_bar(x: float, y: float, length: float, text: str) -> list[Shape2D]:
    """Draw a scale bar whose left end is at x, around the height y."""
    return [
        Fill(Box(round(x), round(y) - 3, round(length), 5), INK),
        Label(x + length + 8, y, text, NORMAL, INK),
    ]


def legend(entries: Sequence[Entry], x: float, y: float, width: float) -> tuple[list[Shape2D], float]:
    """Draw a legend in lines of a width; gives the shapes and the height that they take."""
    shapes: list[Shape2D] = []
    at, line = x, 0
    for entry in entries:
        text = shortened(entry.text, NORMAL, width - 30)
        needed = 26 + 1.15 * text_width(text, NORMAL) + 18  # letters of PDF and SVG are wider
        if at > x and at + needed > x + width:
            at, line = x, line + 1
        middle = y + ROW * (line + 0.5)
        if entry.is_cross:
            shapes += cross(at + 9, middle, 7, entry.stroke.color, None)
        else:
            shapes += ring(at + 9, middle, 7.5, entry.stroke, 2.0, None)
        shapes.append(Label(at + 24, middle, text, NORMAL, INK))
        at += needed
    return shapes, ROW * (line + 1) if entries else 0.0


def ring(x: float, y: float, radius: float, stroke: Stroke, width: float, clip: Box | None) -> list[Shape2D]:
    """Draw a circle with a dark edge, which keeps it apart from bright and dark voxels alike."""
    return [
        Circle(x, y, radius, "#000000", width + 1.6, 0.4, stroke.is_dashed, clip),
        Circle(x, y, radius, stroke.color, width, 1.0, stroke.is_dashed, clip),
    ]


def cross(x: float, y: float, arm: float, color: str, clip: Box | None) -> list[Shape2D]:
    """Draw an upright cross with a dark edge."""
    arms = (((x - arm, y), (x + arm, y)), ((x, y - arm), (x, y + arm)))
    return [
        Line(a, b, paint, width, opacity, clip)
        for paint, width, opacity in (("#000000", 3.6, 0.4), (color, 2.0, 1.0))
        for a, b in arms
    ]
