"""AreTomo3: the tomograms ``NAME_Vol.mrc`` beside ``NAME.aln``.

The tilt series is ``NAME.mrc`` (or ``.st``) in the same folder; its header has the pixel size. Halves (``NAME_EVN_Vol.mrc``,
``NAME_ODD_Vol.mrc``) are no tomograms of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepict_dask.errors import InputError
from deepict_dask.io.exchange.frame import Series
from deepict_dask.io.formats.mrc_header import pixel_size_of
from deepict_dask.io.projects.series import row_of
from deepict_dask.io.tomogram_row import TomogramRow

_END = "_Vol.mrc"
_HALVES = ("_EVN", "_ODD")


def is_project(folder: Path) -> bool:
    """Tell whether a folder has tomograms of AreTomo3 and their alignments."""
    return any(_names(folder))


def rows(folder: Path) -> Iterator[TomogramRow]:
    """Give a row per tomogram that has an alignment; those without are named in a warning."""
    names = sorted(_names(folder))
    warnings = _left_out(folder, names)
    for name in names:
        file = folder / f"{name}{_END}"
        yield row_of(str(file), Series(name, _pixel_size(folder, name)), str(file), folder, warnings=warnings)


def _left_out(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Say which tomograms have no alignment, halves of others not being meant."""
    taken = {f"{name}{half}" for name in names for half in ("", *_HALVES)}
    others = sorted(
        file.name for file in folder.glob(f"*{_END}") if file.name.removesuffix(_END) not in taken
    )
    if not others:
        return ()
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return (
        f"{folder} has no alignment NAME.aln of {', '.join(others[:5])}{more}, so these are left out; give them by their "
        "paths to take them too",
    )


def _names(folder: Path) -> Iterator[str]:
    for file in folder.glob("*.aln"):
        if os.path.lexists(folder / f"{file.stem}{_END}"):
            yield file.stem


def _pixel_size(folder: Path, name: str) -> float | None:
    """Read the pixel size of a tilt series; None where there is none, or it says 0 or 1."""
    for suffix in (".mrc", ".st", ".mrcs"):
        file = folder / f"{name}{suffix}"
        if file.is_file():
            try:
                return pixel_size_of(file)
            except InputError:
                return None
    return None
