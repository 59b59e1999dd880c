"""IMOD models (``.mod``) and the points that ``point2model`` takes.

Coordinates are voxels, x, y, z, and IMOD's model of the center of the first voxel is (0.5, 0.5, 0): edges count in x and y, sections in
z (IMOD's guide and MATLAB tools; ``imodImage``). ``--first-voxel 0`` writes x and y from 0 too. A model has an object of
scattered points for each class; a file of points has ``object contour x y z`` per line. Scores and angles have no place.

References
----------
https://bio3d.colorado.edu/imod/doc/binspec.html: big-endian; header of 232 bytes, objects of 176, contours of 16.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.exchange.companions import class_names, write_companions
from deepict_dask.io.exchange.export import ANY_CLASS, Export, decimals
from deepict_dask.io.exchange.reading import Reading
from deepict_dask.io.exchange.table import on_frames, stated_edge
from deepict_dask.particles import Particles, VoxelGrid, join

MODEL_END, POINTS_END = ".mod", "_points.txt"
_CENTER = np.array([0.0, 0.5, 0.5])  # of the first voxel, (z, y, x)
_HEADER = struct.Struct(">128s4iI4i6f5if2i3f")
_OBJECT = struct.Struct(">64s16Ii I2i 3f i 8B 2i".replace(" ", ""))
_CONTOUR = struct.Struct(">iI2i")
_MAGIC = b"IMODV1.2"
_COLORS = (
    (0.0, 1.0, 0.0),
    (0.0, 0.6, 1.0),
    (1.0, 0.4, 0.7),
    (1.0, 0.8, 0.2),
    (0.7, 0.5, 1.0),
    (1.0, 0.4, 0.2),
)
# Open contours are scattered points: not joined, drawn as spheres of pdrawsize voxels.
_SCATTERED, _OPEN = 1 << 9, 1 << 3


def write_models(export: Export, folder: Path) -> None:
    """Write ``NAME.mod`` for each tomogram; spheres have ``--diameter``, or a radius of 5 voxels."""
    for frame, particles in export.parts():
        objects = list(export.by_class(particles))
        shape = frame.grid.shape or (0, 0, 0)
        size = frame.grid.voxel_size
        edge = 1.0 if size is None else float(size[2])
        diameter = export.details.diameter
        radius = 5 if diameter is None or size is None else max(1, round(diameter / edge / 2))
        # Units are powers of ten of a meter; -10 is A, 0 pixels.
        header = _HEADER.pack(
            b"deepict_dask", shape[2], shape[1], shape[0], len(objects), 0, 1, 2, 0, 255,
            0, 0, 0, 1, 1, 1, 0, 0, -1, 3, 128, edge, 0 if size is None else -10, 0, 0, 0, 0,
        )  # fmt: skip
        with (folder / f"{frame.name}{MODEL_END}").open("wb") as file:
            file.write(_MAGIC + header)
            for place, (name, _, chosen) in enumerate(objects):
                points = chosen.positions + _center(export.geometry.first_voxel_or(np.nan))
                file.write(_object(name, _COLORS[place % len(_COLORS)], radius))
                file.write(b"CONT" + _CONTOUR.pack(len(points), 0, 0, 0))
                file.write(points[:, ::-1].astype(">f4").tobytes())
            file.write(b"IEOF")


def _object(name: str, color: tuple[float, float, float], radius: int) -> bytes:
    """Give the head of an object of one contour of scattered points."""
    unused, symbols = [0] * 16, (1, 3, 1, 1, 0, 0, 0, 0)
    values = (name.encode()[:63], *unused, 1, _SCATTERED | _OPEN, 0, 1, *color, radius, *symbols, 0, 0)
    return b"OBJT" + _OBJECT.pack(*values)


def write_points(export: Export, folder: Path) -> None:
    """Write ``NAME_points.txt`` for each tomogram: ``object contour x y z``, as ``point2model -input`` reads it."""
    for frame, particles in export.parts():
        with (folder / f"{frame.name}{POINTS_END}").open("w", encoding="ascii") as file:
            for _, number, chosen in export.by_class(particles):
                points = chosen.positions + _center(export.geometry.first_voxel_or(np.nan))
                z, y, x = (decimals(column) for column in points.T)
                file.writelines(f"{number} 1 {a} {b} {c}\n" for a, b, c in zip(x, y, z, strict=True))
    write_companions(export, folder, tomograms=False)


def _center(first: float) -> np.ndarray:
    return _CENTER if np.isnan(first) else np.full(3, first)


def read_models(path: Path, reading: Reading) -> Particles:
    """Read a model, or all of a folder; the tomogram is called as the file, classes as the objects.

    Raises
    ------
    FormatError
        If it is no IMOD model, or is cut.
    """
    if path.is_dir():
        return _all(path, f"*{MODEL_END}", read_models, reading)
    positions, names, size = [], [], VoxelGrid()
    for item in _model(reading.opening(path)):
        if isinstance(item, _Model):
            size = item.grid
            continue
        name, points = item
        positions.append(points)
        names += [name] * len(points)
    points = np.concatenate(positions) if positions else np.zeros((0, 3))
    points = points - _center(reading.geometry.first_voxel_or(np.nan))
    classes = np.array(names, object)
    if set(names) <= {"", ANY_CLASS}:
        classes = np.full(len(names), reading.class_name, object)
    return _of_file(path.name.removesuffix(MODEL_END), points, classes, reading, size)


def read_points(path: Path, reading: Reading) -> Particles:
    """Read points, or all files ``*_points.txt`` of a folder: 3 to 5 numbers per line, x, y and z being the last.

    Raises
    ------
    FormatError
        If a line is something else.
    """
    if path.is_dir():
        return _all(path, f"*{POINTS_END}", read_points, reading)
    rows, numbers = [], []
    for k, line in enumerate(reading.text(path).splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        try:
            x, y, z = (float(cell) for cell in cells[-3:])
            numbers.append(int(cells[0]) if len(cells) == 5 else 1)
            if len(cells) not in (3, 4, 5) or not np.isfinite([x, y, z]).all():
                raise ValueError
        except ValueError:
            raise FormatError(
                f"{path} holds {line!r:.80} in line {k}, where [object] [contour] x y z belong (3 to 5 numbers)"
            ) from None
        rows.append((z, y, x))
    classes = class_names(path, np.array(numbers, np.int64), reading)
    points = np.array(rows, np.float64).reshape(-1, 3) - _center(reading.geometry.first_voxel_or(np.nan))
    return _of_file(
        path.name.removesuffix(POINTS_END).removesuffix(".txt"), points, classes, reading, VoxelGrid()
    )


def _all(folder: Path, pattern: str, read, reading: Reading) -> Particles:  # type: ignore[no-untyped-def]
    files = sorted(folder.glob(pattern))
    if not files:
        raise InputError(f"{folder} holds no {pattern}; give a file, or a folder of them")
    return join([read(file, reading) for file in files])


def _of_file(
    name: str, points: np.ndarray, classes: np.ndarray, reading: Reading, grid: VoxelGrid
) -> Particles:
    tomograms = np.full(len(points), name, object)
    score = np.full(len(points), np.nan)
    return on_frames(points, tomograms, classes, score, {}, replace(reading, tomogram=name), {name: grid})


@dataclass(frozen=True)
class _Model:
    grid: VoxelGrid


def _model(path: Path) -> Iterator[_Model | tuple[str, np.ndarray]]:
    """Give what the header says, then name and points (z, y, x) of each contour."""
    data = path.read_bytes()
    if not data.startswith(b"IMODV1."):
        raise FormatError(f"{path} is no IMOD model; give a .mod file")
    try:
        header = _HEADER.unpack_from(data, 8)
        n_x, n_y, n_z = header[1:4]
        # The shortest number that is this float32: 13.48, not 13.479999542.
        pixel, units = float(str(np.float32(header[21]))), header[22]
        meters = {0: 0.0, -10: 1.0, -9: 10.0}.get(units, 0.0)
        size = stated_edge(path, "", np.array([float(f"{pixel * meters:.9g}")])).voxel_size
        yield _Model(VoxelGrid(size, (n_z, n_y, n_x) if min(n_x, n_y, n_z) > 0 else None))
        at, name = 8 + _HEADER.size, ""
        while (word := data[at : at + 4]) != b"IEOF":
            at += 4
            if word == b"OBJT":
                name = _OBJECT.unpack_from(data, at)[0].split(b"\0")[0].decode("utf-8", "replace")
                at += _OBJECT.size
            elif word == b"CONT":
                n = _CONTOUR.unpack_from(data, at)[0]
                at += _CONTOUR.size
                points = np.frombuffer(data, ">f4", 3 * n, at).reshape(-1, 3).astype(np.float64)
                at += 12 * n
                yield name, points[:, ::-1]
            elif word == b"MESH":
                n_vertices, n_indices = struct.unpack_from(">2i", data, at)
                at += 16 + 12 * n_vertices + 4 * n_indices
            elif len(word) == 4:
                at += 4 + struct.unpack_from(">i", data, at)[0]
            else:
                raise ValueError("it ends before IEOF")
    except (struct.error, ValueError) as error:
        raise FormatError(f"{path} is a damaged IMOD model ({error})") from None
