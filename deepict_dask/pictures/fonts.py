"""Letters: the font that comes with Pillow, and one with more letters where a name needs them.

The same text gives the same pixels on every machine as long as it is plain Latin.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from deepict_dask.io.location import Location

# Fonts with many letters, as Linux distributions call them.
_WIDE = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "FreeSans.ttf", "Arial.ttf")


def drawable(text: str) -> str:
    r"""Give the text with letters that no font here has written as their code point.

    >>> drawable("ribosome")
    'ribosome'
    """
    font = _best(text)
    return "".join(c if _has(font, c) else f"<U+{ord(c):04X}>" for c in text)


def font_for(text: str, size: float) -> Any:
    """Give the font that a text is drawn in."""
    return _sized(_best(text), round(size * 4) / 4)


def text_width(text: str, size: float) -> float:
    """Give the width of a line of text in pixels."""
    return float(font_for(text, size).getlength(drawable(text)))


def shortened(text: str, size: float, width: float) -> str:
    """Cut a text in its middle until it fits a width in pixels; both ends tell names apart.

    >>> shortened("a" * 40, 12, 60).count("...")
    1
    """
    if text_width(text, size) <= width:
        return text
    keep = len(text)
    while keep > 2:
        keep -= max(1, keep // 16)
        cut = f"{text[: (keep + 1) // 2]}...{text[len(text) - keep // 2 :]}"
        if text_width(cut, size) <= width:
            return cut
    return "..."


@lru_cache(maxsize=256)
def _best(text: str) -> str:
    """Name the font that has most of the letters; the built-in one, whose name is empty, wins ties."""
    letters = sorted({c for c in text if not c.isspace()})
    best, most = "", -1
    for name in ("", *_wide_fonts()):
        n = sum(_has(name, c) for c in letters)
        if n > most:
            best, most = name, n
        if most == len(letters):
            break
    return best


@lru_cache(maxsize=1)
def _wide_fonts() -> tuple[str, ...]:
    fonts = []
    spec = find_spec("matplotlib")
    if spec is not None and spec.origin:
        # It brings one; matplotlib itself is not imported for it.
        file = Location.of(spec.origin).parent.join("mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
        fonts += [str(file)] if file.is_file() else []
    for name in _WIDE:
        try:
            _sized(name, 12.0)
        except OSError:
            continue
        fonts.append(name)
    return tuple(fonts)


@lru_cache(maxsize=64)
def _sized(name: str, size: float) -> Any:
    from PIL import ImageFont

    # Basic layout: the same everywhere, whether or not libraqm is there.
    layout = ImageFont.Layout.BASIC
    return ImageFont.truetype(name, size, layout_engine=layout) if name else ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _has(name: str, character: str) -> bool:
    """Tell whether a font has a letter: what it has not is drawn as the same box as a code point that is no letter."""
    if character.isspace() or (not name and character.isascii()):
        return True
    font = _sized(name, 20.0)
    missing = font.getmask("\U0010fffe")
    drawn = font.getmask(character)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)
