"""Write a lazy image: block by block, with digests, then the manifest, then the mark; whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask import __version__
from deepict_dask.engine.execute import execute
from deepict_dask.engine.written import Written, recalled, written
from deepict_dask.geometry import Shape
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, create_image, finish_image
from deepict_dask.provenance import Provenance
from deepict_dask.stages.finished import unfinished
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
        The group to make; must be free, or hold what a killed process left of it: then only the blocks that are not
        there are computed.
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
    image = _begin(location, voxels, form, made_by)
    blocks = _written(image, voxels, made_by.stage, work, reduce)
    try:
        attributes = finish([b.part for b in blocks])
    except Exception:
        work.check_claim()  # who was taken for dead removes nothing of another one's
        location.remove()
        raise
    work.check_claim()
    shards = [shard for b in blocks for shard in b.receipt]
    return finish_image(image, shards, computed, **{**attributes, "package_version": __version__})


def edition_of(made_by: Provenance, form: Form, shape: Sequence[int], dtype: np.dtype) -> str:
    """Identify all that decides on the bytes of an image: what it is made from, what it looks like, this version."""
    facts = [__version__, made_by.digest, asdict(form), list(shape), np.dtype(dtype).str]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _begin(location: Location, voxels: da.Array, form: Form, made_by: Provenance) -> Image:
    """Go on with what a killed process left of the same image, or make an empty one."""
    edition = edition_of(made_by, form, voxels.shape, voxels.dtype)
    image = unfinished(location, edition)
    if image is not None:
        return image
    return create_image(
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
        edition=edition,
    )


def _written(
    image: Image, voxels: da.Array, stage: str, work: Work, reduce: Callable[..., Any]
) -> list[Written]:
    """Compute and write the blocks that are not there yet; gives all, in C order."""
    parts = written(voxels, image.writer, reduce)
    compute = partial(execute, name=f"{stage}-{image.name}", priority=work.priority)
    markers = image.markers
    noted = [] if markers is None else markers.indices()
    with work.reporter.progress(stage, image.name, parts.size) as advance:
        blocks: dict[tuple[int, ...], Written] = {}
        if markers is not None and noted:
            # On the workers, beside the bytes: every shard is read.
            looked = compute(recalled(markers.read, noted))
            blocks = {index: found for index, found in zip(noted, looked, strict=True) if found is not None}
            advance(len(blocks))
            work.reporter.say(
                f"{image.name}: {len(blocks)} of {parts.size} blocks of {stage} are there already"
            )
        missing = [index for index in np.ndindex(parts.numblocks) if index not in blocks]
        blocks |= zip(missing, compute(parts, advance, blocks=missing), strict=True)
    return [blocks[index] for index in np.ndindex(parts.numblocks)]


def nothing(block: np.ndarray, index: tuple[int, ...]) -> None:
    """Reduce a block to nothing."""
