"""Nodes of the plan of a tomogram: what each stands for already, and how it is made.

A node knows what it is made from (names of other nodes), its settings and its output. Its provenance follows from
these before anything is computed; a node whose output has that provenance is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from deepict_dask.config import EqualizeSettings, IngestSettings, PickSettings, SegmentSettings
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.source import Source
from deepict_dask.networks.checkpoint import Model
from deepict_dask.networks.predictor import resolve_runtime
from deepict_dask.provenance import Provenance
from deepict_dask.stages.condition import made_by_condition
from deepict_dask.stages.equalize import Target, equalize, made_by_equalize
from deepict_dask.stages.finished import check_output, open_own
from deepict_dask.stages.ingest import ingest, made_by_ingest, own_image
from deepict_dask.stages.map_blocks import block_in_effect
from deepict_dask.stages.picking.jobs import PickJob, look_at
from deepict_dask.stages.picking.pick import Picked, pick
from deepict_dask.stages.rescale import made_by_rescale, rescale
from deepict_dask.stages.segment import made_by_segment, segment
from deepict_dask.stages.tables import read_record
from deepict_dask.stages.work import Work

Stage = Literal["ingest", "rescale", "equalize", "segment", "pick"]


@dataclass(frozen=True)
class Look:
    """What stands of the output of a node already.

    Attributes
    ----------
    made_by : Provenance or None
        Of what would be made now; None for tables, each of which has one of its own.
    refusal : str or None
        None if it is there, whole and made by the same. Empty if it has to be made. Else the sentence that says what
        differs.
    """

    made_by: Provenance | None
    refusal: str | None


class Step(Protocol):
    """What a node does."""

    def look(self, inputs: Sequence[Provenance], output: Location) -> Look:
        """Say what stands of it already, without changing anything."""

    def run(self, inputs: Sequence[Image], output: Location, work: Work) -> Image | list[Picked]:
        """Make it, or keep what is there."""


@dataclass(frozen=True)
class IngestStep:
    """A tomogram as it came to OME-Zarr."""

    source: Source
    settings: IngestSettings

    def look(self, inputs: Sequence[Provenance], output: Location) -> Look:
        """Look at the image; a file that was touched since it was read has to be read again to know."""
        if (image := own_image(self.source, self.settings)) is not None:
            return Look(made_by_condition(image.provenance, self.settings), None)
        image = open_own(output)
        made_by = made_by_ingest(self.source, self.settings, None if image is None else image.provenance)
        refusal = check_output(output, made_by)
        file = made_by.file("source")
        return Look(
            made_by_condition(made_by, self.settings),
            "" if refusal is None and file is not None and file.checksum is None else refusal,
        )

    def run(self, inputs: Sequence[Image], output: Location, work: Work) -> Image:
        """Convert it."""
        return ingest(self.source, output, self.settings, work)


@dataclass(frozen=True)
class RescaleStep:
    """To the voxel size of a network."""

    voxel_size: float

    def look(self, inputs: Sequence[Provenance], output: Location) -> Look:
        """Look at the image."""
        made_by = made_by_rescale(inputs[0], self.voxel_size)
        return Look(made_by, check_output(output, made_by))

    def run(self, inputs: Sequence[Image], output: Location, work: Work) -> Image:
        """Resample it."""
        return rescale(inputs[0], output, self.voxel_size, work)


@dataclass(frozen=True)
class EqualizeStep:
    """To the spectrum of a target."""

    target: Target
    settings: EqualizeSettings

    def look(self, inputs: Sequence[Provenance], output: Location) -> Look:
        """Look at the image; a target that was touched since it was read has to be read again to know."""
        image = open_own(output)
        before = None if image is None or image.provenance is None else image.provenance.file("target")
        file = self.target.known_file(before)
        made_by = made_by_equalize(inputs[0], file, self.settings)
        refusal = check_output(output, made_by)
        return Look(made_by, "" if refusal is None and file.checksum is None else refusal)

    def run(self, inputs: Sequence[Image], output: Location, work: Work) -> Image:
        """Filter it."""
        return equalize(inputs[0], output, self.target, self.settings, work)


@dataclass(frozen=True)
class SegmentStep:
    """A network over a tomogram, whose blocks are searched for what is picked next."""

    model: Model
    settings: SegmentSettings
    jobs: tuple[PickJob, ...] = ()

    def look(self, inputs: Sequence[Provenance], output: Location) -> Look:
        """Look at the image."""
        runtime = resolve_runtime(self.settings.runtime, self.settings.device)
        block = block_in_effect(self.settings, output)
        made_by = made_by_segment(inputs[0], self.model, self.settings, runtime, block)
        return Look(made_by, check_output(output, made_by))

    def run(self, inputs: Sequence[Image], output: Location, work: Work) -> Image:
        """Compute the map."""
        return segment(inputs[0], output, self.model, self.settings, work, self.jobs)


@dataclass(frozen=True)
class PickStep:
    """Particles of a map; the output is the folder of the tables."""

    settings: PickSettings
    jobs: tuple[PickJob, ...]
    stem: str = "particles"

    def look(self, inputs: Sequence[Provenance], output: Location) -> Look:
        """Look at the tables of all classes."""
        return Look(None, look_at(self.jobs, inputs[0]))

    def kept(self) -> list[Picked]:
        """Say what the tables hold, where all of them are there."""
        records = [(job, read_record(job.side)) for job in self.jobs]
        return [
            Picked(j.class_name, r.n_particles, j.tables, is_kept=True) for j, r in records if r is not None
        ]

    def run(self, inputs: Sequence[Image], output: Location, work: Work) -> list[Picked]:
        """Pick them."""
        return pick(inputs[0], output, self.settings, work, self.stem)


@dataclass(frozen=True)
class Node:
    """One step of the plan of a tomogram.

    Attributes
    ----------
    name : str
        Unique in the plan: the stage, and the network that it is for where there are several.
    stage : str
        Which step of the job.
    step : Step
        What it does, with its settings.
    output : Location
        An image; for particles the folder of their tables.
    inputs : tuple of str
        Names of the nodes that it is made from.
    """

    name: str
    stage: Stage
    step: Step
    output: Location
    inputs: tuple[str, ...] = ()


def run_node(node: Node, made: Mapping[str, Image], work: Work) -> Image | list[Picked]:
    """Make the output of a node of what its inputs gave, or keep what is there."""
    return node.step.run([made[name] for name in node.inputs], node.output, work)
