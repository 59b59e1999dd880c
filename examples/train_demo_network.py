"""Train the small network that comes with deepict_dask, on simulated cells, with the package's own means.

    python examples/train_demo_network.py --output my_network

simulates cells into the folder, trains on them as `deepict-dask train` does, finds the particles of cells that were held
out as `deepict-dask run` does, and writes my_network/demo_network.safetensors with what it reached there in its
model card. The cell of the demo (seed 0) is never trained on. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd

from deepict_dask import __version__
from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.cli.terminal import TerminalReporter
from deepict_dask.config import load_settings
from deepict_dask.config.training import TrainSettings
from deepict_dask.io.location import Location
from deepict_dask.learning.train import train
from deepict_dask.networks.checkpoint import convert_checkpoint
from deepict_dask.scoring.picks import evaluate
from deepict_dask.simulation import simulate_cell
from deepict_dask.stages.work import Work

CLASSES = ("ribosome", "fas")
TARGET_RADIUS = 8.0  # voxels
THRESHOLD, MIN_SIZE = 0.5, 300
TRAINED, VALIDATED, HELD_OUT = range(1000, 1010), (1900, 1901), (0, 5000, 5001, 5002)
DEMO_SEED = 0


def main() -> None:
    """Simulate, train, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("demo_network"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    reporter = TerminalReporter()
    # Doses about the default of 30, so that the network does not depend on one signal-to-noise ratio.
    doses = np.random.default_rng(1).uniform(20, 60, len(TRAINED))
    for seed, dose in zip(TRAINED, doses, strict=True):
        simulated(options.output, seed, dose=float(dose))
    for seed in (*VALIDATED, *HELD_OUT):
        simulated(options.output, seed)
    result = train(training_settings(options), Work(reporter))

    metrics: dict[str, float] = {"threshold": THRESHOLD, "min_size": MIN_SIZE}
    chosen = {"threshold": THRESHOLD, "min_size": MIN_SIZE, "model": str(result.model_path)}
    cells = [str(simulated(options.output, seed)) for seed in HELD_OUT]
    settings = load_settings(None, chosen)
    plan = plan_run(cells, Location.of(options.output / "held_out"), settings, overwrite=True)
    for seed, outcome in zip(HELD_OUT, run(plan, reporter=reporter), strict=True):
        if outcome.error:
            raise outcome.error
        truth = options.output / f"cell_{seed}.csv"
        for scores in evaluate(str(outcome.folder), str(truth)).tomograms:
            name = "demo" if seed == DEMO_SEED else f"held_out_{seed}"
            print(
                f"{name:14} {scores.class_name:9} precision {scores.precision:.3f} recall {scores.recall:.3f}"
            )
            for figure in ("precision", "recall", "f1"):
                metrics[f"{name}_{scores.class_name}_{figure}"] = round(getattr(scores, figure), 4)
    path = convert_checkpoint(
        result.model_path,
        options.output / "demo_network.safetensors",
        name="demo_network",
        training_data=(
            f"deepict_dask.simulation.simulate_cell, seeds {TRAINED[0]} to {TRAINED[-1]}, doses 20 to 60 e/A^2",
        ),
        metrics=metrics,
        license="Apache-2.0",
        package_version=__version__,
        description="For the demo and for tests: finds the ribosome-like and FAS-like particles of simulated cells. "
        "It has never seen a real tomogram. Metrics are of cells that it was not trained on; the demo's is one. "
        f"Made by examples/train_demo_network.py, best of {len(result.history)} epochs.",
    )
    print(f"wrote {path} ({path.stat().st_size / 1e3:.0f} kB), trained in {result.seconds / 60:.1f} minutes")


def simulated(folder: Path, seed: int, **changes: float) -> Path:
    """Give the MRC file of a simulated cell; its truth lies beside it."""
    path = folder / f"cell_{seed}.mrc"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        cell = simulate_cell(seed=seed, **changes)
        pd.DataFrame(cell.truth).to_csv(path.with_suffix(".csv"), index=False)
        with mrcfile.new(path, overwrite=True) as file:
            file.set_data(cell.tomogram)
            file.voxel_size = cell.voxel_size
    return path


def training_settings(options: argparse.Namespace) -> TrainSettings:
    """Describe the training: all of it that is not a default."""
    tomograms = [options.output / f"cell_{seed}.mrc" for seed in (*TRAINED, *VALIDATED)]
    return TrainSettings.model_validate(
        {
            "name": "trained",
            "output": str(options.output / "training"),
            "tomograms": [{"tomogram": str(t), "positions": str(t.with_suffix(".csv"))} for t in tomograms],
            "classes": [{"name": name, "radius": TARGET_RADIUS, "unit": "voxels"} for name in CLASSES],
            "split": {"validation": [f"cell_{seed}" for seed in VALIDATED]},
            "network": {"depth": 2, "initial_features": 4},
            "patches": {"jitter": 20},
            "fit": {
                "loss": "dice_bce",
                "learning_rate": 0.006,
                "monitor": "dice",
                "epochs": options.epochs,
                "max_minutes": options.max_minutes,
            },
            "hardware": {"threads": options.threads, "loader_workers": 0},
        }
    )


if __name__ == "__main__":
    main()
