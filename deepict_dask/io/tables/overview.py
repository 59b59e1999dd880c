"""What a table holds, whoever wrote it, without taking it for particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepict_dask.errors import FormatError
from deepict_dask.io.scores import CURVE_COLUMNS, SCORE_COLUMNS
from deepict_dask.io.tables.csv_table import read_cells

if TYPE_CHECKING:
    import pandas as pd

# Usual names of the columns that say whose particle a row is, the most telling first.
_TOMOGRAM = ("tomogram", "experiment", "tomo_name", "rlnTomoName", "rlnMicrographName", "rlnTomoParticleName")
_CLASS = ("class", "particle_type", "rlnClassNumber", "class_name")
_POSITIONS = (("z", "y", "x"), ("rlnCoordinateZ", "rlnCoordinateY", "rlnCoordinateX"))
_CENTERED = ("rlnCenteredCoordinateZAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateXAngst")
_SHOWN = ("score", "score_max", "size", "rlnAutopickFigureOfMerit", "precision", "recall", "f1")
_MOTL_COLUMNS = 20


@dataclass(frozen=True)
class Overview:
    """What a table holds.

    Attributes
    ----------
    kind : str
        ``"particle table"``, ``"truth table (...)"``, ``"table of scores"`` and so on.
    n_rows : int
        Of the table of interest.
    columns : tuple of str
        Their names.
    tomograms, classes : dict of str to int
        How many rows each has; empty where no column says.
    ranges : dict of str to (float, float)
        Smallest and largest value of some columns.
    """

    kind: str
    n_rows: int
    columns: tuple[str, ...]
    tomograms: dict[str, int]
    classes: dict[str, int]
    ranges: dict[str, tuple[float, float]]


def overview(path: Path) -> Overview:
    """Look at a CSV, STAR or Parquet table.

    Raises
    ------
    FormatError
        If it is none of these, or empty.
    """
    table, kind = _read(path)
    columns = tuple(map(str, table.columns))
    ranges = {}
    for name in _SHOWN:
        if name in columns:
            import pandas as pd

            numbers = pd.to_numeric(table[name], errors="coerce").dropna()
            if len(numbers):
                ranges[name] = (float(numbers.min()), float(numbers.max()))
    return Overview(kind, len(table), columns, _counts(table, _TOMOGRAM), _counts(table, _CLASS), ranges)


def _read(path: Path) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    try:
        if path.suffix.lower() == ".star":
            return _star(path)
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, encoding="utf-8-sig", keep_default_na=False)
            numbers = [_is_number(name) for name in table.columns]
            if len(table.columns) == _MOTL_COLUMNS and all(numbers):
                n = len(pd.read_csv(path, header=None, usecols=[0]))
                return pd.DataFrame(index=range(n)), "particle table (TOM motive list)"
            if numbers and all(numbers):
                raise FormatError(
                    f"{path} has numbers where the names of its columns belong; add a first line of names"
                )
    except FormatError:
        raise
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not text in UTF-8, so it is no table that can be read") from error
    except pd.errors.ParserError as error:
        read_cells(path)  # says the line
        raise FormatError(f"{path} is not a table that can be read ({error})") from error
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise FormatError(f"{path} is not a table that can be read ({first:.200})") from error
    return table, _kind(tuple(map(str, table.columns)))


def _kind(columns: Sequence[str]) -> str:
    have = set(columns)
    if have >= set(SCORE_COLUMNS):
        return "table of scores"
    if have >= set(CURVE_COLUMNS):
        return "precision-recall curves"
    if have >= {"epoch", "loss"}:
        return "learning curve"
    for position in (*_POSITIONS, _CENTERED):
        if have >= set(position):
            return (
                "particle table"
                if have & {"score", "size"} or position[0] != "z"
                else "truth table (positions of particles)"
            )
    return "table"


def _star(path: Path) -> tuple[pd.DataFrame, str]:
    """Give the block with positions, else the largest one."""
    import starfile

    blocks = starfile.read(path, always_dict=True, parse_as_string=list(_TOMOGRAM))
    import pandas as pd

    tables = {
        str(name): block if isinstance(block, pd.DataFrame) else pd.DataFrame([block])
        for name, block in blocks.items()
    }
    if not tables:
        raise FormatError(f"{path} holds no block of data; it is no STAR file, or empty")
    for name, table in tables.items():
        if any(set(position) <= set(table) for position in (*_POSITIONS, _CENTERED)):
            other_blocks = ", ".join(other for other in tables if other != name)
            return (
                table,
                f"particle table (STAR, block {name}{'; also ' + other_blocks if other_blocks else ''})",
            )
    name, table = max(tables.items(), key=lambda item: len(item[1]))
    return table, f"STAR file without positions (blocks {', '.join(tables)})"


def _counts(table: pd.DataFrame, names: Sequence[str]) -> dict[str, int]:
    for name in names:
        if name in table.columns and len(table):
            return {str(key): int(n) for key, n in table[name].value_counts(sort=False).items()}
    return {}


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
