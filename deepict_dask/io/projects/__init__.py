"""Projects of other programs: which tomograms they have, what these are called, and what is known of their tilt series.

A project is named like a table of tomograms, and gives the same rows: ``Tomograms/job063/tomograms.star`` of RELION 5, a folder
of WarpTools or AreTomo3, ``config.json`` of copick. What it says of the tilt series goes into the columns of `SERIES_COLUMNS`,
is kept with the run, and is what exports of the run need.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.io.projects import aretomo, copick, relion, warp
from deepict_dask.io.projects.series import SERIES_COLUMNS, series_of_run
from deepict_dask.io.tomogram_row import TomogramRow


def is_project(argument: str) -> bool:
    """Tell whether an argument names a project, by its name and a look into it; tomograms are not opened."""
    path = Path(argument.partition("#")[0]).expanduser()
    if path.is_dir():
        return warp.is_project(path) or aretomo.is_project(path)
    if path.suffix.lower() == ".star":
        return True
    return path.suffix.lower() == ".json" and path.is_file() and _is_config(path)


def read_project(argument: str) -> Iterator[TomogramRow]:
    """Read the tomograms of a project.

    Parameters
    ----------
    argument : str
        As the user gives it. Of copick ``config.json#10.000/wbp`` chooses a voxel spacing and a type.

    Raises
    ------
    InputError
        If it has no tomograms, or one must be chosen.
    FormatError
        If its files are damaged.
    """
    place, _, chosen = argument.partition("#")
    path = Path(place).expanduser()
    if path.suffix.lower() == ".star":
        yield from relion.rows(path)
    elif path.is_file():
        yield from copick.rows(path, chosen)
    elif warp.is_project(path):
        yield from warp.rows(path)
    else:
        yield from aretomo.rows(path)


def _is_config(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "pickable_objects" in content


__all__ = ["SERIES_COLUMNS", "is_project", "read_project", "series_of_run"]
