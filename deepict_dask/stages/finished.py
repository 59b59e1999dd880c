"""Finished or not: whether an output is there, whole, and made by what would make it now."""

from __future__ import annotations

import re
from contextlib import suppress

from deepict_dask.errors import DamagedOutputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.manifest import GROUP, METADATA, WAY_OUT
from deepict_dask.io.markers import PREFIX, remove_markers
from deepict_dask.io.ome_zarr import KEY, Image, open_image
from deepict_dask.io.zarr_store import read_group_file
from deepict_dask.provenance import Provenance

FOREIGN = "is in the way and was not written by this program; move it, or choose another output folder"
_LEVEL = re.compile(r"\d+")


def is_finished(output: Location, expected: Provenance, *, overwrite: bool) -> bool:
    """Decide about an image before it is made, and clear away what is not to be kept.

    Parameters
    ----------
    output : Location
        OME-Zarr group.
    expected : Provenance
        Of what would be made now.
    overwrite : bool
        Whether an image made by something else, or a damaged one, may be replaced; then every byte of
        one that would be kept is compared with its manifest, else names and sizes.

    Returns
    -------
    bool
        True if it is there, whole, and made by the same: there is nothing to do. Otherwise the
        place is free, or holds what a killed process left of the same, with which `unfinished` goes on.

    Raises
    ------
    OutputExistsError
        If something else is there.
    DamagedOutputError
        If it is ours and damaged, and is not to be replaced.
    """
    try:
        refused = check_output(output, expected, deep=overwrite)
    except DamagedOutputError:
        if not overwrite:
            raise
        output.remove()
        return False
    if refused is None:
        remove_markers(output)  # of a process that was killed between its last mark and this
        return True
    if refused and not overwrite:
        raise OutputExistsError(refused)
    image = None if refused else open_own(output)
    made = None if image is None else image.provenance
    if made is None or made.difference(expected) is not None:
        output.remove()
    return False


def unfinished(output: Location, edition: str) -> Image | None:
    """Open what a killed process left of an image, if it is of the same edition; what is not is removed.

    Raises
    ------
    OutputExistsError
        If something else is there.
    """
    image = open_own(output)
    if image is not None and image.is_complete:
        raise OutputExistsError(f"{output} is finished already; use --overwrite to make it again")
    if image is not None and image.is_edition(edition):
        return image
    output.remove()
    return None


def remove_own(output: Location) -> None:
    """Remove an image that this program wrote, whole or not.

    Raises
    ------
    OutputExistsError
        If it was not written by this program.
    """
    # A damaged one is ours all the same.
    with suppress(DamagedOutputError):
        open_own(output)
    output.remove()


def check_output(output: Location, expected: Provenance, *, deep: bool = False) -> str | None:
    """Look at an image without changing anything.

    Returns
    -------
    str or None
        None if it is whole and made by the same. Empty if there is nothing, or what a killed process left. Else
        the sentence that says what differs.

    Raises
    ------
    OutputExistsError
        If it was not written by this program.
    DamagedOutputError
        If it is ours and damaged.
    """
    image = open_own(output)
    if image is None or not image.is_complete:
        return ""
    made = image.provenance
    difference = (
        "another version of this program, which kept other facts with it"
        if made is None
        else made.difference(expected)
    )
    if difference is not None:
        return f"{output} was made with {difference}; use --overwrite to replace it, or another output folder"
    image.check_whole(deep=deep)
    return None


def open_own(output: Location) -> Image | None:
    """Open an image that this program wrote or began; None if there is none, or nothing of it yet.

    Raises
    ------
    OutputExistsError
        If something is there that it did not write.
    DamagedOutputError
        If it did, and the metadata cannot be read.
    """
    if not output.exists():
        output.parent.check_folder()
        return None
    if not output.is_folder():
        raise OutputExistsError(f"{output} {FOREIGN}")
    names = {child.name for child in output.children()}
    if not names:
        return None
    file, attributes = read_group_file(output)
    if attributes is not None:
        if not isinstance(attributes.get(KEY), dict):
            raise OutputExistsError(f"{output} {FOREIGN}")
        # A group whose arrays a killed process did not come to make.
        if attributes[KEY].get("complete") is not True and not any(map(_LEVEL.fullmatch, names)):
            return None
        try:
            return open_image(output)
        except Exception as error:
            if attributes[KEY].get("complete") is not True:
                return None
            raise DamagedOutputError(f"{output} is damaged ({_reason(error)}); {WAY_OUT}") from error
    if any(name.startswith(PREFIX) for name in names):
        return None  # it was begun, and its metadata did not come to the disk
    if all(n in {*METADATA, GROUP} or _LEVEL.fullmatch(n) for n in names):
        raise DamagedOutputError(
            f"{output} is damaged: its metadata ({file}) is missing or cannot be read; {WAY_OUT}"
        )
    raise OutputExistsError(f"{output} {FOREIGN}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def check_tomogram(image: Image) -> None:
    """Make sure that an image belongs to the tomogram that it lies beside.

    Raises
    ------
    DamagedOutputError
        If it was moved from the folder of another one.
    """
    beside = image.location.parent / "tomogram.zarr"
    ingested = open_own(beside)
    if ingested is not None and ingested.is_complete and ingested.name != image.name:
        raise DamagedOutputError(
            f"{image.path} is of tomogram {image.name!r}, but lies beside {ingested.name!r}; move it back to the folder of its "
            "tomogram"
        )
