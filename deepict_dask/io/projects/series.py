"""What is known of tilt series, as columns of a table of tomograms, and back."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepict_dask.io.exchange.frame import Series
from deepict_dask.io.tomogram_row import TomogramRow
from deepict_dask.names import check_name

SERIES_COLUMNS = (
    "tilt_series_pixel_size", "unbinned_z", "unbinned_y", "unbinned_x", "hand", "tomograms_star",
)  # fmt: skip
"""Pixel size of the tilt series in A (bin 1), size of the tomogram in such pixels, handedness, RELION's list of tomograms."""


def row_of(
    path: str,
    series: Series,
    place: str,
    folder: Path,
    *,
    voxel_size: float | None = None,
    star: str = "",
    warnings: tuple[str, ...] = (),
) -> TomogramRow:
    """Make a row of a table of tomograms of what a project says.

    Parameters
    ----------
    path : str
        Of the tomogram.
    series : Series
        Of its tilt series; its name is the tomogram's.
    place : str
        Where that is written, for sentences.
    folder : Path
        Of the project.
    voxel_size : float, optional
        Of the tomogram in A, where the project says another than may be in the file.
    star : str
        RELION's list of tomograms.
    warnings : tuple of str
        What the user should know of how the project was understood.
    """
    cells: dict[str, Any] = {} if voxel_size is None else {"voxel_size": voxel_size}
    if series.pixel_size is not None:
        cells["tilt_series_pixel_size"] = series.pixel_size
    if series.unbinned_shape is not None:
        cells |= dict(zip(("unbinned_z", "unbinned_y", "unbinned_x"), series.unbinned_shape, strict=True))
    if series.hand is not None:
        cells["hand"] = series.hand
    if star:
        cells["tomograms_star"] = star
    name = check_name(series.name, f"the tomogram of {place}")
    return TomogramRow(path, name, cells, place, str(folder.absolute()), os.path.lexists(path), warnings)


def series_of(name: str, cells: Mapping[str, Any]) -> Series | None:
    """Read what `row_of` wrote; None where nothing of it is there."""

    def value(column: str) -> float | None:
        try:
            number = float(cells[column])
        except (KeyError, TypeError, ValueError):
            return None
        return number if math.isfinite(number) and number != 0 else None

    pixel, hand = value("tilt_series_pixel_size"), value("hand")
    z, y, x = (value(f"unbinned_{axis}") for axis in "zyx")
    shape = (z, y, x) if z and y and x else None
    if pixel is None and shape is None and hand is None:
        return None
    return Series(name, pixel, shape, None, hand)


def series_of_run(folder: Path) -> tuple[dict[str, Series], str]:
    """Read what a run knows of its tilt series, which projects were its input, from its ``summary.json``.

    Returns
    -------
    series : dict of str to Series
        By tomogram; empty where nobody said.
    star : str
        RELION's list of tomograms, where all of them are of one; else empty.
    """
    try:
        content = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        metadata = {str(t["name"]): dict(t.get("metadata") or {}) for t in content["tomograms"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, ""
    found = {
        name: series for name, cells in metadata.items() if (series := series_of(name, cells)) is not None
    }
    stars = {str(cells.get("tomograms_star") or "") for cells in metadata.values()}
    star = stars.pop() if len(stars) == 1 else ""
    return found, star if os.path.isfile(star) else ""
