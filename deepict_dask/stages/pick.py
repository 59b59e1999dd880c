"""Pick: from a stored probability map to particle tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import dask.array as da

from deepict_dask.config import PickSettings, check_class_names
from deepict_dask.config.pick import ClassPickSettingsInVoxels
from deepict_dask.engine.execute import execute
from deepict_dask.engine.foreground import segmentation
from deepict_dask.engine.labelling import label
from deepict_dask.engine.picking import check_picking, component_parts, reduce_parts
from deepict_dask.errors import DamagedOutputError, InputError, OutputExistsError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.formats.zarr_listing import is_zarr
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.source import Source
from deepict_dask.io.tables import suffix_of, write_particles
from deepict_dask.names import check_name
from deepict_dask.particles import Particles
from deepict_dask.provenance import FileInput, Made, Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.contents import file_of, read_contents
from deepict_dask.stages.finished import check_output, check_tomogram, is_finished, remove_own
from deepict_dask.stages.mask import Mask, open_mask
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
from deepict_dask.tomogram import Grid, by

# What a network that names no class finds.
ANY_CLASS = "particle"


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
        Follows the blocks.
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
    found = [_pick_class(probability, job, work) for job in jobs]
    if all(p.is_kept for p in found):
        work.keep("pick")
    return found


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
class PickJob:
    """One class of one map, with the settings that hold for it; known before the map is.

    Attributes
    ----------
    tomogram : str
        Name of the tomogram.
    class_name : str
        What is picked.
    channel : int
        Of the map.
    rules : ClassPickSettingsInVoxels
        Those of this class.
    settings : PickSettings
        Of all classes: formats, how regions are read.
    map_grid, own_grid : Grid
        Of the probability map, in whose voxels border and sizes are given; and of the tomogram as it came.
    folder : Location
        Where the tables go.
    stem : str
        Their name without suffix.
    """

    tomogram: str
    class_name: str
    channel: int
    rules: ClassPickSettingsInVoxels
    settings: PickSettings
    map_grid: Grid
    own_grid: Grid
    folder: Location
    stem: str

    @property
    def side(self) -> Location:
        """The side file."""
        return self.folder / f"{self.stem}.json"

    @property
    def labels(self) -> Location:
        """The label image."""
        return self.folder / f"{self.stem}_labels.zarr"

    @property
    def tables(self) -> list[str]:
        """Names of the tables, in the order of the formats."""
        return [f"{self.stem}{suffix_of(name)}" for name in self.settings.formats]

    def check(self) -> None:
        """Check the settings against the map before anything is computed or removed; InputError if they do not fit."""
        r = self.rules
        check_picking(self.map_grid.shape, r.threshold, r.connectivity, r.border)
        if r.region is not None:
            self.open_region()

    def open_region(self) -> tuple[Source, Mask]:
        """Open the region mask; ``{name}`` in its path stands for the tomogram's name.

        Raises
        ------
        InputError
            If it cannot be read or lies on another grid.
        """
        assert self.rules.region is not None
        return open_mask(
            self.rules.region.replace("{name}", self.tomogram),
            self.map_grid,
            self.own_grid,
            what="the region mask",
            resample=self.settings.resample_region,
            threshold=self.settings.region_threshold,
            option="--resample-region",
            way_out="say above which value is inside with --region-threshold (0 takes all that is above 0)",
        )

    def made_by(self, probability: Provenance | None, region: FileInput | None) -> Provenance:
        """Give the provenance of the particles."""
        decides = {key: value for key, value in asdict(self.rules).items() if key != "region"}
        inputs: dict[str, Made] = {} if probability is None else {"probability": probability}
        if region is not None:
            inputs["region"] = region
            decides["region_threshold"] = self.settings.region_threshold
        return Provenance("pick", inputs, {"class": self.class_name, **decides})

    def look(self, probability: Provenance | None) -> str | None:
        """Look at the tables without changing anything, see `tables.check_tables`."""
        region = None
        if self.rules.region is not None:
            record = read_record(self.side)
            known = None if record is None else record.made_by.file("region")
            region = file_of(self.open_region()[0], known)
        made_by = self.made_by(probability, region)
        found = check_tables(self.side, made_by, self.tables)
        unread = region is not None and region.checksum is None
        if found is None and (
            unread or (self.settings.write_labels and check_output(self.labels, made_by) is not None)
        ):
            return ""
        return found


def pick_jobs(
    tomogram: str,
    classes: Sequence[str],
    map_grid: Grid,
    own_grid: Grid,
    folder: Location,
    settings: PickSettings,
    stem: str = "particles",
    where: str = "the network",
) -> list[PickJob]:
    """Give what is to be picked of a map, class by class.

    Parameters
    ----------
    tomogram : str
        Its name.
    classes : sequence of str
        Of the map, in the order of its channels; empty for one without a name.
    map_grid, own_grid : Grid
        Of the map, and of the tomogram as it came.
    folder : Location
        Where the tables go.
    settings : PickSettings
        Each for all classes or by class.
    stem : str
        How the tables' names begin.
    where : str
        What the classes are of, for errors.

    Raises
    ------
    InputError
        If a class is not known, or cannot be a name.
    """
    known = list(classes) or [ANY_CLASS]
    check_class_names(settings, known, where)
    jobs = []
    for name in settings.classes or known:
        check_name(name, f"a class of {where}", is_class=True)
        own = stem if len(known) == 1 else f"{stem}_{name}"
        rules = settings.of_class(name).in_voxels(map_grid.voxel_size)
        jobs.append(
            PickJob(tomogram, name, known.index(name), rules, settings, map_grid, own_grid, folder, own)
        )
    return jobs


def jobs_of(
    probability: Image, folder: Location, settings: PickSettings, stem: str = "particles"
) -> list[PickJob]:
    """Give what is to be picked of a stored map."""
    return pick_jobs(
        probability.name,
        probability.classes,
        probability.grid,
        probability.own_grid,
        folder,
        settings,
        stem,
        probability.path,
    )


def _pick_class(probability: Image, job: PickJob, work: Work) -> Picked:
    record = _record(job, work)
    file, mask = _region(job, record, work)
    made_by = job.made_by(probability.provenance, file)
    labels_kept = not job.settings.write_labels or is_finished(job.labels, made_by, overwrite=True)
    if _is_kept(job, made_by, work) and record is not None and labels_kept:
        return Picked(job.class_name, record.n_particles, _places(job), is_kept=True)
    levels = _channel(probability, job.channel)
    region = None if mask is None else da.from_array(mask, chunks=levels.chunks, asarray=False)
    scale = probability.attributes.get("scale") if levels.dtype.kind == "u" else None
    found = _find(probability, job, levels, region, scale, made_by, work)
    _write_tables(job, in_own_voxels(found, probability), made_by, record, work)
    if not labels_kept:
        _write_labels(probability, job, levels, region, scale, made_by, work)
    elif not job.settings.write_labels and job.labels.exists():
        # Labels of earlier settings must not lie beside new tables as if they belonged together.
        remove_own(job.labels)
    return Picked(job.class_name, len(found), _places(job))


def _find(
    probability: Image,
    job: PickJob,
    levels: da.Array,
    region: da.Array | None,
    scale: float | None,
    made_by: Provenance,
    work: Work,
) -> Particles:
    """Threshold, label, reduce and filter; positions in voxels of the map."""
    rules = job.rules
    core: Shape = levels.chunksize  # type: ignore[assignment]
    itemsize = levels.dtype.itemsize + (0 if region is None else region.dtype.itemsize)
    memory.check_memory(
        memory.pick(core, itemsize),
        f"blocks of {by(core)} voxels",
        "use fewer --threads, or fewer workers with more memory each",
    )
    parts = component_parts(
        levels,
        threshold=rules.threshold,
        connectivity=rules.connectivity,
        border=rules.border,
        region=region,
        scale=scale,
    )
    with work.reporter.progress("pick", job.tomogram, parts.size) as advance:
        return reduce_parts(
            execute(parts, advance=advance),
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


def in_own_voxels(found: Particles, probability: Image) -> Particles:
    """Give positions in the voxels of the tomogram as it came, where it was rescaled for the network."""
    own = probability.own_grid
    if own != probability.grid and own.voxel_size is not None and probability.voxel_size is not None:
        z, y, x = (a / b for a, b in zip(probability.voxel_size, own.voxel_size, strict=True))
        found = found.scaled((z, y, x), own.voxel_size)
    return replace(found, shape=own.shape, origin=probability.origin)


def _record(job: PickJob, work: Work) -> TableRecord | None:
    try:
        return read_record(job.side)
    except (DamagedOutputError, OutputExistsError):
        if not work.overwrite:
            raise
        return None


def _region(job: PickJob, record: TableRecord | None, work: Work) -> tuple[FileInput | None, Mask | None]:
    """Open the region of a class and take its checksum; say how much of the tomogram lies inside."""
    if job.rules.region is None:
        return None, None
    source, mask = job.open_region()
    for sentence in source.volume.warnings:
        work.reporter.warn(sentence)
    file = file_of(source, None if record is None else record.made_by.file("region"))
    if file.checksum is None:
        file, n_inside = read_contents(source, work, job.folder)
        total = math.prod(source.shape)
        sentence = (
            f"{job.tomogram}: {100 * n_inside / total:.3g} % of the region mask {source.name} is inside"
        )
        if n_inside in (0, total):
            word = "nothing" if n_inside == 0 else "everything"
            work.reporter.warn(
                f"{sentence}: {word} of {source.path} is above 0; check that it is the right mask"
            )
        else:
            work.reporter.say(sentence)
    return file, mask


def _is_kept(job: PickJob, made_by: Provenance, work: Work) -> bool:
    try:
        refused = check_tables(job.side, made_by, job.tables)
    except (DamagedOutputError, OutputExistsError):
        if not work.overwrite:
            raise
        return False
    if refused and not work.overwrite:
        raise OutputExistsError(refused)
    return refused is None


def _places(job: PickJob) -> tuple[Location, ...]:
    return tuple(job.folder / name for name in job.tables)


def _write_tables(
    job: PickJob, particles: Particles, made_by: Provenance, record: TableRecord | None, work: Work
) -> None:
    for name in [*job.tables, *(record.tables if record is not None else ())]:
        if not work.overwrite and not is_ours(job.folder / name, record):
            raise OutputExistsError(
                f"{job.folder / name} was not written by this program, or was changed since; move it, or use --overwrite"
            )
    work.check_claim()
    begin_tables(job.side, made_by, job.tables, record)
    for name, form in zip(job.tables, job.settings.formats, strict=True):
        write_particles(particles, job.folder / name, form)
    # Tables of earlier settings must not lie beside the new ones as if they belonged together.
    for old in record.tables if record is not None else ():
        if old not in job.tables:
            (job.folder / old).remove()
    facts = facts_of(len(particles), job.tomogram, job.class_name, job.own_grid)
    if any(particles.origin):
        facts["origin"] = particles.origin
    work.check_claim()
    finish_tables(job.side, made_by, job.tables, facts)


def _channel(probability: Image, channel: int) -> da.Array:
    array, core = probability.array, probability.core
    assert core is not None
    chunks = BlockGrid(probability.spatial_shape, core).chunks
    if array.ndim == 3:
        return da.from_array(array, chunks=chunks, asarray=False)
    return da.from_array(array, chunks=((1,) * array.shape[0], *chunks), asarray=False)[channel]


def _write_labels(
    probability: Image,
    job: PickJob,
    levels: da.Array,
    region: da.Array | None,
    scale: float | None,
    made_by: Provenance,
    work: Work,
) -> None:
    """Write the label image: the same components, by number, before sizes are looked at."""
    rules = job.rules
    above = segmentation(levels, threshold=rules.threshold, border=rules.border, region=region, scale=scale)
    labels = label(above, connectivity=rules.connectivity)
    assert probability.core is not None and probability.voxel_size is not None
    memory.check_memory(
        memory.labels(BlockGrid(probability.spatial_shape, probability.core), levels.dtype.itemsize),
        "label images of this tomogram",
        "leave out --write-labels, or use fewer workers with more memory each",
    )
    form = Form("labels", job.tomogram, probability.voxel_size, probability.core, probability.version, (), 1)
    write_image(job.labels, labels, form, made_by, work, reduce=nothing, finish=lambda parts: {})


def find_maps(given: Location) -> Iterator[Location]:
    """Find the probability maps in a run folder, or take one as it is named.

    Raises
    ------
    InputError
        Where there is none.
    """
    if is_zarr(given):
        yield given
        return
    found = [
        child
        for folder in (given, *(c for c in given.children() if c.is_folder()))
        for child in folder.children()
        if child.name.startswith("probability") and child.name.endswith(".zarr")
    ]
    if not found:
        raise InputError(
            f"{given} holds no probability map; give a run folder, the folder of a tomogram in it, "
            "or a probability.zarr"
        )
    yield from found
