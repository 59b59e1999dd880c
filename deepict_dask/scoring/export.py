"""Export: particles of a whole run for another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.exchange import (
    Details,
    Export,
    Frame,
    Geometry,
    Series,
    format_of,
)
from deepict_dask.io.exchange.export import numbers_of, sorted_names
from deepict_dask.io.exchange.rename import renamer
from deepict_dask.io.exchange.tomograms_star import read_tomograms
from deepict_dask.io.location import Location
from deepict_dask.io.projects.series import series_of_run
from deepict_dask.io.tables.files import NAMELESS, Table, find_tables, read_tables
from deepict_dask.names import check_name, first_duplicate
from deepict_dask.particles import Particles, VoxelGrid, join
from deepict_dask.scoring.write_table import made_of
from deepict_dask.stages.file_sets import write_files


@dataclass(frozen=True)
class Exported:
    """What an export gave.

    Attributes
    ----------
    tomograms : tuple of (str, str, int)
        Name here, name there, particles.
    files : tuple of Location
        What was written.
    is_kept : bool
        Whether it was there already.
    """

    tomograms: tuple[tuple[str, str, int], ...]
    files: tuple[Location, ...]
    is_kept: bool = False


def export(
    tables: Sequence[str],
    output: Location | str,
    format: str,
    *,
    geometry: Geometry | None = None,
    details: Details | None = None,
    tomograms: str | None = None,
    rename: str | None = None,
    class_name: str | Sequence[str] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write particles as another program reads them.

    Parameters
    ----------
    tables : sequence of path
        Run folders, tables or folders of tables.
    output : path
        Folder.
    format : str
        A name of `deepict_dask.io.exchange.FORMATS`, where units, origins and axes of each are said.
    geometry : Geometry, optional
        What the user says of voxels, pixels and origins.
    details : Details, optional
        What single programs want to know besides.
    tomograms : path, optional
        RELION 5's ``tomograms.star``: bin-1 sizes and pixel sizes by tilt series.
    rename : str, optional
        See `renamer`: the tilt series' names of the tomograms' names.
    class_name : str or sequence of str, optional
        Only these classes.
    overwrite : bool
        Whether files that something else made may be replaced.

    Returns
    -------
    Exported
        The same tables and settings give the same bytes. One tomogram is in memory at a time.

    Raises
    ------
    InputError
        If there is nothing to export, the format is unknown, or something is not known that it needs: naming the
        option that says it.
    OutputExistsError
        If something else is there.
    """
    output, chosen = Location.of(output), format_of(format)
    geometry, details = geometry or Geometry(), details or Details()
    if tomograms is not None:
        star = Location.of(tomograms)
        geometry = replace(geometry, series=read_tomograms(star.local_path()))
        details = replace(details, tomograms_star=star.url)
    picked_tables = [table for path in tables for table in find_tables(path)]
    new_name = renamer(rename)
    if tomograms is None:
        series, star_of_run = _of_runs(tables)
        # Series go by the names that the other program will see.
        named = {t.tomogram for t in picked_tables} & set(series)
        geometry = replace(geometry, series={new_name(name): series[name] for name in sorted(named)})
        details = replace(details, tomograms_star="" if rename else star_of_run)
    classes = [class_name] if isinstance(class_name, str) else list(class_name or ())
    planned = _plan(picked_tables, geometry, new_name, classes)
    prepared = replace(planned.export, details=details, place=output.url)
    settings: dict[str, Any] = {
        "format": format,
        "rename": rename,
        "classes": classes,
        "geometry": plain_settings(geometry),
        "details": plain_settings(replace(details, tomograms_star="")),
    }
    if tomograms is None and geometry.series:
        settings["series"] = {name: plain_settings(series) for name, series in geometry.series.items()}
    files = list(dict.fromkeys(Location.of(table.path) for table in picked_tables))
    if rename is not None and Location.of(rename).is_file():
        files.append(Location.of(rename))
    if tomograms is not None:
        files.append(Location.of(tomograms))
    written, is_kept = write_files(
        output,
        f"export_{format}",
        made_of("export", files, settings),
        lambda staged: chosen.write(prepared, staged.local_path()),
        {"n_particles": prepared.n},
        command="deepict-dask export",
        overwrite=overwrite,
    )
    listed = tuple((planned.own[frame.name], frame.name, frame.n) for frame in prepared.frames)
    return Exported(listed, tuple(written), is_kept)


@dataclass(frozen=True)
class _Planned:
    export: Export
    own: dict[str, str]


def _plan(tables: Sequence[Table], geometry: Geometry, rename: Any, classes: Sequence[str]) -> _Planned:
    """Look at every table once: what is in it, and how it will be called."""
    by_tomogram: dict[str, list[Table]] = {}
    for table in tables:
        by_tomogram.setdefault(table.tomogram, []).append(table)
    new = {name: check_name(rename(name), "a tomogram of the tables") for name in by_tomogram}
    if twice := first_duplicate(list(new.values())):
        raise InputError(
            f"several tomograms would be called {twice!r}; give each a name of its own with --rename"
        )
    old_names = {new_name: old_name for old_name, new_name in new.items()}
    ordered = sorted_names(list(old_names))
    frames, kinds, columns, has_scores = [], set(), set(), False
    for new_name, number in zip(ordered, numbers_of(ordered), strict=True):
        particles = _load(by_tomogram[old_names[new_name]], geometry, classes)
        grid = replace(particles.grid_of(particles.tomogram))
        frames.append(geometry.frame(new_name, grid, number, len(particles)))
        named = particles.names("class")
        kinds |= set(named) if len(particles) else set()
        columns |= set(particles.others)
        has_scores |= not np.isnan(particles.score).all() if len(particles) else False
    if classes and not kinds:
        raise InputError(
            f"there are no picks of class {', '.join(classes)} in {', '.join(str(t.path) for t in tables[:3])}"
        )
    named_classes = sorted_names([name for name in kinds if name not in NAMELESS])
    if named_classes and len(named_classes) < len(kinds):
        raise InputError(
            f"some tables hold the classes {', '.join(named_classes)} and others do not say theirs; choose one with --class"
        )

    def load(frame: Frame) -> Particles:
        particles = _load(by_tomogram[old_names[frame.name]], geometry, classes)
        grid = frame.grid
        return replace(
            particles,
            tomogram=frame.name,
            tomograms=None,
            grids={},
            voxel_size=grid.voxel_size,
            shape=grid.shape,
            origin=grid.origin,
        )

    for name in named_classes:
        check_name(name, "a class of the tables", is_class=True)
    return _Planned(
        Export(
            tuple(frames), tuple(named_classes), frozenset(columns), has_scores, geometry, Details(), load
        ),
        old_names,
    )


def _load(tables: Sequence[Table], geometry: Geometry, classes: Sequence[str]) -> Particles:
    """Read the particles of one tomogram."""
    grid = VoxelGrid(geometry.voxel_size, geometry.shape)
    particles = join(read_tables(tables, grid)) if len(tables) > 1 else read_tables(tables, grid)[0]
    if not classes:
        return particles
    return particles[np.isin(particles["class"].astype(str), list(classes))]


def _of_runs(tables: Sequence[str]) -> tuple[dict[str, Series], str]:
    """Give what runs know of their tilt series, and RELION's list of them, where it is one."""
    known: dict[str, Series] = {}
    stars = set()
    for path in tables:
        place = Location.of(path)
        if place.is_folder():
            series, star = series_of_run(place.local_path())
            known |= series
            stars.add(star)
    return known, stars.pop() if len(stars) == 1 else ""


def plain_settings(noun: Geometry | Details | Series) -> dict[str, Any]:
    """Give what a noun says as plain values; the series are an input, not a setting."""
    return {name: value for name, value in vars(noun).items() if name != "series"}
