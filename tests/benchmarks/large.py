"""Run a large tomogram on small workers: 500 x 960 x 928 float32 on two workers of 4 GB.

    python -m tests.benchmarks.large [--folder SCRATCH] [--target-spectrum TSV] [--convention physical]

The tomogram is made on the spot (1.8 GB): copies of one simulated cell, mirrored side by side, so that it is
full of particles that the bundled network knows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from tests.benchmarks.whole_run import peak_memory

SHAPE = (500, 960, 928)


def make(path: Path, shape: tuple[int, int, int] = SHAPE) -> None:
    """Write the tomogram plane by plane, so that it never lies in memory."""
    from deepict_dask.geometry import reflect_indices
    from deepict_dask.simulation import simulate_cell

    cell = simulate_cell(seed=0)
    z, y, x = (reflect_indices(0, n, m) for n, m in zip(shape, cell.tomogram.shape, strict=True))
    with mrcfile.new_mmap(path, shape, mrc_mode=2, overwrite=True) as file:
        for target, plane in enumerate(z):
            file.data[target] = cell.tomogram[plane][np.ix_(y, x)]
        file.voxel_size = cell.voxel_size


def main() -> None:
    """Make it, run it, print seconds and memory."""
    from deepict_dask.campaign.plan import plan_run
    from deepict_dask.campaign.run import run
    from deepict_dask.cli.terminal import TerminalReporter
    from deepict_dask.cluster import connect
    from deepict_dask.config import load_settings
    from deepict_dask.data import demo_network_path
    from deepict_dask.io.location import Location

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--target-spectrum")
    parser.add_argument("--convention", default="physical")
    a = parser.parse_args()
    folder = a.folder or Path(tempfile.mkdtemp(prefix="large"))
    tomogram = folder / "large.mrc"
    if not tomogram.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(tomogram)
    options: dict[str, Any] = {
        "model": str(demo_network_path()),
        "workers": 2,
        "threads": 1,
        "memory_limit": "4GB",
    }
    target = a.target_spectrum and {"target_spectrum": a.target_spectrum, "convention": a.convention}
    settings = load_settings(None, {**options, "min_size": 300, "dashboard_port": 0, **(target or {})})
    start = time.perf_counter()
    with connect(settings.cluster) as client:
        plan = plan_run([str(tomogram)], Location.of(folder / "run"), settings, overwrite=True)
        (outcome,) = run(plan, threads=1, reporter=TerminalReporter())
        if outcome.error:
            raise outcome.error
        peaks = [f"{p / 1e9:.2f} GB" for p in client.run(peak_memory).values()]
    for stage, seconds in outcome.seconds.items():
        print(f"{stage:10} {seconds:7.1f} s")
    print(f"in all     {time.perf_counter() - start:7.1f} s; peak of the workers {', '.join(peaks)}")
    print(", ".join(f"{p.n_particles} {p.class_name}" for p in outcome.picked))


if __name__ == "__main__":
    main()
