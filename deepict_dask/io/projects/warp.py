"""WarpTools: the tomograms of ``ts_reconstruct``.

A folder of tilt series (``warp_tiltseries``), or the one above it: ``reconstruction/NAME_10.00Apx.mrc`` and, beside or above,
``warp_tiltseries.settings`` with the pixel size (``Import``: ``PixelSize``, ``BinTimes``) and the tomogram's size in such
pixels (``Tomo``: ``DimensionsX|Y|Z``; WarpLib, ``OptionsWarp``). Tilt series are called ``NAME``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.exchange.frame import Series
from deepict_dask.io.projects.series import row_of
from deepict_dask.io.tomogram_row import TomogramRow
from deepict_dask.names import first_duplicate

_NAME = re.compile(r"(?P<name>.+)_(?P<size>\d+\.\d+)Apx\.mrc$", re.IGNORECASE)


def is_project(folder: Path) -> bool:
    """Tell whether a folder has tomograms of Warp."""
    return _reconstruction(folder) is not None


def rows(folder: Path) -> Iterator[TomogramRow]:
    """Give a row per tomogram.

    Raises
    ------
    InputError
        If there are tomograms of several voxel sizes.
    FormatError
        If the settings are damaged.
    """
    place = _reconstruction(folder)
    assert place is not None
    files = [
        (m["name"], m["size"], file) for file in sorted(place.iterdir()) if (m := _NAME.fullmatch(file.name))
    ]
    if first_duplicate([name for name, _, _ in files]):
        sizes = sorted({size for _, size, _ in files}, key=float)
        raise InputError(
            f"{place} holds tomograms of {', '.join(sizes)} A; give those of one size, such as '{place}/*_{sizes[-1]}Apx.mrc' with "
            "--name"
        )
    pixel, shape = _settings(place)
    for name, _, file in files:
        yield row_of(str(file), Series(name, pixel, shape), str(file), folder)


def _reconstruction(folder: Path) -> Path | None:
    places = [folder / "reconstruction", folder / "warp_tiltseries" / "reconstruction"]
    # Another folder of such files is a folder of tomograms like any other.
    for place in [*places, *([folder] if folder.name == "reconstruction" else [])]:
        if place.is_dir() and any(_NAME.fullmatch(file.name) for file in place.iterdir()):
            return place
    return None


def _settings(place: Path) -> tuple[float | None, tuple[float, float, float] | None]:
    """Give the pixel size and the size of tomograms in such pixels, (z, y, x), where settings say them."""
    from xml.etree import ElementTree

    for folder in (place, *list(place.absolute().parents)[:2]):
        files = sorted(folder.glob("*tiltseries*.settings"))
        if len(files) != 1:
            continue
        try:
            root = ElementTree.fromstring(files[0].read_bytes())
            params = {
                (section.tag, p.get("Name")): float(p.get("Value") or 0)
                for section in root
                if section.tag in ("Import", "Tomo")
                for p in section
                if p.get("Name") in ("PixelSize", "BinTimes", "DimensionsX", "DimensionsY", "DimensionsZ")
            }
        except (ElementTree.ParseError, ValueError) as error:
            raise FormatError(f"{files[0]} is not Warp's settings ({error}); repair or move it") from None
        pixel = params.get(("Import", "PixelSize"), 0.0) * 2 ** params.get(("Import", "BinTimes"), 0.0)
        z, y, x = (params.get(("Tomo", f"Dimensions{axis}"), 0.0) for axis in "ZYX")
        # Dimensions count pixels of the data as they came, whatever they are binned to at import.
        factor = 2 ** params.get(("Import", "BinTimes"), 0.0)
        shape = (z / factor, y / factor, x / factor) if z and y and x else None
        return (pixel or None), shape
    return None, None
