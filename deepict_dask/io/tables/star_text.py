"""STAR as text: blocks of names and values, quoted wherever the format needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepict_dask.errors import FormatError, InputError

Block = dict[str, list[str]]
_RESERVED = re.compile(r"(data_|save_).*|loop_|stop_|global_", re.IGNORECASE | re.DOTALL)
# A quoted value ends at its quote before a blank or the end of the line; a comment begins at the line's or after a blank.
_TOKEN = re.compile(r"""'((?:[^']|'(?=\S))*)'(?=\s|$)|"((?:[^"]|"(?=\S))*)"(?=\s|$)|#.*|(\S+)""")


def quoted(value: str) -> str:
    r"""Write a value so that it is read back as it is.

    Raises
    ------
    InputError
        If the format cannot hold it.

    Examples
    --------
    >>> quoted("TS_01"), quoted("data_1"), quoted("it's"), quoted("my tomogram")
    ('TS_01', '"data_1"', '"it\'s"', '"my tomogram"')
    """
    plain = (
        value
        and not re.search(r"[\s'\"#]", value)
        and value[0] not in "_#$'\"[];"
        and not _RESERVED.fullmatch(value)
    )
    if plain:
        return value
    if "\n" in value or "\r" in value:
        raise InputError(f"the name {value!r} has several lines, which STAR cannot hold here; rename it")
    for quote in "\"'":
        if not re.search(rf"{quote}(\s|$)", value):
            return f"{quote}{value}{quote}"
    raise InputError(f"the name {value!r} holds both kinds of quotes, which STAR cannot hold; rename it")


def write_star(path: Path, blocks: Mapping[str, Mapping[str, Sequence[str]]], note: str = "") -> None:
    """Write blocks of columns of text as loops, values quoted as they need it, below a comment of one line."""
    with path.open("w", encoding="utf-8") as file:
        file.write(star_head(note))
        for name, columns in blocks.items():
            file.write(loop_head(name, list(columns)) + loop_rows(columns) + "\n")


def star_head(note: str = "") -> str:
    """Give the first lines of a file: who wrote it, and a comment of one line."""
    return "\n".join(["# Written by deepict_dask", *([f"# {note}"] if note else []), ""]) + "\n"


def loop_head(name: str, columns: Sequence[str]) -> str:
    """Give the lines that open a loop."""
    lines = [f"data_{name}", "", "loop_", *(f"_{column} #{k}" for k, column in enumerate(columns, start=1))]
    return "\n".join(lines) + "\n"


def loop_rows(columns: Mapping[str, Sequence[str]]) -> str:
    """Give the rows of a loop, values quoted as they need it; a table may be written in several such pieces."""
    cells = [[quoted(value) for value in values] for values in columns.values()]
    return "".join("\t".join(row) + "\n" for row in zip(*cells, strict=True))


def read_star(path: Path) -> dict[str, Block]:
    """Read all blocks; single values are columns of one row.

    Raises
    ------
    FormatError
        If it is not STAR: naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a STAR file ({error}); give a table of text") from None
    blocks: dict[str, Block] = {}
    block: Block | None = None
    loop: list[str] | None = None
    for number, line in enumerate(lines, start=1):
        tokens = [m for m in _TOKEN.finditer(line) if not m[0].startswith("#")]
        if not tokens:
            continue
        values = [next(g for g in m.groups() if g is not None) for m in tokens]
        word = values[0] if tokens[0][3] is not None else ""
        if word.lower().startswith("data_"):
            block, loop = blocks.setdefault(word[5:], {}), None
        elif block is None:
            raise FormatError(
                f"{path} is not a STAR file: line {number} stands before any data_ block (of particles with rlnCoordinateX, say)"
            )
        elif word.lower() == "loop_":
            loop = []
        elif word.startswith("_"):
            name = word[1:]
            if name in block:
                raise FormatError(
                    f"{path} has the column {name} twice in one block (line {number}); leave one out"
                )
            block[name] = []
            if loop is None:
                block[name] = values[1:2]
            else:
                loop.append(name)
        elif loop:
            if len(values) != len(loop):
                raise FormatError(
                    f"{path} has {len(values)} values in line {number} where the loop has {len(loop)} columns"
                )
            for name, value in zip(loop, values, strict=True):
                block[name].append(value)
        else:
            raise FormatError(f"{path} is not a STAR file: line {number} belongs to no loop")
    return blocks
