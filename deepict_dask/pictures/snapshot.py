"""Slices of a tomogram with its particles: x-y above, x-z below, all at one scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.pictures.drawing import Box, Drawing, Label, Line, Raster, Shape2D
from deepict_dask.pictures.fonts import shortened, text_width
from deepict_dask.pictures.furniture import (
    AXIS_ROOM,
    GAP,
    LARGE,
    LEFT,
    NORMAL,
    RIGHT,
    ROW,
    SMALL,
    TITLE_ROOM,
    Entry,
    cross,
    frame,
    legend,
    nanometers,
    ring,
    scale_bar,
    scale_bar_length,
)
from deepict_dask.pictures.look import Look
from deepict_dask.pictures.marks import UNKNOWN_DIAMETER, UNKNOWN_DIAMETER_VOXELS, Marks
from deepict_dask.pictures.palette import FAINT, INK, gray_range, strokes, to_gray
from deepict_dask.pictures.scene import Scene
from deepict_dask.tomogram import angstrom, by

# A montage is not wider than this, slices without gaps.
_WIDEST = 1500
_HIGHEST = 1.4  # times its width, of an x-y slice


@dataclass(frozen=True)
class _Slice:
    """A slice and where it goes: `center` in voxels along `axis`."""

    axis: int
    center: float
    box: Box


def draw_slices(scene: Scene, look: Look) -> Drawing:
    """Draw a tomogram in slices with its particles.

    Parameters
    ----------
    scene : Scene
        From `open_scene`.
    look : Look
        What to show.

    Returns
    -------
    Drawing
        Of each particle that a slice cuts, the circle that it cuts from it; axes in voxels, a scale bar, and a legend
        below, which covers nothing.

    Raises
    ------
    InputError
        If a plane lies outside of the tomogram.
    """
    z, y = _planes(scene, look)
    slices, width, bottom, scale = _arranged(scene, look, z, y)
    thickness = look.thickness * 10 if scene.voxel_size else 0.0
    voxels = [
        scene.pyramid.plane(
            s.axis,
            s.center,
            thickness,
            (round(s.box.height), round(s.box.width)),
            gaussian=look.gaussian * 10 if scene.voxel_size else 0.0,
        )
        for s in slices
    ]
    black, white = scene.levels or gray_range(voxels, look.contrast, scene.padding)
    shapes: list[Shape2D] = _heading(scene, look, width)
    for s, values in zip(slices, voxels, strict=True):
        shapes.append(Raster(s.box, to_gray(values, black, white)))
        shapes += _drawn_marks(scene, s, thickness)
        shapes += frame(s.box, _shape_of(scene, s.axis), ("y" if s.axis == 0 else "z", "x"), _title(scene, s))
        shapes += _where_others_lie(scene, s, slices)
    below, height = _foot(scene, width, bottom, scale)
    title = f"{scene.name}: slices with particles"
    return Drawing(width, math.ceil(height), (*shapes, *below), title)


def _planes(scene: Scene, look: Look) -> tuple[list[float], list[float]]:
    """Choose the planes of x-y and x-z slices."""
    n_z, n_y, _ = scene.pyramid.shape
    size = scene.pyramid.voxel_size
    marks = scene.picks if scene.picks is not None and len(scene.picks) else scene.truth
    marks = marks if marks is not None else _none()
    for name, planes, n in (("z", look.z, n_z), ("y", look.y, n_y)):
        for plane in planes:
            if not 0 <= plane <= n - 1:
                raise InputError(
                    f"{name} = {plane:g} lies outside of {scene.name}, whose {name} goes from 0 to {n - 1}"
                )
    z = list(look.z) or (
        [marks.fullest(0, n_z, size)] if look.slices == 1 else marks.spread(0, n_z, look.slices)
    )
    columns = _columns(len(z))
    y = list(look.y) or ([marks.fullest(1, n_y, size)] if columns == 1 else marks.spread(1, n_y, columns))
    return z, y


def _columns(n: int) -> int:
    """Give the columns of a montage of n slices."""
    return n if n <= 3 else math.ceil(math.sqrt(n))


def _none() -> Marks:
    return Marks(np.zeros((0, 3)), np.zeros(0), np.zeros(0, object), np.zeros(0))


def _arranged(
    scene: Scene, look: Look, z: list[float], y: list[float]
) -> tuple[list[_Slice], int, float, float]:
    """Give slices their boxes; also the width of the picture, where they end, and pixels per A."""
    deep, high, wide = scene.pyramid.extent
    columns = _columns(len(z))
    width = min(look.width, _WIDEST // columns)
    scale = min(width / wide, width * _HIGHEST / high)
    w, h, d = (max(1, round(edge * scale)) for edge in (wide, high, deep))
    slices = []
    top = 64.0
    for axis, planes, height in ((0, z, h), (1, y, d)):
        for k, plane in enumerate(planes):
            row, column = divmod(k, columns)
            x = LEFT + column * (w + GAP + LEFT)
            slices.append(
                _Slice(
                    axis, plane, Box(x, top + TITLE_ROOM + row * (height + TITLE_ROOM + AXIS_ROOM), w, height)
                )
            )
        rows = -(-len(planes) // columns)
        top += rows * (height + TITLE_ROOM + AXIS_ROOM) + 4
    total = LEFT + columns * w + (columns - 1) * (GAP + LEFT) + RIGHT
    return slices, max(total, 360), top, scale


def _shape_of(scene: Scene, axis: int) -> tuple[int, int]:
    z, y, x = scene.pyramid.shape
    return (y, x) if axis == 0 else (z, x)


def _title(scene: Scene, s: _Slice) -> str:
    plane, normal = ("x-y", "z") if s.axis == 0 else ("x-z", "y")
    n = scene.pyramid.shape[s.axis]
    return f"{plane}, {normal} = {s.center:g} of {n}"


def _heading(scene: Scene, look: Look, width: int) -> list[Shape2D]:
    """Write name and number of particles, and what the gray means."""
    room = width - LEFT - RIGHT
    counted = ""
    if scene.picks is not None:
        n = len(scene.picks)
        counted = f": {n} particle{'s' * (n != 1)}"
    elif scene.truth is None:
        counted = ": no picks yet"
    name = shortened(scene.name, LARGE, room - text_width(counted, LARGE))
    size = f"voxels of {angstrom(scene.voxel_size)}" if scene.voxel_size else "voxels of unknown size"
    facts = [f"{by(scene.pyramid.shape)} {size} (z, y, x)"]
    if scene.shows != "tomogram":
        facts.insert(0, scene.shows)
    if scene.voxel_size:
        facts.append(f"mean of {nanometers(_true_thickness(scene, look))}")
        if look.gaussian:
            facts.append(f"smoothed by {nanometers(look.gaussian)}")
    return [
        Label(LEFT, 24, name + counted, LARGE, INK),
        Label(LEFT, 50, shortened(", ".join(facts), NORMAL, room), NORMAL, FAINT),
    ]


def _true_thickness(scene: Scene, look: Look) -> float:
    """Give the thickness of an x-y slice in nm: whole planes."""
    edge = scene.pyramid.voxel_size[0] / 10
    return float(f"{max(1, round(look.thickness / edge)) * edge:.2g}")


def _drawn_marks(scene: Scene, s: _Slice, thickness: float) -> list[Shape2D]:
    """Draw the particles that a slice cuts."""
    shapes: list[Shape2D] = []
    across = [a for a in range(3) if a != s.axis]
    n = _shape_of(scene, s.axis)
    styles = strokes(scene.classes)
    pixels = (s.box.height / n[0], s.box.width / n[1])
    per_angstrom = pixels[1] / scene.pyramid.voxel_size[2]
    for marks in (scene.picks, scene.truth):
        if marks is None:
            continue
        rows, radii = marks.cut(s.axis, s.center, thickness, scene.pyramid.voxel_size)
        width = 1.8 if len(rows) < 400 else 1.3
        # Large ones first: a small circle inside of a large one stays visible.
        for k in np.argsort(-radii, kind="stable").tolist():
            at = marks.positions[rows[k]]
            y = s.box.y + (at[across[0]] + 0.5) * pixels[0]
            x = s.box.x + (at[across[1]] + 0.5) * pixels[1]
            stroke = styles[str(marks.classes[rows[k]])]
            if marks is scene.truth:
                shapes += cross(x, y, 5, stroke.color, s.box)
            else:
                shapes += ring(x, y, max(2.5, radii[k] * per_angstrom), stroke, width, s.box)
    return shapes


def _where_others_lie(scene: Scene, s: _Slice, slices: list[_Slice]) -> list[Shape2D]:
    """Mark at the right edge where the slices of the other direction lie."""
    normal = 1 - s.axis
    n = scene.pyramid.shape[normal]
    return [
        Line((s.box.right + 2, y), (s.box.right + 8, y), INK, 2.0)
        for other in slices
        if other.axis == normal
        for y in [s.box.y + (other.center + 0.5) * s.box.height / n]
    ]


def _foot(scene: Scene, width: int, top: float, scale: float) -> tuple[list[Shape2D], float]:
    """Draw scale bar, legend and a line that explains; gives where they end."""
    room = width - LEFT - RIGHT
    shapes: list[Shape2D] = []
    if scene.voxel_size:
        widest = (width - LEFT - RIGHT) / scale / 10
        length = scale_bar_length(min(widest, scene.pyramid.extent[2] / 10))
        shapes += scale_bar(LEFT, top + ROW / 2, length * 10 * scale, nanometers(length))
        top += ROW + 4
    styles = strokes(scene.classes)
    entries = []
    for marks, is_cross in ((scene.picks, False), (scene.truth, True)):
        if marks is not None:
            what = "truth, " if is_cross else ""
            entries += [
                Entry(f"{what}{name} ({marks.count(name)})", styles[name], is_cross) for name in scene.classes
            ]
    drawn, height = legend(entries, LEFT, top, room)
    shapes += drawn
    top += height
    notes = []
    if scene.picks is not None and len(scene.picks):
        notes.append("circles: where the slice cuts spheres of the particles' size")
        if not scene.is_size_known:
            usual = (
                nanometers(UNKNOWN_DIAMETER / 10)
                if scene.voxel_size
                else f"{UNKNOWN_DIAMETER_VOXELS:g} voxels"
            )
            notes[0] += f" (where it is not known, the median of the class or {usual})"
    notes.append("marks at the right edges: where the other slices lie")
    for note in notes:
        shapes.append(Label(LEFT, top + 10, shortened(note, SMALL, room), SMALL, FAINT))
        top += 17
    return shapes, top + 8
