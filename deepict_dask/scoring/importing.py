"""Import: tables of other programs as one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.exchange import Frame, Geometry, Journal, Reading, read_foreign
from deepict_dask.io.exchange.rename import renamer
from deepict_dask.io.exchange.tomograms_star import read_tomograms
from deepict_dask.io.location import Location
from deepict_dask.io.tables import split_name
from deepict_dask.names import check_name, first_duplicate
from deepict_dask.particles import Particles, join
from deepict_dask.scoring.export import plain_settings
from deepict_dask.scoring.write_table import made_of, write_table


@dataclass(frozen=True)
class Imported:
    """What an import gave.

    Attributes
    ----------
    particles : Particles
        What the table holds.
    is_kept : bool
        Whether it was there already, made of the same files in the same way.
    sentences : tuple of str
        What the user should know of how the files were understood.
    """

    particles: Particles
    is_kept: bool = False
    sentences: tuple[str, ...] = ()


def import_tables(
    tables: Sequence[str],
    output: Location | str,
    format: str | None = None,
    *,
    geometry: Geometry | None = None,
    tomograms: str | None = None,
    rename: str | None = None,
    tomogram: str = "",
    class_name: str = "",
    user: str = "",
    session: str = "",
    overwrite: bool = False,
) -> Imported:
    """Read tables of other programs and write one of ours.

    Parameters
    ----------
    tables : sequence of path
        Files, or folders of programs that have one file per tomogram.
    output : path
        A table: .csv, .parquet, .star or _motl.csv.
    format : str, optional
        A name of `deepict_dask.io.exchange.FORMATS`; told from the contents unless given.
    geometry : Geometry, optional
        As for `export`; positions become voxels of the given voxel size where the files say another.
    tomograms, rename
        As for `export`; new names are the table's.
    tomogram, class_name : str
        Of files that do not say their own.
    user, session : str
        Whose picks of a copick project are read; those of anybody unless given.
    overwrite : bool
        Whether a table made of something else may be replaced.

    Returns
    -------
    Imported
        All files that were opened count for whether a table is kept, lists beside tables included.

    Raises
    ------
    InputError
        If a file cannot be read, or something is not known: naming the option that says it.
    """
    output = Location.of(output)
    if split_name(output.name)[1] is None:
        raise InputError(f"the output {output} is no table; name one that ends in .csv, .parquet or .star")
    geometry = geometry or Geometry()
    if tomograms is not None:
        geometry = replace(geometry, series=read_tomograms(Location.of(tomograms).local_path()))
    new_name = renamer(rename)
    places = [Location.of(path) for path in tables]
    journal = Journal()
    reading = Reading(geometry, tomogram, class_name, user, session, journal)
    particles = join([read_foreign(place.local_path(), format, reading) for place in places])
    particles = _renamed(particles, new_name)
    offset = np.asarray(geometry.offset, np.float64)
    if offset.any():
        particles = _moved(particles, -offset)
    settings = {
        "format": format,
        "rename": rename,
        "tomogram": tomogram,
        "class": class_name,
        "geometry": plain_settings(geometry),
        **({"user": user, "session": session} if user or session else {}),
    }
    # Folders count as what was read of them: a project also holds tomograms.
    files = [place for place in places if place.is_file()]
    files += [Location.of(tomograms)] if tomograms is not None else []
    if rename is not None and Location.of(rename).is_file():
        files.append(Location.of(rename))
    opened = [file for file in (Location.of(path) for path in journal.files) if file not in files]
    made_by = made_of("import", files, settings, _companions(places, opened))
    is_written = write_table(particles, output, made_by, overwrite=overwrite)
    return Imported(particles, not is_written, tuple(journal.sentences))


def _companions(places: Sequence[Location], opened: Sequence[Location]) -> dict[str, Location]:
    """Name files that were opened besides those that were given: by where they lie from one of these."""
    roles: dict[str, Location] = {}
    for file in opened:
        below = next((p for p in places if file.url.startswith(f"{p.url}/")), None)
        role = file.name if below is None else file.relative_to(below)
        k = 2
        while role in roles:
            role, k = f"{file.name} ({k})", k + 1
        roles[role] = file
    return roles


def _renamed(particles: Particles, new_name: Any) -> Particles:
    new = {}
    for name in particles.names("tomogram"):
        new[name] = check_name(new_name(name), "a tomogram of the tables (name it otherwise with --rename)")
    for name in particles.names("class"):
        if name:
            check_name(name, "a class of the tables", is_class=True)
    if twice := first_duplicate(list(new.values())):
        old = [name for name, called in new.items() if called == twice]
        raise InputError(
            f"the tomograms {' and '.join(old[:2])} would both be called {twice!r}; give each a name of its own with --rename"
        )
    if particles.tomograms is None:
        return replace(particles, tomogram=new.get(particles.tomogram, particles.tomogram))
    names = np.array([new[name] for name in particles.tomograms.tolist()], object)
    grids = {new[name]: grid for name, grid in particles.grids.items()}
    return replace(particles, tomogram="", tomograms=names, grids=grids)


def _moved(particles: Particles, angstrom: np.ndarray) -> Particles:
    """Move positions by a distance in A."""
    parts = []
    for name in particles.names("tomogram") or [particles.tomogram]:
        part = particles.of_tomogram(name) if name else particles
        z, y, x = (part.positions + angstrom / Frame(name, grid=part.grid_of(name)).voxel_size).T
        parts.append(replace(part, z=z, y=y, x=x))
    return join(parts) if len(parts) > 1 else parts[0]
