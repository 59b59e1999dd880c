"""Picking in the pass over the blocks that computes the map, so that the map is not read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from deepict_dask.engine.searches import MapPart, Search
from deepict_dask.errors import DamagedOutputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.provenance import Provenance
from deepict_dask.stages.picking.findings import Ahead, Region
from deepict_dask.stages.picking.jobs import PickJob
from deepict_dask.stages.picking.outputs import record_of
from deepict_dask.stages.picking.region import read_region
from deepict_dask.stages.work import Work


def look_ahead(
    jobs: Sequence[PickJob], made_by: Provenance, dtype: str, scale: float, work: Work
) -> dict[Location, Ahead]:
    """Prepare the searches of the classes of a map that is about to be computed; their regions are read.

    Parameters
    ----------
    jobs : sequence of PickJob
        What is to be picked of it; those whose tables are there already are left out.
    made_by : Provenance
        Of the map.
    dtype : str
        That it is stored in.
    scale : float
        Probability of one stored level.
    work : Work
        Follows the reading.

    Returns
    -------
    dict
        By the side files of the tables.

    Raises
    ------
    InputError
        If a region cannot be used: before anything is spent on the map.
    """
    return {job.side: _look_ahead(job, dtype, scale, work) for job in jobs if _is_due(job, made_by)}


def keep_ahead(ahead: Mapping[Location, Ahead], blocks: Sequence[MapPart], work: Work) -> None:
    """Keep what the blocks of a map gave for the stage that picks from it."""
    for side, one in ahead.items():
        parts = None
        if all(one.name in block.components for block in blocks):
            parts = tuple(block.components[one.name] for block in blocks)
        work.ahead[side] = replace(one, parts=parts)


def search_name(job: PickJob, region: Region) -> str:
    """Identify all that decides on what a block of a given map gives; sizes are looked at when all are known."""
    rules = job.rules
    facts: list[object] = [job.channel, rules.threshold, rules.connectivity, rules.border, job.map_grid.shape]
    if region.file is not None and region.mask is not None:
        facts += [region.file.checksum, region.mask.threshold, region.mask.factor]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _look_ahead(job: PickJob, dtype: str, scale: float, work: Work) -> Ahead:
    region = read_region(job, record_of(job, work), work)
    rules = job.rules
    search = Search.of(
        job.map_grid.shape,
        dtype,
        threshold=rules.threshold,
        connectivity=rules.connectivity,
        border=rules.border,
        scale=scale if dtype == "uint8" else None,
        channel=job.channel,
        region=region.mask,
    )
    return Ahead(search_name(job, region), search, region)


def _is_due(job: PickJob, made_by: Provenance) -> bool:
    try:
        return job.look(made_by) is not None
    except (DamagedOutputError, OutputExistsError):
        return True  # the stage that picks says so, or replaces them
