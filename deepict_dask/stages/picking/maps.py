"""Stored probability maps: where they are, whether they can be picked from, and the voxels of one class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dask.array as da

from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid
from deepict_dask.io.formats.zarr_listing import is_zarr
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.stages.finished import check_tomogram
from deepict_dask.stages.mask import Mask


def find_maps(place: Location) -> Iterator[Location]:
    """Find the probability maps in a run folder, or take one as it is named.

    Raises
    ------
    InputError
        Where there is none.
    """
    if is_zarr(place):
        yield place
        return
    maps = [
        child
        for folder in (place, *(c for c in place.children() if c.is_folder()))
        for child in folder.children()
        if child.name.startswith("probability") and child.name.endswith(".zarr")
    ]
    if not maps:
        raise InputError(
            f"{place} holds no probability map; give a run folder, the folder of a tomogram in it, "
            "or a probability.zarr"
        )
    yield from maps


def check_map(probability: Image) -> None:
    """Refuse to pick from what is no finished probability map.

    Raises
    ------
    InputError
        Naming what it is instead.
    DamagedOutputError
        If files of it are missing or are not what was written, or it lies beside another tomogram.
    """
    if probability.is_foreign or probability.kind != "probability":
        what = f"a {probability.kind} of this program" if probability.kind else "an image of another program"
        raise InputError(
            f"{probability.path} is {what} and no probability map; give a run folder, or a probability.zarr that "
            "`deepict-dask segment` wrote"
        )
    if not probability.is_complete:
        raise InputError(f"{probability.path} was never finished; run segment again")
    probability.check_whole()
    check_tomogram(probability)


@dataclass(frozen=True)
class ClassMap:
    """The probability map of one class, and where its particles are allowed; lazy.

    Attributes
    ----------
    levels : dask array, shape (z, y, x)
        Probabilities, or the levels that they are stored as.
    scale : float or None
        Probability of one level; None for probabilities.
    region : dask array of uint8, shape (z, y, x), or None
        1 is inside; chunked like the levels.
    """

    levels: da.Array
    scale: float | None
    region: da.Array | None


def class_map(probability: Image, channel: int, mask: Mask | None) -> ClassMap:
    """Open one class of a stored map, in the blocks that it was computed in; those that were not are no foreground."""
    array, core = probability.array.zeros_where_not_computed(), probability.core
    assert core is not None
    chunks = BlockGrid(probability.spatial_shape, core).chunks
    if array.ndim == 3:
        levels = da.from_array(array, chunks=chunks, asarray=False)
    else:
        levels = da.from_array(array, chunks=((1,) * array.shape[0], *chunks), asarray=False)[channel]
    region = None if mask is None else da.from_array(mask, chunks=levels.chunks, asarray=False)
    scale = probability.attributes.get("scale") if levels.dtype.kind == "u" else None
    return ClassMap(levels, scale, region)
