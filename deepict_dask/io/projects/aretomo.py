"""AreTomo3: the tomograms ``NAME_Vol.mrc`` beside ``NAME.aln``.

The tilt series is ``NAME.mrc`` (or ``.st``) in the same folder; its header has the pixel size. Halves (``NAME_EVN_Vol.mrc``,
``NAME_ODD_Vol.mrc``) are no tomograms of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.errors import InputError
from deepict_dask.io.exchange.frame import Series
from deepict_dask.io.formats.mrc_header import pixel_size_of
from deepict_dask.io.projects.series import row_of
from deepict_dask.io.tomogram_row import TomogramRow

_END = "_Vol.mrc"


def is_project(folder: Path) -> bool:
    """Tell whether a folder has tomograms of AreTomo3 and their alignments."""
    return any(_names(folder))


def rows(folder: Path) -> Iterator[TomogramRow]:
    """Give a row per tomogram that has an alignment."""
    for name in sorted(_names(folder)):
        file = folder / f"{name}{_END}"
        yield row_of(str(file), Series(name, _pixel_size(folder, name)), str(file), folder)


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
