"""RELION STAR: written as RELION 5 reads it, read as RELION 3, 4, 5 and Warp write it.

RELION 5 counts positions in A from the tomogram's center, which is index ``n / 2`` on an axis of ``n`` voxels
(``particle_set.cpp``, ``tomogram_set.cpp``); its own Python pickers use ``n / 2 - 1``. Older dialects count pixels from the
first one, in pixels that the optics group, the row or the magnification tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError, InputError, NeedsGridError
from deepict_dask.io.tables.columns import (
    CLASS_COLUMNS,
    TOMOGRAM_COLUMNS,
    TableContext,
    first_of,
    grid_as_json,
    grid_from_json,
    numbers,
    other_column,
    require,
)
from deepict_dask.io.tables.star_text import Block, read_star, write_star
from deepict_dask.particles import Particles, VoxelGrid

NAME, SCORE = "rlnTomoName", "rlnAutopickFigureOfMerit"
CENTERED = ("rlnCenteredCoordinateZAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateXAngst")
COORDINATES = ("rlnCoordinateZ", "rlnCoordinateY", "rlnCoordinateX")
_SHIFTS = ("rlnOriginZ", "rlnOriginY", "rlnOriginX")
_SHIFTS_ANGSTROM = ("rlnOriginZAngst", "rlnOriginYAngst", "rlnOriginXAngst")
# Which pixels coordinates are counted in, the most telling first.
PIXELS = ("rlnTomoTiltSeriesPixelSize", "rlnMicrographPixelSize", "rlnPixelSize", "rlnImagePixelSize")
CLASS_NUMBER = "rlnClassNumber"
_NOTE = "what RELION does not ask: "
_ANGLES = {"rot": "rlnAngleRot", "tilt": "rlnAngleTilt", "psi": "rlnAnglePsi"}
# Columns that are in the positions that were read, or that say what is in another block.
UNDERSTOOD = (*CENTERED, *COORDINATES, *_SHIFTS, *_SHIFTS_ANGSTROM, *PIXELS, SCORE, "rlnOpticsGroup")


def write(particles: Particles, path: Path) -> None:
    """Write one block ``particles``: tomogram, centered positions in A, mean probability, angles if known.

    Raises
    ------
    NeedsGridError
        If the voxel size or the shape of a tomogram is not known.
    """
    names = particles["tomogram"]
    centered = np.empty((len(particles), 3))
    for name in (particles.names("tomogram") or [particles.tomogram]) if len(particles) else ():
        rows = names == name
        size, shape = _grid(particles.grid_of(name), name, "written")
        centered[rows] = (particles.positions[rows] - np.asarray(shape) / 2) * np.asarray(size)
    columns: dict[str, list[str]] = {NAME: [str(name) for name in names.tolist()]}
    for name, values in zip(reversed(CENTERED), centered.T[::-1], strict=True):
        columns[name] = [repr(float(v)) for v in values]
    if not np.isnan(particles.score).all() or not len(particles):
        columns[SCORE] = [repr(float(v)) for v in particles.score]
    for name, relion in _ANGLES.items():
        if name in particles.others:
            columns[relion] = [repr(float(v)) for v in particles.others[name]]
    classes = particles.names("class")
    if len(classes) > 1:
        numbers_of = {name: str(k) for k, name in enumerate(classes, start=1)}
        columns[CLASS_NUMBER] = [numbers_of[name] for name in particles["class"].tolist()]
    for name, values in particles.others.items():
        # Coordinates of another kind beside these would say two things of one particle.
        if name not in (*_ANGLES, *UNDERSTOOD, *columns) and re.fullmatch(r"[!-~]+", name):
            columns[name] = [str(value) for value in values.tolist()]
    grids = {name: particles.grid_of(name) for name in particles.names("tomogram")}
    write_star(path, {"particles": columns}, note_of(grids, classes))


def note_of(grids: Mapping[str, VoxelGrid], classes: Sequence[str], **more: str) -> str:
    """Give the comment that lets a table be read alone: what RELION has no place for in a table of particles."""
    voxels = {name: grid_as_json(grid) for name, grid in grids.items()}
    return _NOTE + json.dumps({"voxels": voxels, "classes": list(classes), **more})


def read(path: Path, context: TableContext) -> Particles:
    """Read the block that has coordinates.

    Raises
    ------
    FormatError
        If there is none or it holds something that is not a number.
    NeedsGridError
        If positions are counted from the center, or shifts given in A, and nothing says the voxels.
    """
    blocks = read_star(path)
    note = read_note(path)
    context = replace(context, grids={**note.grids, **(context.grids or {})})
    table = _particles(path, blocks)
    optics = next((b for name, b in blocks.items() if "rlnOpticsGroup" in b and b is not table), {})
    n = len(next(iter(table.values())))
    names = _names(table, TOMOGRAM_COLUMNS, context.tomogram, n)
    classes = _names(table, CLASS_COLUMNS, context.class_name, n)
    if len(note.classes) == 1 and CLASS_NUMBER not in table:
        classes = np.full(n, note.classes[0], object)
    elif note.classes:
        classes = np.array([dict(enumerate(note.classes, 1)).get(_whole(c), c) for c in classes], object)
    grids: dict[str, VoxelGrid] = {}
    if set(CENTERED) <= set(table):
        positions = np.stack([_column(path, table, name) for name in CENTERED], axis=1)
        for name in dict.fromkeys(names.tolist()):
            size, shape = _grid(context.grid_of(name), name, "read")
            positions[names == name] = positions[names == name] / np.asarray(size) + np.asarray(shape) / 2
            grids[name] = context.grid_of(name)
    else:
        positions = np.stack([_column(path, table, name) for name in COORDINATES], axis=1)
        pixel = _pixel_sizes(path, table, optics, n)
        positions -= _shifts(path, table, pixel, names, context)
        for name in dict.fromkeys(names.tolist()):
            grids[name] = _own_grid(path, pixel[names == name], name, context.grid_of(name))
    other_columns = {
        name: _column(path, table, column) for name, column in _ANGLES.items() if column in table
    }
    used = {*UNDERSTOOD, *TOMOGRAM_COLUMNS, *CLASS_COLUMNS, *_ANGLES.values()}
    other_columns |= {name: other_column(cells) for name, cells in table.items() if name not in used}
    score = {"score": _column(path, table, SCORE, np.nan)} if SCORE in table else {}
    one = next(iter(grids.values()), context.grid)
    return Particles.from_positions(
        positions,
        **score,
        tomogram=context.tomogram,
        class_name=context.class_name,
        tomograms=names,
        classes=classes,
        voxel_size=one.voxel_size,
        shape=one.shape,
        origin=one.origin,
        grids=grids if len(grids) > 1 else {},
        others=other_columns,
    )


@dataclass(frozen=True)
class Note:
    """What the comment in a table of this package says.

    Attributes
    ----------
    grids : mapping of str to VoxelGrid
        The voxels of the tomograms.
    classes : tuple of str
        Names, in the order of their numbers.
    center : str
        Which center positions are counted from, where it is not RELION's own.
    """

    grids: Mapping[str, VoxelGrid] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    center: str = ""


def read_note(path: Path) -> Note:
    """Read the comment of a table of this package; nothing where there is none, or it was edited."""
    with path.open(encoding="utf-8-sig") as file:
        head = [line[2:] for line in islice(file, 5) if line.startswith("# " + _NOTE)]
    try:
        note = json.loads(head[0][len(_NOTE) :])
        voxels = {name: grid_from_json(grid) for name, grid in note["voxels"].items()}
        classes = tuple(str(name) for name in note["classes"])
        return Note(voxels, classes, str(note.get("center", "")))
    except (IndexError, KeyError, ValueError, TypeError, AttributeError):
        return Note()  # not of ours, or edited: as if nobody said


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _particles(path: Path, blocks: Mapping[str, Block]) -> Block:
    tables = {name: b for name, b in blocks.items() if set(COORDINATES) <= set(b) or set(CENTERED) <= set(b)}
    if not tables:
        if not blocks:
            raise FormatError(f"{path} is not a STAR file; give one with {', '.join(reversed(COORDINATES))}")
        require(path, tuple(reversed(COORDINATES)), [str(c) for b in blocks.values() for c in b])
    return tables.get("particles", next(iter(tables.values())))


def _column(path: Path, table: Block, name: str, empty: float | None = None) -> np.ndarray:
    return numbers(path, name, table[name], lambda k: f"row {k + 1}", empty=empty)


def _names(table: Block, usual: tuple[str, ...], default: str, n: int) -> np.ndarray:
    column = first_of(usual, table)
    return np.array(table[column], object) if column is not None else np.full(n, default, object)


def _grid(grid: VoxelGrid, name: str, what: str) -> tuple[Any, Any]:
    missing = [
        word for word, value in (("voxel size", grid.voxel_size), ("shape", grid.shape)) if value is None
    ]
    if missing:
        raise NeedsGridError(
            f"positions in RELION 5's form are counted from the center of the tomogram in A, so they cannot be {what} without "
            f"its {' and '.join(missing)} (of {name or 'the tomogram'}); use a CSV table, or one beside its .json file"
        )
    return grid.voxel_size, grid.shape


def _pixel_sizes(path: Path, table: Block, optics: Block, n: int) -> np.ndarray:
    """Give the edge in A of the pixels that each row counts; NaN where nothing says."""
    of_optics = np.full(n, np.nan)
    name = first_of(PIXELS, optics)
    if name is not None:
        sizes = dict(zip(optics["rlnOpticsGroup"], _column(path, optics, name), strict=True))
        groups = table.get("rlnOpticsGroup", [next(iter(sizes))] * n if len(sizes) == 1 else [])
        if len(groups) == n:
            of_optics = np.array([sizes.get(group, np.nan) for group in groups])
    pixel_column = first_of(PIXELS, table)
    if name is not None and (pixel_column is None or PIXELS.index(name) <= PIXELS.index(pixel_column)):
        return of_optics
    if pixel_column is not None:
        return _column(path, table, pixel_column, np.nan)
    if {"rlnDetectorPixelSize", "rlnMagnification"} <= set(table):
        # Micrometers on the detector.
        detector, magnification = (
            _column(path, table, c) for c in ("rlnDetectorPixelSize", "rlnMagnification")
        )
        return detector * 1e4 / magnification
    return of_optics


def _shifts(
    path: Path, table: Block, pixel: np.ndarray, names: np.ndarray, context: TableContext
) -> np.ndarray:
    """Give what refinement has found that positions are off by, in pixels."""
    n = len(names)
    if set(_SHIFTS_ANGSTROM) & set(table):
        angstrom = np.stack(
            [_column(path, table, c, 0.0) if c in table else np.zeros(n) for c in _SHIFTS_ANGSTROM], axis=1
        )
        if not angstrom.any():
            return angstrom
        edges = np.stack([pixel] * 3, axis=1)
        for name in dict.fromkeys(names.tolist()):
            if (size := context.grid_of(name).voxel_size) is not None:
                rows = (names == name) & np.isnan(pixel)
                edges[rows] = size
        if np.isnan(edges).any():
            raise NeedsGridError(
                f"{path} gives shifts in A ({', '.join(c for c in _SHIFTS_ANGSTROM if c in table)}) and nothing says the "
                "pixel size that positions are counted in; give it with --voxel-size (in A)"
            )
        return angstrom / edges
    return np.stack([_column(path, table, c, 0.0) if c in table else np.zeros(n) for c in _SHIFTS], axis=1)


def _own_grid(path: Path, pixel: np.ndarray, name: str, grid: VoxelGrid) -> VoxelGrid:
    """Give the voxels that positions are counted in: what the file says, else what is known."""
    sizes = sorted(set(pixel[np.isfinite(pixel)].tolist()))
    if len(sizes) > 1 and not np.allclose(sizes, sizes[0], rtol=1e-4):
        raise InputError(
            f"{path} counts positions of {name or 'one tomogram'} in pixels of {sizes[0]:g} and {sizes[-1]:g} A; split it by "
            "optics group"
        )
    if not sizes or not sizes[0] > 0:
        return grid
    size = (sizes[0],) * 3
    same = grid.voxel_size is not None and np.allclose(grid.voxel_size, size, rtol=1e-3)
    return VoxelGrid(size, grid.shape if same else None, grid.origin)
