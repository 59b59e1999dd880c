"""RELION 5, 4 and 3.1, and Warp, WarpTools and M, which read RELION's tables.

==========  ===========================  ==============================================================================
format      positions                    source
==========  ===========================  ==============================================================================
relion5     A from the tomogram's center  ``particle_set.cpp`` (``getParticleCoordDecenteredPixel``), ``tomogram_set.cpp``
relion4     pixels of the tilt series     the same, "backwards compatibility with relion-4"
relion31    voxels of the tomogram        RELION 3.1 after subtomogram extraction; ``rlnImagePixelSize`` says their size
warp        voxels of the tomogram        WarpTools, tomogram_particle_files.md: "starting from zero at the center of the first voxel"
==========  ===========================  ==============================================================================

All are x, y, z, and the center of the first voxel or pixel is 0. RELION's center is index ``n / 2``; its own pickers write
``n / 2 - 1`` (``get_particle_poses/particles.py``), which is ``--relion-center half-minus-one``. Angles are RELION's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.exchange.export import Export, decimals
from deepict_dask.io.exchange.frame import Frame, Series
from deepict_dask.io.exchange.orientation import ANGLES, angles_of
from deepict_dask.io.exchange.reading import Reading
from deepict_dask.io.exchange.tomograms_star import file_of_project, read_tomograms, write_tomograms
from deepict_dask.io.tables import star
from deepict_dask.io.tables.columns import TableContext
from deepict_dask.io.tables.star_text import loop_head, loop_rows, read_star, star_head, write_star
from deepict_dask.particles import Particles, VoxelGrid, join

Dialect = Literal["relion5", "relion4", "relion31", "warp"]
PARTICLES, TOMOGRAMS, OPTIMISATION = "particles.star", "tomograms.star", "optimisation_set.star"
TOMOSTAR = ".tomostar"
_RLN_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_PARTICLE, _SUBSET, _GROUP = "rlnTomoParticleName", "rlnRandomSubset", "rlnOpticsGroup"
_SET_PARTICLES, _SET_TOMOGRAMS = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"
# Of our own columns, the ones that RELION has a label for.
_LABELS = {
    "tilt_prior": "rlnAngleTiltPrior",
    "psi_prior": "rlnAnglePsiPrior",
    "filament": "rlnHelicalTubeID",
    "track_length_angstrom": "rlnHelicalTrackLengthAngst",
}
_GROUP_SIZE = {"relion4": "rlnTomoTiltSeriesPixelSize", "relion31": "rlnImagePixelSize"}


def write_relion5(export: Export, folder: Path) -> None:
    """Write ``particles.star``, ``optimisation_set.star`` and, unless the project's own was given, ``tomograms.star``.

    Particles of odd and even rows are the two random halves, except where the table says them or filaments must stay together.
    """
    _write(export, folder, "relion5")
    # RELION starts paths from its project, wherever that is: so they are absolute.
    below = f"{export.place}/" if export.place else ""
    tomograms = export.details.tomograms_star or below + TOMOGRAMS
    if not export.details.tomograms_star:
        write_tomograms(export.frames, folder / TOMOGRAMS)
    columns = {_SET_PARTICLES: [below + PARTICLES], _SET_TOMOGRAMS: [tomograms]}
    write_star(folder / OPTIMISATION, {"optimisation_set": columns})


def write_relion4(export: Export, folder: Path) -> None:
    """Write ``particles.star`` with an optics group per pixel size; positions in pixels of the tilt series."""
    _write(export, folder, "relion4")


def write_relion31(export: Export, folder: Path) -> None:
    """Write ``particles.star`` with an optics group per voxel size; positions in voxels of the tomogram."""
    _write(export, folder, "relion31")


def write_warp(export: Export, folder: Path) -> None:
    """Write ``particles.star`` of one block, tomograms named ``NAME.tomostar``; positions in voxels of the tomogram.

    WarpTools wants the voxel size as ``--coords_angpix``.
    """
    _write(export, folder, "warp")


@dataclass(frozen=True)
class _Columns:
    """What differs between the dialects."""

    dialect: Dialect
    groups: dict[str, int]

    @property
    def is_tomo(self) -> bool:
        return self.dialect in ("relion5", "relion4")

    @property
    def name(self) -> str:
        return star.NAME if self.is_tomo else "rlnMicrographName"

    @property
    def coordinates(self) -> tuple[str, ...]:
        return star.CENTERED if self.dialect == "relion5" else star.COORDINATES

    def size(self, frame: Frame) -> str:
        """Give the pixel size by which a tomogram belongs to an optics group."""
        edge = frame.pixel_size if self.dialect == "relion4" else frame.cubic("RELION 3.1")
        return decimals(np.array([edge]))[0]


def _write(export: Export, folder: Path, dialect: Dialect) -> None:
    columns = _Columns(dialect, {})
    optics: dict[str, list[str]] = {}
    if dialect in _GROUP_SIZE:
        sizes = sorted({columns.size(frame) for frame in export.frames}, key=float)
        columns = _Columns(dialect, {size: k for k, size in enumerate(sizes, start=1)})
        optics = {
            _GROUP: [str(k) for k in columns.groups.values()],
            "rlnOpticsGroupName": [f"opticsGroup{k}" for k in columns.groups.values()],
            _GROUP_SIZE[dialect]: sizes,
        }
    grids = {frame.name: frame.grid for frame in export.frames}
    center = {} if export.geometry.center == "half" else {"center": export.geometry.center}
    with (folder / PARTICLES).open("w", encoding="utf-8") as file:
        file.write(star_head(star.note_of(grids, export.classes, **center)))
        if optics:
            file.write(loop_head("optics", list(optics)) + loop_rows(optics) + "\n")
        is_open = False
        for frame, particles in export.parts():
            rows = _rows(export, frame, particles, columns)
            if not is_open:
                file.write(loop_head("" if dialect == "warp" else "particles", list(rows)))
                is_open = True
            file.write(loop_rows(rows))
        file.write("\n")


def _rows(export: Export, frame: Frame, particles: Particles, columns: _Columns) -> dict[str, list[str]]:
    """Give the columns of one tomogram as text."""
    n, other_columns = len(particles), particles.others
    positions = {
        "relion5": lambda: frame.centered(particles.positions, export.geometry.center),
        "relion4": lambda: frame.unbinned(particles.positions),
    }.get(columns.dialect, lambda: particles.positions)()
    name = frame.name + (TOMOSTAR if columns.dialect == "warp" else "")
    rows: dict[str, list[str]] = {columns.name: [name] * n}
    if columns.is_tomo:
        rows[_PARTICLE] = _particle_names(frame.name, other_columns.get(_PARTICLE), n)
    for column, values in zip(reversed(columns.coordinates), positions.T[::-1], strict=True):
        rows[column] = decimals(values)
    if columns.dialect == "warp":
        rows["rlnPixelSize"] = [decimals(np.array([frame.cubic("Warp")]))[0]] * n
    if export.has_angles:
        angles = angles_of(_with(particles, export, ANGLES))
        for column, values in zip(_RLN_ANGLES, angles.T, strict=True):
            rows[column] = decimals(values)
        if export.details.angles_as_priors:
            rows["rlnAngleTiltPrior"], rows["rlnAnglePsiPrior"] = (decimals(v) for v in angles.T[1:])
    elif export.details.angles_as_priors:
        raise InputError(
            "the tables have no rot, tilt and psi that could be priors; leave out --angles-as-priors"
        )
    for column, label in _LABELS.items():
        if column in export.columns and label not in rows:
            rows[label] = _text(other_columns.get(column), n)
    if columns.is_tomo:
        rows[_SUBSET] = _halves(particles, other_columns.get(_SUBSET), n)
    if columns.groups:
        rows[_GROUP] = [str(columns.groups[columns.size(frame)])] * n
    if len(export.classes) > 1:
        rows[star.CLASS_NUMBER] = [str(k) for k in _class_numbers(export, particles)]
    if export.has_scores:
        rows[star.SCORE] = decimals(particles.score)
    understood = {
        *ANGLES,
        *_LABELS,
        *rows,
        *star.UNDERSTOOD,
        _PARTICLE,
        _SUBSET,
        star.NAME,
        "rlnMicrographName",
    }
    for column in sorted(export.columns - understood):
        if re.fullmatch(r"[!-~]+", column):
            rows[column] = _text(other_columns.get(column), n)
    return rows


def _class_numbers(export: Export, particles: Particles) -> list[int]:
    number = {name: k for k, name in enumerate(export.classes, start=1)}
    return [number[name] for name in particles["class"].tolist()]


def _particle_names(tomogram: str, stated: np.ndarray | None, n: int) -> list[str]:
    """Name particles ``TOMOGRAM/1`` and so on; names of before stay where they are all of this tomogram."""
    if stated is not None:
        names = [str(name) for name in stated.tolist()]
        if all(name.startswith(f"{tomogram}/") for name in names):
            return names
    return [f"{tomogram}/{k}" for k in range(1, n + 1)]


def _halves(particles: Particles, stated: np.ndarray | None, n: int) -> list[str]:
    """Give the random half of each particle, 1 or 2; particles of one filament are in the same one."""
    if stated is not None and all(str(half) in ("1", "2") for half in stated.tolist()):
        return [str(half) for half in stated.tolist()]
    tube = particles.others.get("filament", particles.others.get("rlnHelicalTubeID"))
    place: Sequence[Any] = range(n)
    if tube is not None:
        numbers: dict[Any, int] = {}
        place = [numbers.setdefault(one, len(numbers)) for one in tube.tolist()]
    return [str(k % 2 + 1) for k in place]


def _text(values: np.ndarray | None, n: int) -> list[str]:
    return ["nan"] * n if values is None else [str(value) for value in values.tolist()]


def _with(particles: Particles, export: Export, names: Sequence[str]) -> Particles:
    """Give columns that other tables have and this one has not."""
    missing = {name: np.full(len(particles), np.nan) for name in names if name not in particles.others}
    return replace(particles, others={**particles.others, **missing}) if missing else particles


def read(path: Path, reading: Reading) -> Particles:
    """Read a table of any dialect; positions become voxels of the tomogram.

    What the table says of its pixels holds; where the voxel size of the tomogram is another one (``--voxel-size``, the
    comment of an export, ``--tomograms``), positions are expressed in it. Names lose ``.tomostar``. Of an optimisation set the
    particles that it names are read, with the tomograms that it names unless ``--tomograms`` says others.

    Raises
    ------
    FormatError
        If it is no such table.
    NeedsGridError
        If nothing says what positions are counted in.
    """
    path, reading = _of_set(path, reading)
    geometry, note = reading.geometry, star.read_note(reading.opening(path))
    center = geometry.center if geometry.center != "half" or not note.center else note.center
    grids = {
        name: geometry.frame(name, note.grids.get(name, VoxelGrid())).grid
        for name in {*note.grids, *geometry.series}
    }
    context = TableContext(reading.tomogram, reading.class_name, geometry.frame("", VoxelGrid()).grid, grids)
    particles = _without_tomostar(star.read(path, context))
    blocks = read_star(path)
    columns = {column for block in blocks.values() for column in block}
    if set(star.CENTERED) <= columns:
        if center == "half":
            return particles
        return _each(particles, lambda frame, p: p - frame.pixel_size / frame.voxel_size, reading, note.grids)
    says_pixels = bool(columns & {*star.PIXELS, "rlnDetectorPixelSize"})

    def in_voxels(frame: Frame, positions: np.ndarray) -> np.ndarray:
        counted = particles.grid_of(frame.name).voxel_size if says_pixels else None
        pixel = counted[2] if counted is not None else frame.series.pixel_size
        if pixel is None or frame.grid.voxel_size is None or np.allclose(frame.voxel_size, pixel, rtol=1e-6):
            return positions
        series = frame.series
        if series.pixel_size is None or not np.isclose(series.pixel_size, pixel, rtol=1e-6):
            series = Series(
                frame.name, pixel
            )  # pixels of another size, of which no project says how many there are
        reading.say(
            f"positions of {frame.name or 'the tomogram'} are counted in pixels of {pixel:g} A and were converted to voxels of "
            f"{' x '.join(dict.fromkeys(f'{e:g}' for e in frame.voxel_size))} A"
        )
        return replace(frame, series=series).from_unbinned(positions)

    return _each(particles, in_voxels, reading, note.grids)


def _of_set(path: Path, reading: Reading) -> tuple[Path, Reading]:
    """Give the table of particles that an optimisation set names, and its tomograms; another table as it is."""
    columns = {name: cells for block in read_star(path).values() for name, cells in block.items()}
    if _SET_PARTICLES not in columns:
        return path, reading
    reading.opening(path)
    particles = file_of_project(path, columns[_SET_PARTICLES][0])
    if not particles.is_file():
        raise MissingFileError(
            f"{path} names the particles {particles}, which are not there; give their table itself"
        )
    reading.say(f"{path.name} names the particles {particles}, which were read")
    named = columns.get(_SET_TOMOGRAMS, [""])[0]
    if reading.geometry.series or not named:
        return particles, reading
    tomograms = file_of_project(path, named)
    series = read_tomograms(reading.opening(tomograms))
    return particles, replace(reading, geometry=replace(reading.geometry, series=series))


def _each(particles: Particles, change: Any, reading: Reading, grids: Any) -> Particles:
    """Change the positions of each tomogram, which is then on the grid that is known of it."""
    parts = []
    for name in particles.names("tomogram") or [particles.tomogram]:
        part = particles.of_tomogram(name) if name else particles
        frame = reading.geometry.frame(name, grids.get(name, VoxelGrid()))
        z, y, x = change(frame, part.positions).T
        grid = frame.grid if frame.grid.voxel_size is not None else part.grid_of(name)
        parts.append(
            replace(part, z=z, y=y, x=x, voxel_size=grid.voxel_size, shape=grid.shape, origin=grid.origin)
        )
    return join(parts) if len(parts) > 1 else parts[0]


def _without_tomostar(particles: Particles) -> Particles:
    if not any(name.endswith(TOMOSTAR) for name in particles.names("tomogram")):
        return particles
    names = [name.removesuffix(TOMOSTAR) for name in particles["tomogram"].tolist()]
    grids = {name.removesuffix(TOMOSTAR): grid for name, grid in particles.grids.items()}
    return replace(particles, tomogram="", tomograms=np.array(names, object), grids=grids)
