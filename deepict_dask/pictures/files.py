"""Pictures in files: whole or not at all, and only over pictures of our own."""

from __future__ import annotations

from collections.abc import Sequence

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.pictures import raster, vector
from deepict_dask.pictures.drawing import Drawing

_RASTER = (".png", ".jpg", ".jpeg", ".webp")
_VECTOR = (".pdf", ".svg")
_MARK = b"deepict_dask"
# The mark is among the first bytes of PNG and SVG, and among the last of PDF.
_LOOK = 1 << 14


def check_suffix(place: Location) -> str:
    """Give the suffix of a picture in lower case.

    Raises
    ------
    InputError
        If no picture is called so.
    """
    suffix = place.suffix.lower()
    if suffix not in (*_RASTER, *_VECTOR):
        raise InputError(f"{place} does not end like a picture; use one of {', '.join((*_RASTER, *_VECTOR))}")
    if suffix in _VECTOR:
        from deepict_dask.io.charts.figure import require_matplotlib

        require_matplotlib()
    return suffix


def write_picture(drawing: Drawing, place: Location, *, overwrite: bool = False) -> Location:
    """Write a drawing; the suffix says how.

    Raises
    ------
    OutputExistsError
        If something is there that is no picture of this program, without ``overwrite``.
    """
    suffix = check_suffix(place)
    check_free(place, overwrite=overwrite)
    return place.write((raster if suffix in _RASTER else vector).encode(drawing, suffix))


def write_pages(pages: Sequence[Drawing], place: Location, *, overwrite: bool = False) -> list[Location]:
    """Write pages as ``NAME_1.png`` and so on, and remove further ones of an earlier gallery.

    Raises
    ------
    OutputExistsError
        If something else is in the way of any of them, without ``overwrite``; then nothing is written.
    """
    check_suffix(place)

    def page(number: int) -> Location:
        return place.with_name(f"{place.stem}_{number}{place.suffix}")

    written = [page(k) for k in range(1, len(pages) + 1)]
    for target in written:
        check_free(target, overwrite=overwrite)
    for drawing, target in zip(pages, written, strict=True):
        write_picture(drawing, target, overwrite=overwrite)
    further = len(pages) + 1
    while is_ours(page(further)):
        page(further).remove()
        further += 1
    return written


def check_free(place: Location, *, overwrite: bool) -> None:
    """Refuse to write over what is no picture of this program; OutputExistsError."""
    if place.exists() and not overwrite and not is_ours(place):
        raise OutputExistsError(
            f"{place} exists and is no picture of this program; use --overwrite to replace it, or another name"
        )


def is_ours(place: Location) -> bool:
    """Tell whether this program drew a picture."""
    if not place.is_file():
        return False
    content = place.read_bytes()
    return _MARK in content[:_LOOK] or _MARK in content[-_LOOK:]
