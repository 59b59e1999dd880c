"""What a picture consists of: a few frozen shapes in pixels, which `raster` and `vector` draw alike.

Pixel (0, 0) is the upper left one and covers 0 to 1 on both axes, so the center of pixel k lies at k + 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Color = str
"""``#rrggbb``."""


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, width and height in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """End in x."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """End in y."""
        return self.y + self.height

    def overlaps(self, other: Box) -> bool:
        """Tell whether two rectangles share more than an edge."""
        return (
            self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom
        )


@dataclass(frozen=True, eq=False)
class Raster:
    """Gray or colored pixels, uint8 (height, width) or (height, width, 3), that fill a box."""

    box: Box
    pixels: np.ndarray


@dataclass(frozen=True)
class Fill:
    """A filled rectangle."""

    box: Box
    color: Color


@dataclass(frozen=True)
class Line:
    """A straight line; only what lies in ``clip`` is drawn."""

    start: tuple[float, float]
    end: tuple[float, float]
    color: Color
    width: float = 1.0
    opacity: float = 1.0
    clip: Box | None = None


@dataclass(frozen=True)
class Circle:
    """A circle around (x, y), not filled; dashed where one color stands for two classes."""

    x: float
    y: float
    radius: float
    color: Color
    width: float = 1.5
    opacity: float = 1.0
    is_dashed: bool = False
    clip: Box | None = None


@dataclass(frozen=True)
class Label:
    """A line of text; (x, y) is its left, middle or right end on the vertical middle of its letters.

    Attributes
    ----------
    size : float
        Of the letters in pixels.
    turned : bool
        Whether it is read from below, as the label of a vertical axis.
    """

    x: float
    y: float
    text: str
    size: float = 13.0
    color: Color = "#222222"
    align: Literal["left", "middle", "right"] = "left"
    turned: bool = False


Shape2D = Raster | Fill | Line | Circle | Label


@dataclass(frozen=True)
class Drawing:
    """A picture on white, shapes drawn in order.

    Attributes
    ----------
    width, height : int
        In pixels.
    shapes : tuple
        What is drawn, the lowest first.
    title : str
        For the file's metadata.
    """

    width: int
    height: int
    shapes: tuple[Shape2D, ...]
    title: str = ""
