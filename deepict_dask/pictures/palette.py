"""Colors of classes on gray slices, told apart with any color vision, and gray levels of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepict_dask.io.class_colors import CLASS_COLORS, class_colors

INK, FAINT, FRAME, PAPER = "#222222", "#6b6b6b", "#9a9a9a", "#ffffff"


@dataclass(frozen=True)
class Stroke:
    """How circles of a class are drawn: a color, dashed from the eighth class on."""

    color: str
    is_dashed: bool = False


def strokes(classes: Sequence[str]) -> dict[str, Stroke]:
    """Give each class its stroke, in the order given.

    >>> strokes(["ribosome", "fas"])["fas"]
    Stroke(color='#56B4E9', is_dashed=False)
    """
    n, colors = len(CLASS_COLORS), class_colors(classes)
    return {name: Stroke(colors[name], i // n % 2 == 1) for i, name in enumerate(classes)}


def gray_range(
    values: Sequence[np.ndarray], percentiles: tuple[float, float], padding: float | None = None
) -> tuple[float, float]:
    """Give the values that become black and white: percentiles of all voxels that are drawn.

    Parameters
    ----------
    values : sequence of float arrays
        Slices; what is not finite does not count.
    percentiles : (float, float)
        0 to 100.
    padding : float, optional
        Voxels of this value do not count: a run was told to leave them out.
    """
    finite = [v[np.isfinite(v) & (v != padding)] for v in values]
    every = np.concatenate([v.ravel() for v in finite]) if finite else np.zeros(0)
    if not every.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(every, percentiles))
    return low, high


def to_gray(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Turn voxels into gray levels, uint8; a slice of one value is gray.

    >>> to_gray(np.array([0.0, 5.0, 10.0]), 0.0, 10.0)
    array([  0, 128, 255], dtype=uint8)
    """
    if not white > black:
        return np.full(values.shape, 128, np.uint8)
    scaled = (np.nan_to_num(values, nan=(black + white) / 2) - black) * (255 / (white - black))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
