"""Prepare: a tomogram as it came, and as a network is to see it: ingested, rescaled, equalized."""

from __future__ import annotations

from dataclasses import dataclass

from deepict_dask.config import EqualizeSettings, IngestSettings
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.stages.equalize import Target
from deepict_dask.stages.ingest import open_tomogram
from deepict_dask.stages.nodes import run_node
from deepict_dask.stages.plan import plan_tomogram
from deepict_dask.stages.work import Work
from deepict_dask.tomogram import same_voxel_size


@dataclass(frozen=True)
class Prepared:
    """A tomogram in a run folder.

    Attributes
    ----------
    ingested : Image
        As it came.
    image : Image
        As a network is to see it; the same where nothing had to be done.
    """

    ingested: Image
    image: Image


def prepare_tomogram(
    path: str,
    name: str,
    folder: Location,
    settings: IngestSettings,
    work: Work,
    *,
    voxel_size: float | None = None,
    target: Target | None = None,
    equalize: EqualizeSettings | None = None,
) -> Prepared:
    """Ingest a tomogram, bring it to a voxel size and to a spectrum; what is complete is kept.

    Parameters
    ----------
    path : str
        The tomogram.
    name : str
        Of it.
    folder : Location
        Of its outputs.
    settings : IngestSettings
        Voxel size, dataset, OME-Zarr version.
    work : Work
        Follows the blocks.
    voxel_size : float, optional
        Edge in A to resample to, where the tomogram's differs by more than 5 %.
    target : Target, optional
        What to equalize to.
    equalize : EqualizeSettings, optional
        How.
    """
    source = open_tomogram(path, settings)
    assert source.voxel_size is not None
    target_size = None if voxel_size is None or same_voxel_size(source.voxel_size, voxel_size) else voxel_size
    plan = plan_tomogram(
        source, name, folder, settings, prepare=[(target_size, target, equalize or EqualizeSettings())]
    )
    made: dict[str, Image] = {}
    for node in plan.nodes:
        made[node.name] = run_node(node, made, work)  # type: ignore[assignment]
    return Prepared(made["ingest"], made[plan.nodes[-1].name])
