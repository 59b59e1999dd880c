"""Pictures of tomograms inside a page: drawn small enough for all of them, and taken from an earlier page where they stand."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deepict_dask import __version__
from deepict_dask.io.location import Location
from deepict_dask.pictures import snapshot_bytes
from deepict_dask.pictures.look import Look

BUDGET = 20_000_000
"""Bytes of all pictures of a page; in base64 they take a third more."""
LARGEST, SMALLEST = 300_000, 8_000
"""Bytes of one picture, where there are few, and where there are so many that further ones are left out."""
_WIDTHS = ((12, 640), (60, 480), (400, 360), (10**9, 260))
_THREADS = 2
_EMBEDDED = re.compile(r'data-key="([0-9a-f]{32})" src="data:image/webp;base64,([A-Za-z0-9+/=]+)"')


@dataclass(frozen=True)
class Picture:
    """A picture of a tomogram in WebP, in base64; empty where it could not be drawn, for a reason."""

    key: str = ""
    content: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Pictures:
    """The pictures of a page.

    Attributes
    ----------
    by_name : mapping of str to Picture
        Of those tomograms that have one, or had to have one.
    width : int
        Of their x-y slices in pixels, at most.
    note : str
        That they were made smaller, or that some were left out; empty where neither holds.
    """

    by_name: Mapping[str, Picture]
    width: int
    note: str = ""


def embed(folder: Location, names: Sequence[str], earlier: str = "", budget: int = BUDGET) -> Pictures:
    """Draw tomograms for a page.

    Parameters
    ----------
    folder : Location
        The run folder.
    names : sequence of str
        Of the tomograms whose images and tables are complete, the most important ones first.
    earlier : str
        An earlier page of the run: pictures in it that would be drawn alike are taken from it.
    budget : int
        Bytes of all of them.
    """
    width = next(w for most, w in _WIDTHS if len(names) <= most)
    drawn, left_out = list(names), []
    if names and budget // len(names) < SMALLEST:
        most = max(1, budget // SMALLEST)
        drawn, left_out = list(names[:most]), list(names[most:])
    each = min(LARGEST, budget // max(1, len(drawn)))
    known = dict(_EMBEDDED.findall(earlier))

    def draw(name: str) -> Picture:
        try:
            key = _key(folder / name, width, each)
            return (
                Picture(key, known[key]) if key in known else Picture(key, _drawn(folder / name, width, each))
            )
        except Exception as error:  # whatever it is: a page without one picture is better than none
            return Picture(reason=" ".join(str(error).split()) or type(error).__name__)

    with ThreadPoolExecutor(_THREADS, "pictures") as pool:
        pictures = dict(zip(drawn, pool.map(draw, drawn), strict=True))
    notes = []
    if width < _WIDTHS[0][1]:
        notes.append(
            f"So that {len(drawn)} pictures fit into one file they are {width} pixels wide; deepict-dask snapshot draws "
            "larger ones."
        )
    if left_out:
        notes.append(
            f"{len(left_out)} more tomograms have no picture here, since the file would become too large."
        )
    return Pictures(pictures, width, " ".join(notes))


def _drawn(place: Location, width: int, most: int) -> str:
    content = snapshot_bytes(place, Look(width=width), suffix=".webp", quality=70, most=most)
    if len(content) > most:
        raise ValueError(f"the picture has {len(content)} bytes, where {most} are left for each")
    return base64.b64encode(content).decode()


def _key(place: Location, width: int, most: int) -> str:
    """Name what a picture is drawn from: the tables and the image, as their metadata know them, and how."""
    seen = hashlib.sha256(f"{__version__} {width} {most}".encode())
    for file in sorted(place.children()):
        if file.name.startswith("particles") and file.suffix == ".json":
            seen.update(file.read_bytes())
    for name in ("zarr.json", ".zattrs"):
        if (metadata := place / "tomogram.zarr" / name).is_file():
            seen.update(metadata.read_bytes())
    return seen.hexdigest()[:32]
