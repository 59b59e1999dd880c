"""Picks one beside the other, the best-scored first: central slices of a box around each, x-y above x-z."""

from __future__ import annotations

import math

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.pictures.drawing import Box, Drawing, Fill, Label, Raster, Shape2D
from deepict_dask.pictures.fonts import shortened
from deepict_dask.pictures.furniture import LARGE, NORMAL, SMALL, nanometers, scale_bar, scale_bar_length
from deepict_dask.pictures.look import Look
from deepict_dask.pictures.marks import Marks
from deepict_dask.pictures.palette import FAINT, INK, gray_range, strokes, to_gray
from deepict_dask.pictures.scene import Scene

_EDGE = 88
_COLUMNS, _ROWS = 10, 5
_LEFT, _TOP, _GAP = 24, 74, 8
_UNDER = 26  # for the score
_PER_PAGE = _COLUMNS * _ROWS


def draw_gallery(scene: Scene, look: Look, *, most: int = 100, box: float | None = None) -> list[Drawing]:
    """Draw the picks of a scene in pages, class by class.

    Parameters
    ----------
    scene : Scene
        With picks.
    look : Look
        Contrast, thickness, smoothing.
    most : int
        Picks of each class to show; where there are more, as many in even steps from the best to the worst.
    box : float, optional
        Edge of the boxes in nm; twice the diameter of the largest class unless given.

    Returns
    -------
    list of Drawing
        Pages of 50, of which each shows one class.

    Raises
    ------
    InputError
        If there are no picks, or the voxel size is not known.
    """
    picks = scene.picks
    if picks is None or not len(picks):
        raise InputError(f"{scene.name} has no picks to show; run pick first, or with a lower threshold")
    if scene.voxel_size is None:
        raise InputError(
            f"the voxel size of {scene.name} is not known, so boxes have no size in nm; ingest it with one"
        )
    if most < 1:
        raise InputError(f"most is {most}; show at least one pick")
    if box is not None and not (math.isfinite(box) and box > 0):
        raise InputError(f"box is {box:g}; give a length in nm above 0")
    edge = box * 10 if box is not None else _usual_box(picks, scene.classes)
    pages = []
    for name in scene.classes:
        rows = np.flatnonzero(picks.classes == name)
        ranked = rows[np.argsort(-np.nan_to_num(picks.scores[rows], nan=-np.inf), kind="stable")]
        ranks = np.arange(len(ranked))
        if len(ranked) > most:
            ranks = np.unique(np.rint(np.linspace(0, len(ranked) - 1, most)).astype(int))
        for first in range(0, len(ranks), _PER_PAGE):
            chosen = ranks[first : first + _PER_PAGE]
            pages.append(_page(scene, look, name, ranked[chosen], chosen, len(ranked), edge))
    return pages


def _usual_box(picks: Marks, classes: tuple[str, ...]) -> float:
    """Give twice the diameter of the largest class, in A."""
    return float(
        4 * max(np.median(picks.radii[picks.classes == name]) for name in classes if picks.count(name))
    )


def _page(
    scene: Scene, look: Look, name: str, rows: np.ndarray, ranks: np.ndarray, total: int, edge: float
) -> Drawing:
    assert scene.picks is not None
    crops = [_crops(scene, look, scene.picks.positions[row], edge) for row in rows]
    black, white = scene.levels or gray_range(
        [c for pair in crops for c in pair], look.contrast, scene.padding
    )
    color = strokes(scene.classes)[name].color
    shapes: list[Shape2D] = []
    step = 2 * _EDGE + 2 + _UNDER + _GAP
    for k, (row, pair) in enumerate(zip(rows, crops, strict=True)):
        x = _LEFT + k % _COLUMNS * (_EDGE + _GAP)
        y = _TOP + k // _COLUMNS * step
        for i, crop in enumerate(pair):
            at = Box(x, y + i * (_EDGE + 2), _EDGE, _EDGE)
            shapes.append(Raster(at, _shown(crop, black, white)))
        y += 2 * _EDGE + 2
        shapes.append(Fill(Box(x, y + 2, _EDGE, 3), color))
        score = scene.picks.scores[row]
        text = f"{score:.3f}" if np.isfinite(score) else "no score"
        shapes.append(Label(x + _EDGE / 2, y + 15, text, SMALL, INK, "middle"))
    width = _LEFT + _COLUMNS * (_EDGE + _GAP) - _GAP + _LEFT
    bottom = _TOP + -(-len(rows) // _COLUMNS) * step
    length = scale_bar_length(edge / 10 * 2)
    shapes += scale_bar(_LEFT, bottom + 14, length * 10 / edge * _EDGE, nanometers(length))
    return Drawing(
        width,
        bottom + 34,
        (*_heading(scene, look, name, ranks, total, edge, width), *shapes),
        f"{scene.name}: {name}",
    )


def _crops(scene: Scene, look: Look, at: np.ndarray, edge: float) -> list[np.ndarray]:
    """Give the x-y and the x-z slice through a pick; NaN outside of the tomogram."""
    half = [edge / 2 / v for v in scene.pyramid.voxel_size]
    spans = [(float(c - h), float(c + h)) for c, h in zip(at, half, strict=True)]
    return [
        scene.pyramid.plane(
            axis,
            float(np.clip(at[axis], 0, scene.pyramid.shape[axis] - 1)),
            look.thickness * 10,
            (_EDGE, _EDGE),
            window=(spans[1 - axis], spans[2]),
            gaussian=look.gaussian * 10,
        )
        for axis in (0, 1)
    ]


def _shown(crop: np.ndarray, black: float, white: float) -> np.ndarray:
    """Give the pixels of a crop; what lies outside of the tomogram is hatched, since it is no gray."""
    gray = to_gray(crop, black, white)
    outside = ~np.isfinite(crop)
    if outside.any():
        i, j = np.indices(crop.shape)
        gray[outside] = np.where((i + j) % 8 < 1, 190, 238)[outside]
    return gray


def _heading(
    scene: Scene, look: Look, name: str, ranks: np.ndarray, total: int, edge: float, width: int
) -> list[Shape2D]:
    room = width - 2 * _LEFT
    n, first, last = len(ranks), ranks[0] + 1, ranks[-1] + 1
    assert scene.picks is not None
    has_scores = np.isfinite(scene.picks.scores[scene.picks.classes == name]).any()
    order = "by score" if has_scores else "in the order of the table"
    evenly = "" if last - first == n - 1 else f"{n} in even steps, "
    which = f"{evenly}{first} to {last} of {total} {order}"
    thick = (
        max(1, round(look.thickness * 10 / scene.pyramid.voxel_size[0])) * scene.pyramid.voxel_size[0] / 10
    )
    facts = [
        f"boxes of {nanometers(float(f'{edge / 10:.2g}'))}, above x-y, below x-z",
        f"mean of {nanometers(float(f'{thick:.2g}'))}",
    ]
    if scene.shows != "tomogram":
        facts.insert(0, scene.shows)
    if look.gaussian:
        facts.append(f"smoothed by {nanometers(look.gaussian)}")
    return [
        Label(_LEFT, 26, shortened(f"{scene.name}: {name}", LARGE, room), LARGE, INK),
        Label(_LEFT, 52, shortened(f"{which}; {', '.join(facts)}", NORMAL, room), NORMAL, FAINT),
    ]
