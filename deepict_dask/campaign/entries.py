"""The tomograms of a campaign: what the user names, or the rows of a table with what differs for each.

A table (``.csv``, ``.tsv``, ``.yaml``) has one row per tomogram: where it is, what it is called, settings of its own
(``voxel_size``, ``region``, ``threshold``: any setting by its name), and whatever else is known of it (quality,
thickness), which is kept beside its particles. The original's ``metadata.csv`` is such a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepict_dask.campaign.ledger import as_metadata
from deepict_dask.campaign.summary import Plain
from deepict_dask.config import Settings, merge_given
from deepict_dask.config.section import section_of
from deepict_dask.errors import InputError
from deepict_dask.io.inputs import find_inputs
from deepict_dask.io.location import Location
from deepict_dask.io.tomogram_row import TomogramRow
from deepict_dask.io.tomogram_table import is_tomogram_table, read_tomogram_table
from deepict_dask.names import first_duplicate
from deepict_dask.particles import Particles

SECTIONS = ("ingest", "equalize", "segment", "pick")
_PATHS = ("region", "model", "target_spectrum")
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Entry:
    """A tomogram of a campaign.

    Attributes
    ----------
    path : str
        Where it is.
    name : str
        What it and the folder of its outputs are called.
    overrides : mapping
        Settings of its own, by section.
    metadata : mapping
        What else the table says of it.
    folder : str
        Of the table, which paths in it are relative to; empty where there is none.
    warnings : tuple of str
        What the user should know of how the table was understood.
    """

    path: str
    name: str
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metadata: Mapping[str, Plain] = field(default_factory=dict)
    folder: str = ""
    warnings: tuple[str, ...] = ()


def find_entries(
    arguments: Sequence[str], *, name: str | None = None, recursive: bool = False
) -> list[Entry]:
    """Find the tomograms that the arguments of a command name.

    Parameters
    ----------
    arguments : sequence of str
        As `find_inputs` has them, and tables of tomograms.
    name, recursive
        As `find_inputs` has them, for what is no row of a table.

    Raises
    ------
    InputError
        If an argument names nothing, a table cannot be read, or two tomograms have one name.
    """
    tables = [a for a in arguments if is_tomogram_table(a)]
    others = [a for a in arguments if a not in tables]
    entries = [_of_row(row) for table in tables for row in read_tomogram_table(table)]
    if others:
        entries += [Entry(i.path, i.name) for i in find_inputs(others, name=name, recursive=recursive)]
    if twice := first_duplicate([e.name for e in entries]):
        first, second = [e.path for e in entries if first_duplicate([e.name, twice])][:2]
        raise InputError(
            f"{first} and {second} would both be called {twice}; give each a name of its own in the column tomo_name"
        )
    return entries


def _of_row(row: TomogramRow) -> Entry:
    """Tell the settings among the cells of a row from what else is known."""
    overrides: dict[str, dict[str, Any]] = {}
    cells: dict[str, str] = {}
    for column, value in row.cells.items():
        section = _SECTION_OF.get(column)
        if section is None:
            if column in _TAKEN:
                raise InputError(
                    f"{row.place} has a column {column!r}, which particle tables have already; rename it"
                )
            cells[column] = "" if value is None else str(value)
        elif value not in (None, ""):
            # Paths in a table are relative to its folder.
            at = _beside(str(value), row.folder) if column in _PATHS else value
            overrides.setdefault(section, {})[column] = at
    path = find_inputs([row.path])[0].path if row.is_found else row.path
    return Entry(path, row.name, overrides, as_metadata(cells), row.folder, row.warnings)


def overrides_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """Give what tables say of single tomograms as a tree of settings, to be put over those of a settings file."""
    tree = {
        e.name: {section: dict(values) for section, values in e.overrides.items()}
        for e in entries
        if e.overrides
    }
    return {"tomograms": tree} if tree else {}


def fill_in(settings: Settings, entries: Sequence[Entry]) -> Settings:
    """Replace ``{column}`` in paths of regions, models and targets by what the tables say of each tomogram.

    A cell that is empty means none. Paths in a table are relative to its folder.
    """
    templates = [
        (section, key, value)
        for section in SECTIONS
        for key, value in getattr(settings, section)
        if isinstance(value, str) and _PLACE.search(value)
    ]
    columns = list(dict.fromkeys(name for e in entries for name in e.metadata))
    for section, key, template in templates:
        missing = next((n for n in _PLACE.findall(template) if n != "name" and n not in columns), None)
        if missing is not None and not Location.of(template).exists():
            there_are = f"it has {', '.join(columns)}" if columns else "no table with such columns is given"
            raise InputError(
                f"{section}.{key} {template!r} names a column {missing!r} of the table of tomograms, but {there_are}"
            )
    tree: dict[str, Any] = {}
    for entry in entries:
        for section, key, template in templates:
            if (filled := _filled(template, entry)) is not None:
                tree.setdefault(entry.name, {}).setdefault(section, {})[key] = filled or None
    return merge_given(settings, {"tomograms": tree}) if tree else settings


def _filled(template: str, entry: Entry) -> str | None:
    """Put what a table says into a path; None where nothing of it is in the table."""
    names = [name for name in _PLACE.findall(template) if name in entry.metadata]
    if not names:
        return None
    for name in names:
        template = template.replace(f"{{{name}}}", str(entry.metadata[name]))
    return _beside(template, entry.folder) if template else ""


def _beside(path: str, folder: str) -> str:
    return path if "://" in path or not folder else str(Location.of(path, Location.of(folder)))


_SECTION_OF = {
    key: name
    for name, model_field in Settings.model_fields.items()
    if name in SECTIONS and (section := section_of(model_field))
    for key in section.model_fields
}
_TAKEN = frozenset(Particles.from_positions([[0, 0, 0]]).columns()) | {"rot", "tilt", "psi", "source"}
