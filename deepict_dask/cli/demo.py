"""The demonstration: a simulated cell, the bundled network, and how well it did."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from deepict_dask.cli.evaluate import show_evaluation
from deepict_dask.cli.failure import report_error
from deepict_dask.cli.terminal import TerminalReporter
from deepict_dask.cli.work import workers
from deepict_dask.config import load_settings
from deepict_dask.data import demo_network_path
from deepict_dask.io.location import Location

# Radius in A within which a pick counts as found, as in the paper.
TOLERANCE = 135.0


def demonstrate(quiet: bool, *, output: Path, seed: int, overwrite: bool, **options: Any) -> None:
    """Simulate a cell, run the whole job on it, score the picks and say what to do next."""
    from deepict_dask.campaign.plan import plan_run
    from deepict_dask.campaign.run import run
    from deepict_dask.scoring.picks import evaluate
    from deepict_dask.simulation import simulate_cell

    began = time.perf_counter()
    reporter = TerminalReporter(quiet)
    card = json.loads(demo_network_path().with_suffix(".json").read_text(encoding="utf-8"))
    settings = load_settings(
        None, {**options, "model": str(demo_network_path()), "min_size": 300, "formats": ["csv", "star"]}
    )
    reporter.say("Simulating a cell: two kinds of particle, membranes, missing wedge, CTF and noise ...")
    cell = simulate_cell(seed=seed)
    output.mkdir(parents=True, exist_ok=True)
    mrc, truth = output / "cell.mrc", output / "cell_truth.csv"
    _write_mrc(mrc, cell.tomogram, cell.voxel_size)
    _write_truth(truth, cell.truth)
    shape = " x ".join(map(str, cell.tomogram.shape))
    reporter.say(f"{mrc}: {shape} voxels of {cell.voxel_size:g} A, {len(cell.truth)} particles")
    plan = plan_run([str(mrc)], Location.of(output), settings, overwrite=overwrite)
    with workers(settings.cluster, reporter) as threads:
        (outcome,) = run(plan, threads=threads, reporter=reporter)
    if outcome.error is not None:
        raise SystemExit(report_error(outcome.error))
    evaluation = evaluate(str(outcome.folder), str(truth), tolerance=TOLERANCE)
    show_evaluation(evaluation, f"Particles found, against the simulated truth (within {TOLERANCE:g} A)")
    tables = "\n".join(f"  {table}" for picked in outcome.picked for table in picked.tables)
    click.echo(
        f"""
The network is {card["name"]}, trained on other cells of the same simulator ({", ".join(card["classes"])}).
{sum(p.n_particles for p in outcome.picked)} particles in {time.perf_counter() - began:.0f} s. The tables:
{tables}
The tomogram and the probability map are OME-Zarr, for napari and other viewers:
  {outcome.folder / "tomogram.zarr"}
  {outcome.folder / "probability.zarr"}
Next, pick with another threshold (no new inference), score that, or find out what a file is:
  deepict-dask pick {output} --threshold 0.3 --overwrite
  deepict-dask evaluate {output} {truth}
  deepict-dask info {outcome.folder / "probability.zarr"}
With your own tomogram and network:
  deepict-dask run TOMOGRAM.mrc --model NETWORK.pth --output RUN"""
    )


def _write_mrc(path: Path, tomogram: np.ndarray, voxel_size: float) -> None:
    import mrcfile

    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(tomogram)
        file.voxel_size = voxel_size


def _write_truth(path: Path, truth: np.ndarray) -> None:
    import pandas as pd

    pd.DataFrame(truth).to_csv(path, index=False, float_format="%.3f")
