"""Pick: from a stored probability map to particle tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import dask.array as da

from deepict_dask.config import PickSettings
from deepict_dask.engine.execute import execute
from deepict_dask.engine.picking import Reduced, component_parts, reduce_components
from deepict_dask.geometry import Shape
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.kernels.labelling import BlockComponents
from deepict_dask.particles import Particles
from deepict_dask.provenance import Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.picking.ahead import search_name
from deepict_dask.stages.picking.explain import few_particles
from deepict_dask.stages.picking.jobs import PickJob, jobs_of
from deepict_dask.stages.picking.maps import ClassMap, check_map, class_map
from deepict_dask.stages.picking.outputs import (
    are_kept,
    clear_labels,
    record_of,
    remove_labels,
    write_labels,
    write_tables,
)
from deepict_dask.stages.picking.region import SHARE, read_region
from deepict_dask.stages.work import Work
from deepict_dask.tomogram import by


@dataclass(frozen=True)
class Picked:
    """What picking one class of one tomogram gave.

    Attributes
    ----------
    class_name : str
        What was picked.
    n_particles : int
        How many.
    tables : tuple of Location
        Where they are listed.
    is_kept : bool
        Whether the tables were there already.
    """

    class_name: str
    n_particles: int
    tables: tuple[Location, ...]
    is_kept: bool = False


def pick(
    probability: Image, folder: Location, settings: PickSettings, work: Work, stem: str = "particles"
) -> list[Picked]:
    """Pick particles from a stored probability map and write their tables.

    Parameters
    ----------
    probability : Image
        Complete; from the stage `segment`.
    folder : Location
        Where the tables go: ``particles.csv`` and so on, ``particles_CLASS.csv`` for several classes.
    settings : PickSettings
        Threshold, sizes (voxels of the map), connectivity, border (voxels of the map), region; each for all
        classes or by class.
    work : Work
        Follows the blocks. Where the map was computed by it, what its blocks gave is taken, and the map is not read.
    stem : str
        How the tables' names begin.

    Returns
    -------
    list of Picked
        One per class. Positions in the tables are in voxels of the tomogram as it was given, also where
        it was rescaled for the network.

    Raises
    ------
    InputError
        If the image is no finished probability map, or a setting does not fit it. Nothing is removed then.
    """
    check_map(probability)
    jobs = jobs_of(probability, folder, settings, stem)
    for job in jobs:
        job.check()
    picked = [_pick_class(probability, job, work) for job in jobs]
    if all(p.is_kept for p in picked):
        work.keep("pick")
    return picked


def _pick_class(probability: Image, job: PickJob, work: Work) -> Picked:
    record = record_of(job, work)
    ahead = work.ahead.pop(job.side, None)
    region = read_region(job, record, work) if ahead is None else ahead.region
    made_by = job.made_by(probability.provenance, region.file)
    if region.share is not None:
        made_by = replace(made_by, recorded={**made_by.recorded, SHARE: region.share})
    has_tables = are_kept(job, made_by, work)
    has_labels = clear_labels(job, made_by)
    if has_tables and has_labels and record is not None:
        return Picked(job.class_name, record.n_particles, job.tables, is_kept=True)
    voxels = class_map(probability, job.channel, region.mask)
    parts = ahead.parts if ahead is not None and ahead.name == search_name(job, region) else None
    reduced = _find_particles(probability, job, voxels, parts, made_by, work)
    particles = reduced.particles
    for sentence in few_particles(probability, job, reduced):
        (work.reporter.say if len(particles) else work.reporter.warn)(sentence)
    write_tables(job, in_own_voxels(particles, probability), made_by, record, work)
    if not has_labels:
        write_labels(probability, job, voxels, made_by, work)
    elif not job.writes_labels:
        remove_labels(job)
    return Picked(job.class_name, len(particles), job.tables)


def _find_particles(
    probability: Image,
    job: PickJob,
    voxels: ClassMap,
    parts: Sequence[BlockComponents] | None,
    made_by: Provenance,
    work: Work,
) -> Reduced:
    """Merge what the blocks gave while they were computed (or the stored ones give now) and filter by size."""
    rules = job.rules
    searched = _search(job, voxels) if parts is None else None
    with work.reporter.progress("pick", job.tomogram, voxels.levels.npartitions) as advance:
        if searched is not None:
            parts = execute(searched, advance, name=f"pick-{job.tomogram}", priority=work.priority)
        assert parts is not None
        reduced = reduce_components(
            parts,
            probability.spatial_shape,
            min_size=rules.min_size,
            max_size=rules.max_size,
            connectivity=rules.connectivity,
            border=rules.border,
            voxel_size=probability.voxel_size,
            tomogram=job.tomogram,
            class_name=job.class_name,
            attributes=dict(made_by.settings),
        )
        if searched is None:
            advance(len(parts))
        return reduced


def _search(job: PickJob, voxels: ClassMap) -> da.Array:
    """Threshold and label the stored map block by block, lazily."""
    rules, levels, region = job.rules, voxels.levels, voxels.region
    core: Shape = levels.chunksize  # type: ignore[assignment]
    itemsize = levels.dtype.itemsize + (0 if region is None else region.dtype.itemsize)
    memory.check_memory(
        memory.pick(core, itemsize, foreground=job.foreground),
        f"blocks of {by(core)} voxels",
        "use fewer --threads, or fewer workers with more memory each",
    )
    return component_parts(
        levels,
        threshold=rules.threshold,
        connectivity=rules.connectivity,
        border=rules.border,
        region=region,
        scale=voxels.scale,
    )


def in_own_voxels(particles: Particles, probability: Image) -> Particles:
    """Give positions in the voxels of the tomogram as it came, where it was rescaled for the network."""
    own_grid = probability.own_grid
    if (
        own_grid != probability.grid
        and own_grid.voxel_size is not None
        and probability.voxel_size is not None
    ):
        z, y, x = (a / b for a, b in zip(probability.voxel_size, own_grid.voxel_size, strict=True))
        particles = particles.scaled((z, y, x), own_grid.voxel_size)
    return replace(particles, shape=own_grid.shape, origin=probability.origin)
