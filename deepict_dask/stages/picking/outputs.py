"""What picking leaves of a class: tables with their side file, and the label image; kept where the same made them."""

from __future__ import annotations

from deepict_dask.engine.foreground import segmentation
from deepict_dask.engine.labelling import label
from deepict_dask.errors import DamagedOutputError, OutputExistsError
from deepict_dask.geometry import BlockGrid
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.tables import write_particles
from deepict_dask.particles import Particles
from deepict_dask.provenance import Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.finished import is_finished, remove_own
from deepict_dask.stages.picking.jobs import PickJob
from deepict_dask.stages.picking.maps import ClassMap
from deepict_dask.stages.tables import (
    TableRecord,
    begin_tables,
    check_tables,
    facts_of,
    finish_tables,
    is_ours,
    read_record,
)
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_image import Form, nothing, write_image


def record_of(job: PickJob, work: Work) -> TableRecord | None:
    """Read the side file of a job; None if there is none, or one that may be replaced."""
    try:
        return read_record(job.side)
    except (DamagedOutputError, OutputExistsError):
        if not work.overwrite:
            raise
        return None


def are_kept(job: PickJob, made_by: Provenance, work: Work) -> bool:
    """Tell whether the tables are whole and made by the same; OutputExistsError if they are not and must stay."""
    try:
        refused = check_tables(job.side, made_by, job.table_names)
    except (DamagedOutputError, OutputExistsError):
        if not work.overwrite:
            raise
        return False
    if refused and not work.overwrite:
        raise OutputExistsError(refused)
    return refused is None


def write_tables(
    job: PickJob, particles: Particles, made_by: Provenance, record: TableRecord | None, work: Work
) -> None:
    """Write the tables of a class, between the two writings of their side file."""
    for name in [*job.table_names, *(record.tables if record is not None else ())]:
        if not work.overwrite and not is_ours(job.folder / name, record):
            raise OutputExistsError(
                f"{job.folder / name} was not written by this program, or was changed since; move it, or use --overwrite"
            )
    work.check_claim()
    begin_tables(job.side, made_by, job.table_names, record)
    for table, form in zip(job.tables, job.settings.formats, strict=True):
        write_particles(particles, table, form)
    # Tables of earlier settings must not lie beside the new ones as if they belonged together.
    for old in record.tables if record is not None else ():
        if old not in job.table_names:
            (job.folder / old).remove()
    facts = facts_of(len(particles), job.tomogram, job.class_name, job.own_grid)
    if any(particles.origin):
        facts["origin"] = particles.origin
    work.check_claim()
    finish_tables(job.side, made_by, job.table_names, facts)


def clear_labels(job: PickJob, made_by: Provenance) -> bool:
    """Make room for the label image; True if there is none to write: not asked for, or there already."""
    return not job.writes_labels or is_finished(job.labels, made_by, overwrite=True)


def write_labels(probability: Image, job: PickJob, voxels: ClassMap, made_by: Provenance, work: Work) -> None:
    """Write the label image: the same components, by number, before sizes are looked at."""
    assert probability.core is not None and probability.voxel_size is not None
    memory.check_memory(
        memory.labels(
            BlockGrid(probability.spatial_shape, probability.core),
            voxels.levels.dtype.itemsize,
            foreground=job.foreground,
        ),
        "label images of this tomogram",
        "use --no-write-labels, or fewer workers with more memory each",
    )
    rules = job.rules
    above = segmentation(
        voxels.levels,
        threshold=rules.threshold,
        border=rules.border,
        region=voxels.region,
        scale=voxels.scale,
    )
    labels = label(above, connectivity=rules.connectivity)
    form = Form("labels", job.tomogram, probability.voxel_size, probability.core, probability.version, (), 1)
    write_image(job.labels, labels, form, made_by, work, reduce=nothing, finish=lambda parts: {})


def remove_labels(job: PickJob) -> None:
    """Remove labels of earlier settings: beside new tables they would look as if they belonged together."""
    if job.labels.exists():
        remove_own(job.labels)
