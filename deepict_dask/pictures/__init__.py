"""Pictures of what was found: slices with picks, galleries; drawn with numpy and Pillow, so that every run can leave one.

Pillow comes with Bokeh, which the Dask dashboard needs. Only PDF and SVG need matplotlib, the extra ``plot``.
"""

from __future__ import annotations

from collections.abc import Callable

from deepict_dask.io.location import Location
from deepict_dask.pictures.look import Look

SNAPSHOT = "snapshot.png"
"""The picture that a run leaves in the folder of each tomogram."""


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
    from deepict_dask.pictures.scene import open_scene
    from deepict_dask.pictures.snapshot import draw_slices

    look = look or Look()
    output = output or place / SNAPSHOT
    check_suffix(output)
    scene = open_scene(
        place,
        image=look.image,
        particles=particles,
        truth=truth,
        classes=look.classes,
        diameter=None if look.diameter is None else look.diameter * 10,
    )
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


def snapshot_bytes(
    place: Location, look: Look | None = None, suffix: str = ".webp", quality: int = 60
) -> bytes:
    """Draw slices as for `write_snapshot` and give the bytes of the file, for pages that hold many of them."""
    from deepict_dask.pictures import raster
    from deepict_dask.pictures.scene import open_scene
    from deepict_dask.pictures.snapshot import draw_slices

    look = look or Look()
    scene = open_scene(place, image=look.image, classes=look.classes)
    return raster.encode(draw_slices(scene, look), suffix, quality)
