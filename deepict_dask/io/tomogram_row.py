"""One row of a table of tomograms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TomogramRow:
    """One row of a table of tomograms.

    Attributes
    ----------
    path : str
        Of the tomogram; relative ones are relative to the folder of the table.
    name : str
        What it is called.
    cells : mapping
        All other columns; text in CSV, plain values in YAML.
    place : str
        Where the row is, for sentences.
    folder : str
        Of the table.
    is_found : bool
        Whether something is at the path.
    warnings : tuple of str
        What the user should know of how the row came about; what concerns all rows is with the first.
    """

    path: str
    name: str
    cells: Mapping[str, Any]
    place: str
    folder: str
    is_found: bool
    warnings: tuple[str, ...] = ()
