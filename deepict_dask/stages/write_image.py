"""Write a lazy image: block by block, with digests, then the manifest, then the mark; whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask import __version__
from deepict_dask.engine.execute import Written, execute, written
from deepict_dask.geometry import Shape
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, create_image, finish_image
from deepict_dask.provenance import Provenance
from deepict_dask.stages.work import Work
from deepict_dask.tomogram import VoxelSize

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """What an image is to look like.

    Attributes
    ----------
    kind : {"tomogram", "probability", "labels"}
        Decides on compression and pyramid.
    name : str
        Of the tomogram.
    voxel_size : (float, float, float)
        (z, y, x) in A.
    core : (int, int, int)
        What one task writes, (z, y, x) voxels.
    version : str
        Of OME-Zarr.
    classes : tuple of str
        Names of the channels; empty for none.
    n_levels : int or None
        Of the pyramid; chosen by the shape if None.
    """

    kind: str
    name: str
    voxel_size: VoxelSize
    core: Shape
    version: str = "0.5"
    classes: tuple[str, ...] = ()
    n_levels: int | None = None


def write_image(
    location: Location,
    voxels: da.Array,
    form: Form,
    made_by: Provenance,
    work: Work,
    *,
    reduce: Callable[..., Any],
    finish: Callable[[Sequence[Any]], Attributes],
    computed: Sequence[Shape] | None = None,
) -> Image:
    """Compute a lazy image and write it; marked as finished last.

    Parameters
    ----------
    location : Location
        The group to make; must be free.
    voxels : dask.array.Array, shape (z, y, x) or (class, z, y, x)
        Chunked as the form's cores.
    form : Form
        What it is to look like.
    made_by : Provenance
        What it depends on.
    work : Work
        Follows the blocks; its claim is looked at before the mark is set.
    reduce : callable
        ``reduce(block, index=...)``, called where the block is computed.
    finish : callable
        What all blocks gave, in C order, to the attributes that the image keeps. What it raises leaves
        no image behind.
    computed : sequence of (int, int, int), optional
        Numbers of the blocks that are more than filled in; the manifest says that the others were not computed.

    Returns
    -------
    Image
        Complete.
    """
    image = create_image(
        location,
        shape=voxels.shape,
        dtype=voxels.dtype,
        voxel_size=form.voxel_size,
        name=form.name,
        core=form.core,
        n_levels=form.n_levels,
        version=form.version,
        kind=form.kind,
        classes=list(form.classes) or None,
        made_by=made_by,
    )
    parts = written(voxels, image.writer, reduce)
    with work.reporter.progress(made_by.stage, form.name, parts.size) as advance:
        blocks: list[Written] = execute(parts, advance=advance)
    try:
        attributes = finish([b.part for b in blocks])
    except Exception:
        location.remove()
        raise
    work.check_claim()
    shards = [shard for b in blocks for shard in b.receipt]
    return finish_image(image, shards, computed, **{**attributes, "package_version": __version__})


def nothing(block: np.ndarray, index: tuple[int, ...]) -> None:
    """Reduce a block to nothing."""
