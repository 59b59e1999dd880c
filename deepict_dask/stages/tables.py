"""Tables of a tomogram's particles, and the side file that says what made them and what they must hold.

The side file is written twice: before the tables, naming those that are about to be written, and after them,
with size and digest of each. So a process killed in between leaves what the same command
completes, and a table that somebody else wrote or changed is told from ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepict_dask import __version__
from deepict_dask.errors import DamagedOutputError, InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.manifest import WAY_OUT
from deepict_dask.names import what_is_wrong
from deepict_dask.provenance import Provenance
from deepict_dask.stages.finished import FOREIGN
from deepict_dask.tomogram import Grid

ALL = "all_particles"
"""How the tables over all tomograms of a run folder are called."""


@dataclass(frozen=True)
class TableRecord:
    """What a side file says.

    Attributes
    ----------
    made_by : Provenance
        Of the particles.
    tables : mapping of str to str or None
        Digest of each table by its name in the same folder; None for one that was about to be written.
    facts : mapping
        Number of particles, tomogram, class, grid; plain values.
    is_complete : bool
        Whether all tables were written.
    """

    made_by: Provenance
    tables: Mapping[str, str | None]
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_complete: bool = True

    @property
    def n_particles(self) -> int:
        """Number of particles in each table."""
        return int(self.facts["n_particles"])


def facts_of(n_particles: int, tomogram: str, class_name: str, grid: Grid) -> dict[str, Any]:
    """Give what a side file says of particles: tables alone know no voxel size where they are empty."""
    return {
        "n_particles": n_particles,
        "tomogram": tomogram,
        "class": class_name,
        "voxel_size": grid.voxel_size,
        "shape": grid.shape,
    }


def read_record(side: Location) -> TableRecord | None:
    """Read a side file; None if there is none.

    Raises
    ------
    OutputExistsError
        If another program wrote it.
    DamagedOutputError
        If it is damaged, or names a table that lies elsewhere.
    """
    if not side.exists():
        return None
    try:
        content = side.read_json()
    except InputError as error:
        raise DamagedOutputError(f"{error}; {WAY_OUT}") from error
    if not isinstance(content, dict) or "made_by" not in content:
        raise OutputExistsError(f"{side} {FOREIGN}")
    made_by, tables = Provenance.from_json(content["made_by"]), content.get("tables")
    if made_by is None or not isinstance(tables, dict):
        raise OutputExistsError(
            f"{side} was written by another version of this program; use --overwrite to replace it, or another output folder"
        )
    for name in tables:
        if (wrong := what_is_wrong(name, longest=255)) is not None:
            raise DamagedOutputError(f"{side} names a table {name!r:.120}, which {wrong}; {WAY_OUT}")
    facts = {key: content[key] for key in content if key not in ("made_by", "tables", "complete")}
    if content.get("complete") is True and not isinstance(facts.get("n_particles"), int):
        raise DamagedOutputError(f"{side} does not say how many particles there are; {WAY_OUT}")
    return TableRecord(made_by, tables, facts, content.get("complete") is True)


def check_tables(side: Location, expected: Provenance, names: list[str], *, what: str = "") -> str | None:
    """Look at tables without changing anything.

    Parameters
    ----------
    side : Location
        Side file.
    expected : Provenance
        Of what would be written now.
    names : list of str
        Tables that would be written.
    what : str
        Begins the sentence that says what differs, with its verb; the picks in the folder unless given.

    Returns
    -------
    str or None
        None if all are whole and made by the same. Empty if they have to be written and nothing is in the way.
        Else the sentence that says what differs.

    Raises
    ------
    OutputExistsError, DamagedOutputError
        If something is in the way that this program did not write, or its own tables are damaged.
    """
    record = read_record(side)
    folder = side.parent
    if record is None or not record.is_complete:
        begun = set() if record is None else set(record.tables)
        for name in names:
            if (folder / name).exists() and name not in begun:
                raise OutputExistsError(f"{folder / name} {FOREIGN}")
        return ""
    difference = record.made_by.difference(expected)
    if difference is not None:
        if what:
            return f"{what} made with {difference}; use --overwrite to replace it, or another output"
        return f"the picks in {folder} were made with {difference}; use --overwrite to replace them, or another output folder"
    for name, digest in record.tables.items():
        check_table(folder / name, digest)
    for name in names:
        if name not in record.tables and (folder / name).exists():
            raise OutputExistsError(f"{folder / name} {FOREIGN}")
    return None if set(names) == set(record.tables) else ""


def check_table(table: Location, digest: str | None) -> None:
    """Refuse a table that is missing or is not the one that was written; DamagedOutputError."""
    if not table.is_file():
        raise DamagedOutputError(f"{table} is missing; {WAY_OUT}")
    if digest is not None and digest_of(table) != digest:
        raise DamagedOutputError(
            f"{table} is not the table that was written (cut, or changed by hand); copy it elsewhere if it was changed on "
            f"purpose, and {WAY_OUT}"
        )


def is_ours(table: Location, record: TableRecord | None) -> bool:
    """Tell whether a table may be replaced unasked: this program wrote it, and nobody has changed it."""
    if not table.exists():
        return True
    if record is None or table.name not in record.tables:
        return False
    digest = record.tables[table.name]
    return digest is None or (table.is_file() and digest_of(table) == digest)


def begin_tables(side: Location, made_by: Provenance, names: list[str], record: TableRecord | None) -> None:
    """Say which tables are about to be written; those of before are still known as ours."""
    before = {} if record is None else dict.fromkeys(record.tables)
    _write(side, TableRecord(made_by, {**before, **dict.fromkeys(names)}, {}, False))


def finish_tables(
    side: Location, made_by: Provenance, names: list[str], facts: Mapping[str, Any]
) -> TableRecord:
    """Say what the tables hold; the last thing that is written."""
    record = TableRecord(made_by, {name: digest_of(side.parent / name) for name in names}, facts)
    _write(side, record)
    return record


def digest_of(table: Location) -> str:
    """Give the SHA-256 of a file."""
    return f"sha256:{hashlib.sha256(table.read_bytes()).hexdigest()}"


def _write(side: Location, record: TableRecord) -> None:
    side.write_json(
        {
            "complete": record.is_complete,
            **record.facts,
            "tables": dict(record.tables),
            "package_version": __version__,
            "made_by": record.made_by.to_json(),
        }
    )
