"""Pictures of what was found: slices with picks, galleries; drawn with numpy and Pillow, so that every run can leave one.

Pillow comes with Bokeh, which the Dask dashboard needs. Only PDF and SVG need matplotlib, the extra ``plot``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deepict_dask.io.location import Location
from deepict_dask.pictures.look import Look

if TYPE_CHECKING:
    from deepict_dask.pictures.scene import Scene

SNAPSHOT, GALLERY = "snapshot.png", "gallery.png"
"""The picture that a run leaves in the folder of each tomogram, and that of its picks, whose pages are numbered."""


def write_snapshot(
    place: Location,
    output: Location | None = None,
    look: Look | None = None,
    *,
    particles: Location | None = None,
    truth: Location | None = None,
    overwrite: bool = False,
) -> Location:
    """Draw slices of a tomogram with its particles.

    Parameters
    ----------
    place : Location
        Folder of a tomogram in a run, an image in one, or any tomogram.
    output : Location, optional
        File to write, .png, .jpg, .webp, .svg or .pdf; ``snapshot.png`` in the folder unless given.
    look : Look, optional
        What to show, and how.
    particles, truth : Location, optional
        Tables to draw: circles instead of those of the folder's tables, and crosses.
    overwrite : bool
        Whether something else than a picture of this program may be replaced.

    Returns
    -------
    Location
        The file.

    Raises
    ------
    InputError
        If there is nothing to draw, or what is asked of it cannot be shown.

    Notes
    -----
    Reads one slab for each slice, from the level of the pyramid that has about as many voxels as are drawn pixels.
    """
    from deepict_dask.pictures.files import check_suffix, write_picture
    from deepict_dask.pictures.snapshot import draw_slices

    look = look or Look()
    output = output or place / SNAPSHOT
    check_suffix(output)
    scene = _scene(place, look, particles, truth)
    return write_picture(draw_slices(scene, look), output, overwrite=overwrite)


def leave_snapshot(folder: Location, warn: Callable[[str], None]) -> Location | None:
    """Leave a picture in the folder of a tomogram, as a run does; what goes wrong is said and costs nothing else.

    Parameters
    ----------
    folder : Location
        Of a tomogram whose images and tables are complete.
    warn : callable
        Takes the sentence that says why there is no picture.

    Returns
    -------
    Location or None
        The picture; None where it could not be drawn.
    """
    try:
        return write_snapshot(folder)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        warn(f"{folder.name}: no picture was drawn ({reason}); the results are not touched by that")
        return None


def write_gallery(
    place: Location,
    output: Location | None = None,
    look: Look | None = None,
    *,
    most: int = 100,
    box: float | None = None,
    particles: Location | None = None,
    overwrite: bool = False,
) -> list[Location]:
    """Draw the picks of a tomogram one beside the other, the best-scored first.

    Parameters
    ----------
    place, look, particles, overwrite
        As for `write_snapshot`.
    output : Location, optional
        ``NAME.png`` becomes ``NAME_1.png``, ``NAME_2.png`` and so on; ``gallery.png`` in the folder unless given.
    most : int
        Picks of each class to show; where there are more, as many in even steps from the best to the worst.
    box : float, optional
        Edge of the boxes in nm; twice the diameter of the largest class unless given.

    Returns
    -------
    list of Location
        The pages, of 50 picks of one class each. Further pages of an earlier gallery are removed.

    Raises
    ------
    InputError
        If there is nothing to draw, or what is asked of it cannot be shown.
    """
    from deepict_dask.pictures.files import write_pages
    from deepict_dask.pictures.gallery import draw_gallery

    look = look or Look()
    pages = draw_gallery(_scene(place, look, particles, None), look, most=most, box=box)
    return write_pages(pages, output or place / GALLERY, overwrite=overwrite)


def snapshot_bytes(
    place: Location,
    look: Look | None = None,
    *,
    suffix: str = ".webp",
    quality: int = 60,
    most: int | None = None,
) -> bytes:
    """Draw slices as `write_snapshot` does and give the bytes of the file, for pages that hold many of them.

    Parameters
    ----------
    place, look
        As for `write_snapshot`.
    suffix : {".webp", ".jpg", ".png"}
        The format.
    quality : int
        1 to 100.
    most : int, optional
        Bytes: the quality is lowered until it fits, down to 10.
    """
    from deepict_dask.pictures import raster
    from deepict_dask.pictures.snapshot import draw_slices

    look = look or Look()
    drawing = draw_slices(_scene(place, look, None, None), look)
    content = raster.encode(drawing, suffix, quality)
    while most is not None and len(content) > most and quality > 10 and suffix != ".png":
        quality = max(10, quality - 10)
        content = raster.encode(drawing, suffix, quality)
    return content


def _scene(place: Location, look: Look, particles: Location | None, truth: Location | None) -> Scene:
    from deepict_dask.pictures.scene import open_scene

    return open_scene(
        place,
        image=look.image,
        particles=particles,
        truth=truth,
        classes=look.classes,
        diameter=None if look.diameter is None else look.diameter * 10,
    )
