"""Train the small network that comes with deepict_dask, on simulated cells.

    python examples/train_demo_network.py --output my_network

Writes my_network.safetensors and its model card, my_network.json. Takes about ten minutes on two
cores. The cell of the demo (seed 0) is never trained on; it and the validation cells are held out, and
what the network reaches on them goes into the model card.
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from deepict_dask.networks.card import ModelCard
from deepict_dask.networks.checkpoint import save_checkpoint
from deepict_dask.networks.unet3d import UNet3D
from deepict_dask.simulation import CellSettings, SimulatedCell, simulate_cell, sphere_targets

CLASSES = ("ribosome", "fas")
TARGET_RADIUS = 8.0  # voxels
THRESHOLD, MIN_SIZE = 0.5, 300
MATCH_DISTANCE = 10.0  # voxels
PATCH = (48, 96, 96)
DEMO_SEED = 0


def main() -> None:
    """Simulate, train, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("demo_network"), help="without suffix")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=12, help="batches per epoch")
    parser.add_argument("--batch", type=int, default=2, help="patches per batch")
    parser.add_argument("--cells", type=int, default=10, help="simulated cells to train on")
    parser.add_argument("--features", type=int, default=4, help="of the network's first level")
    parser.add_argument("--depth", type=int, default=2, help="poolings of the network")
    parser.add_argument("--learning-rate", type=float, default=6e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    start = time.perf_counter()
    first = 1000 * options.seed
    # Doses about the default of 30, so that the network does not depend on one signal-to-noise ratio.
    doses = rng.uniform(20, 60, options.cells)
    training = [with_targets(simulate_cell(seed=first + i, dose=float(dose))) for i, dose in enumerate(doses)]
    validation = [simulate_cell(seed=first + 900 + i) for i in range(2)]
    print(f"simulated {options.cells + 2} cells in {time.perf_counter() - start:.0f} s", flush=True)

    net = UNet3D(
        depth=options.depth, initial_features=options.features, out_classes=len(CLASSES), batch_norm=True
    )
    train(net, training, options, rng)

    print("held-out cells (the last one is the demo's):")
    metrics: dict[str, float] = {}
    for cell in [*validation, simulate_cell(seed=DEMO_SEED)]:
        where = "demo" if cell.settings.seed == DEMO_SEED else f"validation_{cell.settings.seed}"
        for name, figures in measure(net, cell).items():
            print(f"  {where:16s} {name:9s} " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
            metrics |= {f"{where}_{name}_{k}": round(v, 4) for k, v in figures.items()}
    path = write(net, metrics, options)
    print(f"wrote {path} ({path.stat().st_size / 1e3:.0f} kB)")
    print(f"done in {time.perf_counter() - start:.0f} s")


def with_targets(cell: SimulatedCell) -> tuple[np.ndarray, np.ndarray]:
    """Give the normalized tomogram (z, y, x) and its targets (class, z, y, x)."""
    targets = sphere_targets(cell.truth, cell.settings.shape, CLASSES, TARGET_RADIUS)
    return normalized(cell.tomogram), targets


def normalized(tomogram: np.ndarray) -> np.ndarray:
    """Subtract the tomogram's mean and divide by its standard deviation, as inference does."""
    mean, std = tomogram.mean(dtype=np.float64), tomogram.std(dtype=np.float64)
    return np.asarray((tomogram - mean) / std, np.float32)


def train(
    net: UNet3D,
    cells: list[tuple[np.ndarray, np.ndarray]],
    options: argparse.Namespace,
    rng: np.random.Generator,
) -> None:
    """Fit the network to random patches, printing the mean loss of every epoch."""
    optimizer = torch.optim.Adam(net.parameters(), lr=options.learning_rate)
    total = options.epochs * options.steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, total_steps=total)
    net.to(memory_format=torch.channels_last_3d).train()  # type: ignore[call-overload]
    for epoch in range(options.epochs):
        start, losses = time.perf_counter(), []
        for _ in range(options.steps):
            patches = [random_patch(*cells[rng.integers(len(cells))], rng) for _ in range(options.batch)]
            x, target = (torch.from_numpy(np.stack(part)) for part in zip(*patches, strict=True))
            loss = dice_and_cross_entropy(net(x[:, None]), target.float())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        seconds = time.perf_counter() - start
        print(
            f"epoch {epoch + 1:3d}/{options.epochs}  loss {np.mean(losses):.4f}  {seconds:.1f} s", flush=True
        )


def random_patch(
    tomogram: np.ndarray, targets: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a random patch and mirror it at random.

    Mirrors keep the missing wedge where it is; turning by 90 degrees about z would not.
    """
    corner = [rng.integers(n - p + 1) for n, p in zip(tomogram.shape, PATCH, strict=True)]
    region = tuple(slice(c, c + p) for c, p in zip(corner, PATCH, strict=True))
    flip = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in PATCH)
    x = tomogram[region][flip]
    # Another microscope session would have another contrast and offset.
    x = x * np.float32(rng.uniform(0.9, 1.1)) + np.float32(rng.uniform(-0.1, 0.1))
    return np.ascontiguousarray(x), np.ascontiguousarray(
        targets[(slice(None), *region)][(slice(None), *flip)]
    )


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Add the soft Dice loss, averaged over classes, and the binary cross entropy."""
    probability = torch.sigmoid(logits)
    axes = (0, 2, 3, 4)
    overlap = (probability * target).sum(axes)
    dice = 1 - (2 * overlap + 1) / (probability.sum(axes) + target.sum(axes) + 1)
    return dice.mean() + functional.binary_cross_entropy_with_logits(logits, target)


def measure(net: UNet3D, cell: SimulatedCell) -> dict[str, dict[str, float]]:
    """Pick particles in a cell and compare them with its truth: precision, recall and F1 by class."""
    net.eval()
    with torch.inference_mode():
        probability = torch.sigmoid(net(torch.from_numpy(normalized(cell.tomogram))[None, None]))[0].numpy()
    figures = {}
    for name, volume in zip(CLASSES, probability, strict=True):
        labels, _ = ndimage.label(volume > THRESHOLD, np.ones((3, 3, 3)))
        sizes = np.bincount(labels.ravel())[1:]
        kept = np.flatnonzero(sizes > MIN_SIZE) + 1
        picks = np.array(ndimage.center_of_mass(labels > 0, labels, kept)).reshape(-1, 3)
        rows = cell.truth[cell.truth["class"] == name]
        truth = np.stack([rows["z"], rows["y"], rows["x"]], axis=1)
        distance = np.linalg.norm(picks[:, None] - truth[None], axis=2)
        # One to one, as many pairs within reach as possible.
        pairs = linear_sum_assignment(distance > MATCH_DISTANCE)
        hits = int((distance[pairs] <= MATCH_DISTANCE).sum())
        precision, recall = hits / max(len(picks), 1), hits / max(len(truth), 1)
        f1 = 2 * hits / max(len(picks) + len(truth), 1)
        figures[name] = {"precision": precision, "recall": recall, "f1": f1}
    return figures


def write(net: UNet3D, metrics: dict[str, float], options: argparse.Namespace) -> Path:
    """Write the weights and their model card."""
    seeds = f"{1000 * options.seed} to {1000 * options.seed + options.cells - 1}"
    card = ModelCard(
        name=options.output.name,
        classes=CLASSES,
        architecture=net.architecture,
        voxel_size=CellSettings().voxel_size,
        training_data=(f"deepict_dask.simulation.simulate_cell, seeds {seeds}, doses from 20 to 60 e/A^2",),
        metrics={
            "threshold": THRESHOLD,
            "min_size": MIN_SIZE,
            "match_distance_voxels": MATCH_DISTANCE,
            **metrics,
        },
        license="Apache-2.0",
        package_version=version("deepict-dask"),
        description=(
            "For the demo and for tests: finds the ribosome-like and FAS-like particles of simulated cells. "
            "It has never seen a real tomogram. Metrics are of held-out cells; the demo's is one. "
            f"Made by examples/train_demo_network.py --seed {options.seed} --epochs {options.epochs} "
            f"--steps {options.steps} --batch {options.batch} --cells {options.cells} "
            f"--features {options.features} --depth {options.depth} --learning-rate {options.learning_rate}."
        ),
    )
    return save_checkpoint(
        options.output.with_name(options.output.name + ".safetensors"), net.state_dict(), card
    )


if __name__ == "__main__":
    main()
