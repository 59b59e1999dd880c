"""Pictures in files: whole or not at all, and only over pictures of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.pictures import raster, vector
from deepict_dask.pictures.drawing import Drawing

_RASTER = (".png", ".jpg", ".jpeg", ".webp")
_VECTOR = (".pdf", ".svg")
# What made it is said among the first bytes of PNG, JPEG and SVG, and among the last of WebP and PDF.
_LOOK = 1 << 14
_PNG = b"\x89PNG\r\n\x1a\n"
_SOFTWARE = rb"deepict_dask \d[\w.+-]*"
_NAME = re.compile(_SOFTWARE)
_SOFTWARE_TEXT = re.compile(rb"Software\0" + _SOFTWARE)
# A block of one tag, Software (0x0131), as it is written here.
_WEBP_EXIF = re.compile(
    rb"EXIF.{4}(?:Exif\0\0)?MM\0\*\0\0\0\x08\0\x01\x01\x31\0\x02.{12}" + _SOFTWARE + rb"\0", re.DOTALL
)
_PDF_CREATOR = re.compile(rb"/Creator \(" + _SOFTWARE + rb"\)")
_SVG_CREATOR = re.compile(
    rb"<dc:creator>\s*<cc:Agent>\s*<dc:title>" + _SOFTWARE + rb"</dc:title>\s*</cc:Agent>\s*</dc:creator>"
)


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
    """Tell whether this program drew a picture: its format has a field for what made it, and that is said there."""
    if not place.is_file():
        return False
    head, tail = place.read_ends(_LOOK)
    if head.startswith(_PNG):
        return any(kind == b"tEXt" and _SOFTWARE_TEXT.fullmatch(data) for kind, data in _png_chunks(head))
    if head.startswith(b"\xff\xd8"):
        return any(kind == 0xFE and _NAME.fullmatch(data) for kind, data in _jpeg_segments(head))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _WEBP_EXIF.search(tail) is not None
    if head.startswith(b"%PDF"):
        return _PDF_CREATOR.search(tail) is not None
    return _SVG_CREATOR.search(head) is not None


def _png_chunks(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give type and data of each chunk before the pixels."""
    at = len(_PNG)
    while at + 8 <= len(head):
        length, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind == b"IDAT":
            return
        yield kind, head[at + 8 : at + 8 + length]
        at += length + 12  # with the checksum


def _jpeg_segments(head: bytes) -> Iterator[tuple[int, bytes]]:
    """Give marker and data of each segment before the pixels."""
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF and head[at + 1] != 0xDA:
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        yield head[at + 1], head[at + 4 : at + 2 + length]
        at += 2 + length
