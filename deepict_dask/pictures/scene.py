"""What a picture shows: a tomogram and the particles in it, found in a run folder or named one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_own_image
from deepict_dask.io.source import open_source
from deepict_dask.io.tables import split_name
from deepict_dask.io.tables.files import Table, find_tables
from deepict_dask.particles import VoxelGrid, join
from deepict_dask.pictures.marks import (
    UNKNOWN_DIAMETER,
    UNKNOWN_DIAMETER_VOXELS,
    Marks,
    known_radii,
    marks_of,
    radii_of,
)
from deepict_dask.pictures.planes import Pyramid
from deepict_dask.tomogram import Grid, VoxelSize

NAMELESS = "particle"
"""What is written for a class that has no name."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A tomogram and what was found in it.

    Attributes
    ----------
    name : str
        Of the tomogram.
    shows : str
        Of its images: ``tomogram``, ``equalized``, ``probability`` and so on.
    pyramid : Pyramid
        Voxels to draw.
    voxel_size : (float, float, float) or None
        Of them, in A; None where it is not known, and lengths are in voxels.
    classes : tuple of str
        That are drawn, in order, also those of which there are no particles.
    picks : Marks or None
        None where there is no table.
    truth : Marks or None
        A second table to compare with.
    is_size_known : bool
        Whether it is known how large all picks are.
    levels : (float, float) or None
        Stored values of probability 0 and 1; None for a tomogram, whose contrast is chosen.
    padding : float or None
        Value of voxels that do not count for the contrast.
    """

    name: str
    shows: str
    pyramid: Pyramid
    voxel_size: VoxelSize | None
    classes: tuple[str, ...] = ()
    picks: Marks | None = None
    truth: Marks | None = None
    is_size_known: bool = True
    levels: tuple[float, float] | None = None
    padding: float | None = None


@dataclass(frozen=True)
class _Drawn:
    """The voxels of a scene, and where its tables are."""

    name: str
    shows: str
    pyramid: Pyramid
    grid: Grid
    own_grid: Grid
    folder: Location | None
    levels: tuple[float, float] | None = None
    padding: float | None = None


def open_scene(
    place: Location,
    *,
    image: str = "tomogram",
    particles: Location | None = None,
    truth: Location | None = None,
    classes: Sequence[str] | None = None,
    diameter: float | None = None,
) -> Scene:
    """Look at a tomogram of a run, or at any tomogram.

    Parameters
    ----------
    place : Location
        Folder of a tomogram in a run, an image in one, or any tomogram.
    image : str
        What is drawn of a folder: ``tomogram``, ``equalized``, ``rescaled``, ``probability``, or ``probability:CLASS`` for
        one of several classes.
    particles : Location, optional
        Table to draw; those in the folder unless given.
    truth : Location, optional
        Table to draw as crosses; only of classes that there are picks of, where there are any.
    classes : sequence of str, optional
        Which of them; all unless given.
    diameter : float, optional
        Of all particles in A; what their tables say unless given.

    Raises
    ------
    InputError
        If there is no such image, or no table names a class that is asked for.
    """
    drawn = _open(place, image)
    picked, true = _tables(particles or drawn.folder, drawn.name), _tables(truth, drawn.name)
    named = {table: _names(table) for table in [*(picked or ()), *(true or ())]}
    available = sorted({name for names in named.values() for name in names})
    for name in classes or ():
        if name not in available:
            raise InputError(
                f"{place} has no particles of class {name!r}; its tables name {', '.join(available) or 'no class'}"
            )
    if classes is None:
        of_picks = {name for table in picked or () for name in named[table]}
        of_truth = {name for table in true or () for name in named[table]}
        # Of a truth that holds all of a cell, what was looked for.
        classes = sorted(of_picks if of_picks & of_truth else of_picks | of_truth)
    picks = None if picked is None else _marks(picked, drawn, classes, diameter)
    truths = None if true is None else _marks(true, drawn, classes, diameter)
    sized = picks is None or bool(np.isfinite(picks.radii).all())
    usual = (UNKNOWN_DIAMETER if drawn.grid.voxel_size else UNKNOWN_DIAMETER_VOXELS) / 2
    picks, truths = (
        None if m is None else replace(m, radii=known_radii(m.radii, m.classes, usual))
        for m in (picks, truths)
    )
    return Scene(
        drawn.name,
        drawn.shows,
        drawn.pyramid,
        drawn.grid.voxel_size,
        tuple(classes),
        picks,
        truths,
        sized,
        drawn.levels,
        drawn.padding,
    )


def _open(place: Location, image: str) -> _Drawn:
    """Open the voxels."""
    own_image = open_own_image(place)
    if own_image is None and place.is_folder() and any(c.name.endswith(".zarr") for c in place.children()):
        name, _, class_name = image.partition(":")
        own_image = open_own_image(place / f"{name}.zarr")
        if own_image is None or not own_image.is_complete:
            complete = [c.name.removesuffix(".zarr") for c in place.children() if _is_complete(c)]
            raise InputError(
                f"{place} holds no complete {name}.zarr to draw; complete there: {', '.join(complete) or 'nothing'}"
            )
        channel = _channel(own_image, class_name)
        return _Drawn(
            own_image.name,
            image,
            Pyramid.of(own_image, channel),
            own_image.grid,
            own_image.own_grid,
            place,
            _levels(own_image),
            own_image.ignore_value,
        )
    if own_image is not None:
        if not own_image.is_complete:
            raise InputError(f"{own_image.path} was never finished; run the command that writes it again")
        channel = _channel(own_image, "")
        return _Drawn(
            own_image.name,
            own_image.kind,
            Pyramid.of(own_image, channel),
            own_image.grid,
            own_image.own_grid,
            place.parent,
            _levels(own_image),
            own_image.ignore_value,
        )
    source = open_source(place)
    grid = Grid(source.shape, source.voxel_size)
    return _Drawn(source.name, "tomogram", Pyramid.of_source(source), grid, grid, None)


def _is_complete(place: Location) -> bool:
    try:
        image = open_own_image(place)
    except InputError:
        return False
    return image is not None and image.is_complete


def _levels(image: Image) -> tuple[float, float] | None:
    if image.kind != "probability":
        return None
    return 0.0, 1 / float(image.attributes.get("scale") or 1.0)


def _channel(image: Image, class_name: str) -> int | None:
    if len(image.shape) == 3:
        if class_name and class_name not in image.classes:
            raise InputError(f"{image.path} has no class {class_name!r} to draw; leave :{class_name} out")
        return None
    if class_name not in image.classes:
        choice = f"no class {class_name!r}" if class_name else "several classes"
        raise InputError(
            f"{image.path} has {choice}; draw one of {', '.join(f'probability:{name}' for name in image.classes)}"
        )
    return image.classes.index(class_name)


def _tables(place: Location | None, tomogram: str) -> list[Table] | None:
    """Find the tables of a tomogram; None where there are none, or nowhere to look."""
    if place is None:
        return None
    if place.is_folder() and not any(split_name(child.name)[1] for child in place.children()):
        return None
    tables = find_tables(place)
    of_tomogram = [table for table in tables if table.tomogram == tomogram]
    # A table that says nothing of a tomogram is of the one that it is given for.
    of_tomogram = of_tomogram or [table for table in tables if not table.is_named]
    if not of_tomogram:
        names = ", ".join(sorted({table.tomogram for table in tables}))
        raise InputError(f"{place} has no particles of tomogram {tomogram!r}, but of {names}")
    return of_tomogram


def _names(table: Table) -> tuple[str, ...]:
    return table.classes or (NAMELESS,)


def _marks(tables: Sequence[Table], drawn: _Drawn, classes: Sequence[str], diameter: float | None) -> Marks:
    """Read tables, and put their particles over the voxels that are drawn."""
    own_size = drawn.own_grid.voxel_size
    factor = (1.0, 1.0, 1.0)
    if own_size is not None and drawn.grid.voxel_size is not None:
        # Tables count voxels of the tomogram as it came, and this image may have others.
        z, y, x = (a / b for a, b in zip(own_size, drawn.grid.voxel_size, strict=True))
        factor = (z, y, x)
    parts, radii = [], []
    for table in tables:
        part = table.read(grid=VoxelGrid(own_size, drawn.own_grid.shape))
        if not (table.has_column and table.classes):
            part = replace(part, classes=None, class_name=_names(table)[0])
        parts.append(replace(part, voxel_size=None, tomogram=drawn.name))
        radii.append(radii_of(part, _map_voxel_size(table, drawn)))
    marks = marks_of(join(parts), np.concatenate(radii), factor)
    if diameter is not None:
        marks = replace(marks, radii=np.full(len(marks), diameter / 2))
    return marks.of_classes(classes)


def _map_voxel_size(table: Table, drawn: _Drawn) -> VoxelSize:
    """Give the voxels that sizes count: those of the map that was picked from, or of the image made for it."""
    if drawn.folder is not None:
        stem = split_name(table.path.name)[0].removeprefix("particles")
        names = [c.name.removesuffix(".zarr") for c in drawn.folder.children() if c.name.endswith(".zarr")]
        maps = [
            n for n in names if n.startswith("probability") and stem.startswith(n.removeprefix("probability"))
        ]
        # A network's own map before that of another whose name its name begins with.
        for name in (*sorted(maps, key=len, reverse=True), "rescaled"):
            if name in names and (image := open_own_image(drawn.folder / f"{name}.zarr")) is not None:
                return image.voxel_size or (1.0, 1.0, 1.0)
    return drawn.own_grid.voxel_size or (1.0, 1.0, 1.0)
