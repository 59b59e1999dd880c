"""The lists that lie beside tables of programs that number tomograms and classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepict_dask.io.exchange.export import Export, number_map, numbers_of

TOMOGRAMS, CLASSES = "tomograms.txt", "classes.txt"


def write_companions(export: Export, folder: Path, *, tomograms: bool = True) -> None:
    """Write ``tomograms.txt`` and, where classes have names, ``classes.txt``: a number and a name per line."""
    if tomograms:
        lines = [f"{frame.number} {frame.name}\n" for frame in export.frames]
        (folder / TOMOGRAMS).write_text("".join(lines), encoding="utf-8")
    if export.classes:
        pairs = zip(numbers_of(export.classes), export.classes, strict=True)
        (folder / CLASSES).write_text("".join(f"{k} {name}\n" for k, name in pairs), encoding="utf-8")


def tomograms_beside(table: Path, name: str = TOMOGRAMS) -> dict[int, str]:
    """Read the names of tomograms beside a table; none where there is no such list."""
    place = table.with_name(name)
    return number_map(place.read_text(encoding="utf-8"), place) if place.is_file() else {}


def classes_beside(table: Path) -> dict[int, str]:
    """Read the names of classes beside a table."""
    return tomograms_beside(table, CLASSES)


def named(numbers: np.ndarray, names: dict[int, str], single: str = "") -> np.ndarray:
    """Give the name of each number, object (n,): itself where no list says.

    Parameters
    ----------
    numbers : int64 (n,)
        As the table has them.
    names : dict of int to str
        From the list beside it.
    single : str
        What all rows are called if no list says and they have one number.
    """
    if single and not names and len(set(numbers.tolist())) < 2:
        return np.full(len(numbers), single, object)
    return np.array([names.get(k, str(k)) for k in numbers.tolist()], object)


def tomogram_and_class(
    table: Path, tomograms: np.ndarray, classes: np.ndarray, tomogram: str, class_name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Give the names of tomogram and class of each row of a table that has numbers."""
    names_beside = classes_beside(table)
    kinds: Sequence[str] | np.ndarray
    if not names_beside and len(set(classes.tolist())) < 2:
        kinds = np.full(len(classes), class_name, object)
    else:
        kinds = named(classes, names_beside)
    return named(tomograms, tomograms_beside(table), tomogram), np.asarray(kinds, object)
