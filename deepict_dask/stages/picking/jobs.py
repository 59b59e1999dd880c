"""What is to be picked: one job per class of a map, with the settings that hold for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from deepict_dask.config import PickSettings, check_class_names
from deepict_dask.config.pick import ClassPickSettingsInVoxels
from deepict_dask.engine.foreground import check_picking
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.source import Source
from deepict_dask.io.tables import suffix_of
from deepict_dask.names import check_name
from deepict_dask.networks.architecture import NetworkKind
from deepict_dask.provenance import FileInput, Made, Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.contents import file_of
from deepict_dask.stages.finished import check_output
from deepict_dask.stages.mask import Mask, open_mask
from deepict_dask.stages.tables import check_tables, read_record
from deepict_dask.tomogram import Grid

# What a network that names no class finds.
ANY_CLASS = "particle"


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
    network : {"unet3d", "unet2d"}
        Kind of the network that the map is of.
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
    network: NetworkKind = "unet3d"

    @property
    def writes_labels(self) -> bool:
        """Whether the label image is asked for, or left open and the segmentation of a compartment."""
        return self.settings.writes_labels(self.network)

    @property
    def foreground(self) -> float:
        """Part of the map that may be foreground, for bounds of memory."""
        return memory.COMPARTMENT if self.network == "unet2d" else memory.FOREGROUND

    @property
    def side(self) -> Location:
        """The side file."""
        return self.folder / f"{self.stem}.json"

    @property
    def labels(self) -> Location:
        """The label image."""
        return self.folder / f"{self.stem}_labels.zarr"

    @property
    def table_names(self) -> list[str]:
        """Names of the tables, in the order of the formats."""
        return [f"{self.stem}{suffix_of(name)}" for name in self.settings.formats]

    @property
    def tables(self) -> tuple[Location, ...]:
        """The tables, in the order of the formats."""
        return tuple(self.folder / name for name in self.table_names)

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
            before = None if record is None else record.made_by.file("region")
            region = file_of(self.open_region()[0], before)
        made_by = self.made_by(probability, region)
        refused = check_tables(self.side, made_by, self.table_names)
        is_unread = region is not None and region.checksum is None
        if refused is None and (
            is_unread or (self.writes_labels and check_output(self.labels, made_by) is not None)
        ):
            return ""
        return refused


def pick_jobs(
    tomogram: str,
    classes: Sequence[str],
    map_grid: Grid,
    own_grid: Grid,
    folder: Location,
    settings: PickSettings,
    stem: str = "particles",
    where: str = "the network",
    network: NetworkKind = "unet3d",
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
    network : {"unet3d", "unet2d"}
        Kind of the network that the map is of; what is left open is otherwise for compartments.

    Raises
    ------
    InputError
        If a class is not known, or cannot be a name.
    """
    channels = list(classes) or [ANY_CLASS]
    check_class_names(settings, channels, where)
    jobs = []
    for name in settings.classes or channels:
        check_name(name, f"a class of {where}", is_class=True)
        class_stem = stem if len(channels) == 1 else f"{stem}_{name}"
        rules = settings.of_class(name, network).in_voxels(map_grid.voxel_size)
        channel = channels.index(name)
        jobs.append(
            PickJob(tomogram, name, channel, rules, settings, map_grid, own_grid, folder, class_stem, network)
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
        probability.attributes.get("network", "unet3d"),
    )


def look_at(jobs: Sequence[PickJob], probability: Provenance | None) -> str | None:
    """Look at the tables of all classes of a map without changing anything; None if all are kept, see `check_tables`."""
    looks = [job.look(probability) for job in jobs]
    refused = next((sentence for sentence in looks if sentence), None)
    return refused or ("" if "" in looks else None)
