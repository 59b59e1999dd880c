"""Positions of classes: which rows of which table belong to a class."""

from __future__ import annotations

from collections.abc import Mapping

from deepict_dask.errors import InputError
from deepict_dask.io.tables.found import Table, find_tables
from deepict_dask.particles import Particles


def read_positions(tables: Mapping[str, str], *, may_be_absent: bool = False) -> dict[str, Particles]:
    """Read the positions of each class.

    Parameters
    ----------
    tables : mapping of str to path
        Table per class. Of a table with a column ``class`` only the rows of that class are taken, so one
        table may serve several; of any other all rows, and it serves one class.
    may_be_absent : bool
        Whether a class may have no rows, as long as a table with rows has some of one of the classes: an empty table
        says that there is nothing in the tomogram.

    Returns
    -------
    dict of str to Particles
        By class, in the order of ``tables``.

    Raises
    ------
    InputError
        If a table cannot be read, has no rows of the class, or is given for two classes and does not say which row
        is of which.
    """
    opened = {name: _open(path) for name, path in tables.items()}
    found: dict[str, Particles] = {}
    for name, table in opened.items():
        particles = table.read(name)
        others = [n for n, t in opened.items() if n != name and t.path.resolve() == table.path.resolve()]
        if len(particles) and others and not table.has_column:
            raise InputError(
                f"{table.path} is given for the classes {name!r} and {others[0]!r}, and has no column class that says "
                "which row is of which; add that column, or give a table per class"
            )
        if not len(particles) and not may_be_absent:
            raise InputError(f"{table.path} has no particles of class {name!r}{_instead(table)}")
        found[name] = particles
    if may_be_absent and not any(map(len, found.values())):
        for name, table in opened.items():
            if len(table.read()):
                raise InputError(
                    f"{table.path} has no particles of class {', '.join(map(repr, opened))}{_instead(table, name)}"
                )
    return found


def _open(path: str) -> Table:
    tables = find_tables(path)
    if len(tables) > 1:
        raise InputError(f"{path} holds {len(tables)} tables of positions; name the one to use")
    return tables[0]


def _instead(table: Table, name: str | None = None) -> str:
    if not table.classes or table.classes == (name,):
        return "; check the name, or leave out the class"
    return f", but of {', '.join(table.classes)}; check the name of the class"
