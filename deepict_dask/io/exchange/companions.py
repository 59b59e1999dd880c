"""The lists that lie beside tables of programs that number tomograms and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.exchange.export import Export, number_map, numbers_of
from deepict_dask.io.exchange.reading import Reading

TOMOGRAMS, CLASSES = "tomograms.txt", "classes.txt"


def write_companions(export: Export, folder: Path, *, tomograms: bool = True) -> None:
    """Write ``tomograms.txt`` and, where classes have names, ``classes.txt``: a number and a name per line."""
    if tomograms:
        lines = [f"{frame.number} {frame.name}\n" for frame in export.frames]
        (folder / TOMOGRAMS).write_text("".join(lines), encoding="utf-8")
    if export.classes:
        pairs = zip(numbers_of(export.classes), export.classes, strict=True)
        (folder / CLASSES).write_text("".join(f"{k} {name}\n" for k, name in pairs), encoding="utf-8")


def names_beside(table: Path, name: str, reading: Reading) -> dict[int, str]:
    """Read the names that a list beside a table gives to numbers; none where there is no such list."""
    place = table.with_name(name)
    return number_map(reading.text(place), place) if place.is_file() else {}


def named(
    numbers: np.ndarray, names: dict[int, str], single: str | None, *, table: Path, option: str
) -> np.ndarray:
    """Give the name of each number.

    Parameters
    ----------
    numbers : int64 (n,)
        As the table has them.
    names : dict of int to str
        From the list beside it; a number that it does not name is its own name.
    single : str or None
        What all rows are called if no list says and they have one number; None for the number itself.
    table : Path
        For sentences.
    option : str
        What `single` was given by.

    Returns
    -------
    object (n,)

    Raises
    ------
    InputError
        If one name was given for several numbers that no list names.
    """
    different = list(dict.fromkeys(numbers.tolist()))
    if not names and len(different) < 2 and single is not None:
        return np.full(len(numbers), single, object)
    if not names and single:
        raise InputError(
            f"{option} {single} names one, and {table} numbers {len(different)} ({', '.join(map(str, different[:5]))}); leave it out, "
            f"and lay a list of numbers and names beside the table ({TOMOGRAMS}, {CLASSES})"
        )
    return np.array([names.get(k, str(k)) for k in numbers.tolist()], object)


def tomogram_and_class(
    table: Path,
    tomograms: np.ndarray,
    classes: np.ndarray,
    reading: Reading,
    names: dict[int, str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Give the names of tomogram and class of each row of a table that has numbers.

    Parameters
    ----------
    table : Path
        Beside which ``tomograms.txt`` and ``classes.txt`` may lie.
    tomograms, classes : int64 (n,)
        As the table has them.
    reading : Reading
        What the user says of tables of one tomogram or class; is told of the files that were opened.
    names : dict of int to str, optional
        Of tomograms, where ``tomograms.txt`` is not there and another file says them.

    Returns
    -------
    tomograms, classes : object (n,)
        Names; classes are empty where there is one and nobody says what it is called.
    """
    names = names_beside(table, TOMOGRAMS, reading) or names or {}
    return (
        named(tomograms, names, reading.tomogram or None, table=table, option="--tomogram"),
        class_names(table, classes, reading),
    )


def class_names(table: Path, classes: np.ndarray, reading: Reading) -> np.ndarray:
    """Give the name of the class of each row, object (n,), of numbers int64 (n,): see `tomogram_and_class`."""
    names = names_beside(table, CLASSES, reading)
    return named(classes, names, reading.class_name, table=table, option="--class")
