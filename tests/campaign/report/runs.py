"""Run folders with planted particles, for tests of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.campaign.summary import Summary, TomogramState
from deepict_dask.io.location import Location
from deepict_dask.io.tables import write_particles
from deepict_dask.particles import Particles
from deepict_dask.provenance import FileInput, Provenance
from deepict_dask.stages.tables import facts_of, finish_tables
from deepict_dask.tomogram import Grid
from tests.images import stored_image

SHAPE = (20, 30, 50)
EDGE = 100.0
# 20 x 30 x 50 voxels of 10 nm: 0.03 cubic micrometers.
VOLUME = 0.03


def plant(
    run: Location,
    name: str,
    found: Mapping[str, int],
    *,
    share: float | None = None,
    size: int = 524,
    with_image: bool = False,
) -> None:
    """Write the tables of a tomogram as picking does."""
    place = (run / name).make_folder()
    if with_image:
        values = np.random.default_rng(0).normal(size=SHAPE).astype("f4")
        known = {"count": values.size, "mean": 0.0, "std": 1.0, "minimum": -4.0, "maximum": 6.0, "n_nan": 0}
        stored_image(
            place / "tomogram.zarr", values, name=name, voxel_size=(EDGE,) * 3, finish={"statistics": known}
        )
    for class_name, n in found.items():
        rng = np.random.default_rng(n)
        particles = Particles.from_positions(
            rng.uniform(5, 15, (n, 3)),
            tomogram=name,
            class_name=class_name,
            size=np.full(n, size),
            score=np.linspace(0.5, 1, n),
        )
        stem = "particles" if len(found) == 1 else f"particles_{class_name}"
        write_particles(particles, (place / f"{stem}.csv").local_path())
        probability = Provenance("segment", {}, {}, {"runtime": "openvino", "device": "cpu"})
        inputs: dict[str, Any] = {"probability": probability}
        if share is not None:
            inputs["region"] = FileInput("mask.mrc", "sha256:0")
        recorded = {} if share is None else {"region_share": share}
        made_by = Provenance("pick", inputs, {}, recorded)
        facts = facts_of(n, name, class_name, Grid(SHAPE, (EDGE,) * 3))
        finish_tables(place / f"{stem}.json", made_by, [f"{stem}.csv"], facts)


def state(name: str, **changes: Any) -> TomogramState:
    """What a summary says of such a tomogram."""
    known: dict[str, Any] = {
        "state": "done",
        "shape": SHAPE,
        "voxel_size": (EDGE,) * 3,
        "n_voxels": 30000,
        "contrast": 0.1,
        "seconds": {"ingest": 1.0, "segment": 2.0},
    }
    return TomogramState(name, **{**known, **changes})


def summarize(run: Location, states: Sequence[TomogramState], **changes: Any) -> None:
    """Write a summary."""
    Summary(str(run), "deepict-dask run", tuple(states), "done", "", 1e9, 1e9 + 60, **changes).write(run)


def many(folder: Path, counts: Sequence[int], **options: Any) -> Location:
    """Make a run folder of tomograms TS_00, TS_01, ... with so many ribosomes each."""
    run = Location.of(folder).make_folder()
    for i, n in enumerate(counts):
        plant(run, f"TS_{i:02d}", {"ribosome": n}, **options)
    summarize(run, [state(f"TS_{i:02d}") for i in range(len(counts))])
    return run
