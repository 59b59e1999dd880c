"""Names of tomograms as another program has them: by a pattern, or by a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from deepict_dask.errors import FormatError, InputError
from deepict_dask.names import check_name

_PART = "{name}"


def renamer(option: str | None) -> Callable[[str], str]:
    """Make what renames of what a user gives.

    Parameters
    ----------
    option : str, optional
        A pattern with ``{name}`` in it, ``*`` standing for anything: what ``{name}`` is of the old name is the new one. Or
        ``PATTERN=NEW`` with ``{name}`` in both. Or a CSV file with two columns: old name, new name.

    Raises
    ------
    InputError
        Here, if there is no ``{name}`` in it; when called, if a name does not fit or is not in the table.

    Examples
    --------
    >>> renamer("rec_{name}_*Apx")("rec_TS_01_10.00Apx"), renamer("{name}_b4={name}.mrc")("a_b4")
    ('TS_01', 'a.mrc')
    """
    if option is None:
        return lambda name: name
    if _PART not in option:
        return _table(Path(option).expanduser(), option)
    pattern, has_new, new = option.partition("=")
    if not has_new:
        new = _PART
    if pattern.count(_PART) != 1 or _PART not in new:
        raise InputError(
            f"--rename {option!r} needs {_PART} once on each side of =, such as 'rec_{_PART}_*Apx'"
        )
    parts = re.split(r"(\{name\}|\*)", pattern)
    expression = re.compile(
        "".join({_PART: "(.+)", "*": ".*?"}.get(p, re.escape(p)) for p in parts), re.DOTALL
    )

    def rename(name: str) -> str:
        match = expression.fullmatch(name)
        if match is None:
            raise InputError(
                f"the tomogram {name!r} does not fit --rename {option!r}; give a pattern that fits all, or a table of old and new names"
            )
        return check_name(new.replace(_PART, match[1]), f"what --rename makes of {name!r}")

    return rename


def _table(path: Path, option: str) -> Callable[[str], str]:
    if not path.is_file():
        raise InputError(
            f"--rename {option!r} is neither a pattern with {_PART} in it nor a file; give 'rec_{_PART}', or a CSV of old and new names"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[c.strip() for c in row] for row in csv.reader(file) if any(c.strip() for c in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} is not a CSV of names ({error})") from None
    for k, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise FormatError(f"{path} has {len(row)} cells in row {k}, where an old and a new name belong")
    new_names = dict(rows)

    def rename(name: str) -> str:
        if name not in new_names:
            raise InputError(f"the tomogram {name!r} is not in {path}; add a row with its new name")
        return check_name(new_names[name], f"the new name of {name!r} in {path}")

    return rename
