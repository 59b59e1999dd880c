"""Drawings to pixels: numpy for shapes, whose edges are smooth by their distance, Pillow for letters and files."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from deepict_dask import __version__
from deepict_dask.pictures.drawing import Box, Circle, Drawing, Fill, Label, Line, Raster
from deepict_dask.pictures.fonts import drawable, font_for

SOFTWARE = f"deepict_dask {__version__}"
_N_DASHES = 8
# Gray levels of a PNG; what is left of 256 serves colors.
_N_GRAYS = 160
_EXIF_SOFTWARE = 0x0131


def to_pixels(drawing: Drawing) -> np.ndarray:
    """Draw, as uint8 (height, width, 3)."""
    from PIL import Image, ImageDraw

    canvas = np.full((drawing.height, drawing.width, 3), 255, np.uint8)
    labels: list[Label] = []
    for shape in drawing.shapes:
        if isinstance(shape, Raster):
            _paste(canvas, shape)
        elif isinstance(shape, Fill):
            _fill(canvas, shape)
        elif isinstance(shape, Circle):
            _circle(canvas, shape)
        elif isinstance(shape, Line):
            _line(canvas, shape)
        else:
            labels.append(shape)
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    for label in labels:
        _letters(image, pen, label)
    return np.asarray(image)


def encode(drawing: Drawing, suffix: str, quality: int = 85) -> bytes:
    """Draw and give the bytes of a file.

    Parameters
    ----------
    drawing : Drawing
        What to draw.
    suffix : {".png", ".jpg", ".jpeg", ".webp"}
        The format.
    quality : int
        Of JPEG and WebP, 1 to 100.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    pixels = to_pixels(drawing)
    image = Image.fromarray(pixels)
    out = io.BytesIO()
    if suffix == ".png":
        about = PngInfo()
        about.add_text("Software", SOFTWARE)
        about.add_itxt("Title", drawing.title)
        # Noise hardly shrinks: more effort costs tenths of a second and saves nothing.
        _indexed(pixels).save(out, "PNG", pnginfo=about, compress_level=4, dpi=(144, 144))
    elif suffix == ".webp":
        exif = Image.Exif()
        exif[_EXIF_SOFTWARE] = SOFTWARE
        image.save(out, "WEBP", quality=quality, method=4, exif=exif)
    else:
        image.save(out, "JPEG", quality=quality, comment=SOFTWARE.encode(), dpi=(144, 144))
    return out.getvalue()


def _indexed(pixels: np.ndarray) -> Any:
    """Give an image of 256 colors, most of them gray: a third of the bytes, since noise in three channels does not shrink."""
    from PIL import Image

    is_gray = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    index = np.rint(pixels[..., 0] * np.float32((_N_GRAYS - 1) / 255)).astype(np.uint8)
    palette = np.repeat(np.rint(np.linspace(0, 255, _N_GRAYS)).astype(np.uint8), 3).tolist()
    colored = pixels[~is_gray]
    if len(colored):
        few = Image.fromarray(colored[None]).quantize(256 - _N_GRAYS, Image.Quantize.MEDIANCUT)
        index[~is_gray] = np.asarray(few)[0] + _N_GRAYS
        palette += few.getpalette() or []
    image = Image.fromarray(index)
    image.putpalette(palette)
    return image


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float32)


def _paste(canvas: np.ndarray, shape: Raster) -> None:
    from PIL import Image

    x, y = round(shape.box.x), round(shape.box.y)
    width, height = round(shape.box.width), round(shape.box.height)
    pixels = shape.pixels
    if pixels.shape[:2] != (height, width):
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    canvas[y : y + height, x : x + width] = pixels[..., None] if pixels.ndim == 2 else pixels


def _fill(canvas: np.ndarray, shape: Fill) -> None:
    b = shape.box
    canvas[round(b.y) : round(b.bottom), round(b.x) : round(b.right)] = _rgb(shape.color).astype(np.uint8)


def _window(
    canvas: np.ndarray, clip: Box | None, left: float, top: float, right: float, bottom: float
) -> tuple[slice, slice] | None:
    """Give the pixels that a shape may touch; None where it lies outside."""
    height, width = canvas.shape[:2]
    x0, y0, x1, y1 = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
    if clip is not None:
        x0, y0 = max(x0, round(clip.x)), max(y0, round(clip.y))
        x1, y1 = min(x1, round(clip.right)), min(y1, round(clip.bottom))
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    return None if x0 >= x1 or y0 >= y1 else (slice(y0, y1), slice(x0, x1))


def _centers(where: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = where
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] + 0.5
    return y, x


def _blend(canvas: np.ndarray, where: tuple[slice, slice], cover: np.ndarray, color: str) -> None:
    part = canvas[where].astype(np.float32)
    part += (_rgb(color) - part) * cover[..., None]
    canvas[where] = np.rint(part).astype(np.uint8)


def _circle(canvas: np.ndarray, c: Circle) -> None:
    reach = c.radius + c.width
    where = _window(canvas, c.clip, c.x - reach, c.y - reach, c.x + reach, c.y + reach)
    if where is None:
        return
    y, x = _centers(where)
    distance = np.hypot(x - c.x, y - c.y)
    cover = np.clip(c.width / 2 + 0.5 - np.abs(distance - c.radius), 0, 1) * c.opacity
    if c.is_dashed:
        turn = np.arctan2(y - c.y, x - c.x) / (2 * math.pi) * _N_DASHES
        cover *= (turn - np.floor(turn)) < 0.62
    _blend(canvas, where, cover, c.color)


def _line(canvas: np.ndarray, line: Line) -> None:
    (x0, y0), (x1, y1), pad = line.start, line.end, line.width
    where = _window(
        canvas, line.clip, min(x0, x1) - pad, min(y0, y1) - pad, max(x0, x1) + pad, max(y0, y1) + pad
    )
    if where is None:
        return
    y, x = _centers(where)
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
    distance = np.hypot(x - x0 - along * dx, y - y0 - along * dy)
    _blend(canvas, where, np.clip(line.width / 2 + 0.5 - distance, 0, 1) * line.opacity, line.color)


def _letters(image: Any, pen: Any, label: Label) -> None:
    from PIL import Image, ImageDraw

    text = drawable(label.text)
    font = font_for(label.text, label.size)
    if not label.turned:
        anchor = {"left": "l", "middle": "m", "right": "r"}[label.align] + "m"
        pen.text((label.x, label.y), text, fill=label.color, font=font, anchor=anchor)
        return
    width, height = math.ceil(font.getlength(text)) + 4, math.ceil(label.size * 1.6)
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).text((width / 2, height / 2), text, fill=255, font=font, anchor="mm")
    mask = mask.rotate(90, expand=True)
    place = (round(label.x - mask.width / 2), round(label.y - mask.height / 2))
    image.paste(Image.new("RGB", mask.size, label.color), place, mask)
