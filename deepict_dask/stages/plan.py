"""The plan of a tomogram as a small graph: one ingest, then any number of networks, each with what it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from deepict_dask.config import EqualizeSettings, IngestSettings, PickSettings, SegmentSettings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.source import Source
from deepict_dask.kernels.resample import rescaled_shape
from deepict_dask.networks.checkpoint import Model
from deepict_dask.provenance import Provenance
from deepict_dask.stages.equalize import Target
from deepict_dask.stages.nodes import (
    EqualizeStep,
    IngestStep,
    Look,
    Node,
    PickStep,
    RescaleStep,
    SegmentStep,
    Stage,
)
from deepict_dask.stages.picking.jobs import pick_jobs
from deepict_dask.tomogram import Grid


@dataclass(frozen=True)
class Network:
    """A network of a run, and what a tomogram must be like for it.

    Attributes
    ----------
    model : Model
        Weights and card.
    segment : SegmentSettings
        Tiling, runtime, how probabilities are stored.
    pick : PickSettings
        How particles are found in its map.
    voxel_size : float or None
        Edge in A that tomograms are resampled to; None to take them as they are.
    target : Target or None
        What they are equalized to.
    equalize : EqualizeSettings
        How.
    name : str
        Ends the names of its outputs; empty for the only one of a run.
    """

    model: Model
    segment: SegmentSettings
    pick: PickSettings
    voxel_size: float | None = None
    target: Target | None = None
    equalize: EqualizeSettings = field(default_factory=EqualizeSettings)
    name: str = ""


@dataclass(frozen=True)
class TomogramPlan:
    """What is to be done with one tomogram.

    Attributes
    ----------
    name : str
        Of the tomogram, and of its folder.
    folder : Location
        Of everything that is written for it.
    nodes : tuple of Node
        Each after those that it is made from.
    """

    name: str
    folder: Location
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        done: set[str] = set()
        outputs: set[Location] = set()
        for node in self.nodes:
            if node.name in done or not done.issuperset(node.inputs):
                raise InputError(
                    f"the plan of {self.name} has the step {node.name!r} twice, or before what it is made from"
                )
            if node.stage != "pick" and node.output in outputs:
                raise InputError(
                    f"two steps of the plan of {self.name} write {node.output}; name their networks"
                )
            done.add(node.name)
            outputs.add(node.output)

    def until(self, stage: Stage) -> TomogramPlan:
        """Give the plan up to a stage; rescaling comes with equalization and with networks."""
        order: tuple[Stage, ...] = ("ingest", "rescale", "equalize", "segment", "pick")
        kept = order[: order.index(stage) + 1]
        nodes = (n for n in self.nodes if n.stage in kept)
        # Nobody asks a map's blocks for particles that are not to be picked.
        if "pick" not in kept:
            nodes = (
                replace(n, step=replace(n.step, jobs=())) if isinstance(n.step, SegmentStep) else n
                for n in nodes
            )
        return replace(self, nodes=tuple(nodes))

    def look(self) -> Iterator[tuple[Node, Look]]:
        """Say what stands of each node already, without changing anything.

        Raises
        ------
        OutputExistsError, DamagedOutputError
            If something is in the way, or is damaged.
        """
        made: dict[str, Provenance] = {}
        for node in self.nodes:
            look = node.step.look([made[name] for name in node.inputs], node.output)
            if look.made_by is not None:
                made[node.name] = look.made_by
            yield node, look


def plan_tomogram(
    source: Source,
    name: str,
    folder: Location,
    ingest_settings: IngestSettings,
    networks: Sequence[Network] = (),
    *,
    prepare: Sequence[tuple[float | None, Target | None, EqualizeSettings]] = (),
) -> TomogramPlan:
    """Plan a tomogram.

    Parameters
    ----------
    source : Source
        The tomogram.
    name : str
        Of it.
    folder : Location
        Of its outputs.
    ingest_settings : IngestSettings
        Voxel size, OME-Zarr version.
    networks : sequence of Network
        What is to be found in it; networks that want the same voxels share them.
    prepare : sequence of (voxel size, target, settings)
        What is to be prepared without a network.

    Returns
    -------
    TomogramPlan
        The only network's outputs are ``probability.zarr`` and ``particles``; of several named
        ones ``probability_NAME.zarr`` and ``particles_NAME``.

    Raises
    ------
    InputError
        If two networks have one name.
    """
    nodes = {
        "ingest": Node("ingest", "ingest", IngestStep(source, ingest_settings), folder / "tomogram.zarr")
    }
    shared: dict[object, str] = {}
    for voxel_size, target, settings in prepare:
        _prepare(nodes, shared, source, folder, "", voxel_size, target, settings)
    for network in networks:
        end = f"_{network.name}" if network.name else ""
        prepared = _prepare(
            nodes, shared, source, folder, end, network.voxel_size, network.target, network.equalize
        )
        mapped, picked = f"segment{end}", f"pick{end}"
        if mapped in nodes:
            raise InputError(
                f"two networks of {name} are called {network.name!r}, so their outputs would be the same; name them"
            )
        jobs = pick_jobs(
            name,
            network.model.classes,
            map_grid(source, network.voxel_size),
            Grid(source.shape, source.voxel_size),
            folder,
            network.pick,
            f"particles{end}",
            network=network.model.architecture.network,
        )
        nodes[mapped] = Node(
            mapped,
            "segment",
            SegmentStep(network.model, network.segment, tuple(jobs)),
            folder / f"probability{end}.zarr",
            (prepared,),
        )
        pick_step = PickStep(network.pick, tuple(jobs), f"particles{end}")
        nodes[picked] = Node(picked, "pick", pick_step, folder, (mapped,))
    return TomogramPlan(name, folder, tuple(nodes.values()))


def _prepare(
    nodes: dict[str, Node],
    shared: dict[object, str],
    source: Source,
    folder: Location,
    end: str,
    voxel_size: float | None,
    target: Target | None,
    settings: EqualizeSettings,
) -> str:
    """Add what brings the tomogram to a voxel size and a spectrum; gives the name of the last node."""
    last = "ingest"
    if voxel_size is not None:
        key: object = ("rescale", voxel_size)
        if key not in shared:
            name = shared[key] = f"rescale{end}"
            nodes[name] = Node(
                name, "rescale", RescaleStep(voxel_size), folder / f"rescaled{end}.zarr", (last,)
            )
        last = shared[key]
    if target is not None:
        key = ("equalize", last, id(target), settings)
        if key not in shared:
            name = shared[key] = f"equalize{end}"
            step = EqualizeStep(target, settings)
            nodes[name] = Node(name, "equalize", step, folder / f"equalized{end}.zarr", (last,))
        last = shared[key]
    return last


def map_grid(source: Source, voxel_size: float | None) -> Grid:
    """Give the grid that the map of a tomogram will have, which is resampled to a voxel size, or not."""
    if voxel_size is None or source.voxel_size is None:
        return Grid(source.shape, source.voxel_size)
    z, y, x = (voxel_size / edge for edge in source.voxel_size)
    return Grid(rescaled_shape(source.shape, (z, y, x)), (voxel_size, voxel_size, voxel_size))
