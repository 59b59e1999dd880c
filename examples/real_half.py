"""Train on one part of a real tomogram from published positions, and see how many of the others are found.

    python examples/real_half.py TOMOGRAM POSITIONS --train x=0:128 --test x=128:256 --output real_half

POSITIONS are centers in voxels (columns z, y, x). Where only some of the particles are published, precision says nothing:
what counts is how many published ones are among the best-scored picks. Cross-entropy keeps probabilities low where
half of what looks like a particle is labelled, so picks at many thresholds are united. The bright centers of a Laplacian of Gaussian
are scored in the same way, as what is had without training. Settings of `deepict-dask train` can be changed with --set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.cli.train import train_network
from deepict_dask.cluster import connect
from deepict_dask.config import load_settings
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.kernels.matching import match
from deepict_dask.scoring.merge import merge
from deepict_dask.stages.picking.pick import pick
from deepict_dask.stages.work import Work

Box = dict[str, tuple[int, ...]]


def main() -> None:
    """Train, segment all of the tomogram, pick, unite, and score in the test part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tomogram")
    parser.add_argument("positions", type=Path)
    parser.add_argument("--output", type=Path, default=Path("real_half"))
    parser.add_argument("--train", type=box, default=box("x=0:128"), metavar="AXIS=START:STOP,...")
    parser.add_argument("--test", type=box, default=box("x=128:256"), metavar="AXIS=START:STOP,...")
    parser.add_argument("--radius", type=float, default=3, help="of the training spheres in voxels")
    parser.add_argument("--tolerance", type=float, default=135, help="in A")
    parser.add_argument("--best", type=int, nargs="+", default=[200, 400])
    parser.add_argument(
        "--threshold",
        type=float,
        nargs="+",
        default=[0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        help="The picks of all are united.",
    )
    parser.add_argument("--min-size", type=int, default=2)
    parser.add_argument("--connectivity", type=int, default=6)
    parser.add_argument("--sigma", type=float, default=2.5, help="of the Gaussian in voxels")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--set", dest="assign", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--overwrite", action="store_true")
    a = parser.parse_args()
    a.output.mkdir(parents=True, exist_ok=True)
    path = a.output / "train.yaml"
    path.write_text(settings_text(a), encoding="utf-8")
    train_network(
        False,
        settings=path,
        overwrite=a.overwrite,
        assign=a.assign,
        epochs=a.epochs,
        max_minutes=a.max_minutes,
    )
    options = {"model": str(a.output / "ribosome.safetensors"), "connectivity": a.connectivity}
    with connect(load_settings().cluster):
        plan = plan_run(
            [a.tomogram],
            Location.of(a.output / "run"),
            load_settings(None, options),
            until="segment",
            overwrite=True,
        )
        (outcome,) = run(plan, reporter=TerminalReporter())
        if outcome.error:
            raise outcome.error
        volume = open_image(outcome.folder / "tomogram.zarr")
        image = open_image(outcome.folder / "probability.zarr")
        published = inside(positions_of(a.positions), a.test)
        tolerance = a.tolerance / float(np.mean(volume.voxel_size))
        tables = []
        for threshold in a.threshold:
            own = load_settings(None, options | {"threshold": threshold, "min_size": a.min_size}).pick
            (picked,) = pick(
                image, Location.of(a.output / "picks" / f"{threshold:g}"), own, Work(overwrite=True)
            )
            tables.append(picked.tables[0])
    # A high threshold parts neighbors that touch, a low one finds the faint; what is one particle is kept once.
    union = a.output / "particles.csv"
    merge(tables, union, (a.tolerance,) * 3, voxel_size=volume.voxel_size, overwrite=True)
    ranked = {
        "network": positions_of(union, "score"),
        f"Laplacian of Gaussian, sigma {a.sigma:g}": blobs(volume, a.sigma),
    }
    rows = []
    for name, positions in ranked.items():
        there = inside(positions, a.test)
        found = (match(there[:n], published, tolerance).recall for n in (*a.best, len(there)))
        rows.append((name, str(len(there)), *(f"{recall:.3f}" for recall in found)))
    header = ("picks by", "number", *(f"recall at {n}" for n in a.best), "of all")
    print_table(f"{len(published)} published positions", header, rows)


def positions_of(table: Path, rank: str | None = None) -> np.ndarray:
    """Positions z, y, x of a CSV table; those with the highest values in the column ``rank`` first."""
    rows = np.atleast_1d(np.genfromtxt(table, delimiter=",", names=True))
    positions = np.column_stack([rows[axis] for axis in "zyx"])
    return positions if rank is None else positions[np.argsort(-rows[rank], kind="stable")]


def blobs(volume: Image, sigma: float) -> np.ndarray:
    """Local maxima (dark is dense) of the Laplacian of Gaussian, the highest first."""
    response = ndimage.gaussian_laplace(np.asarray(volume.array[:], np.float32), sigma)
    peaks = np.argwhere(response == ndimage.maximum_filter(response, 7))
    return peaks[np.argsort(-response[tuple(peaks.T)], kind="stable")].astype(float)


def box(text: str) -> Box:
    """Read ``x=0:128,y=20:256``."""
    parts = (part.partition("=") for part in text.split(","))
    return {axis: tuple(int(n) for n in limits.split(":")) for axis, _, limits in parts}


def inside(positions: np.ndarray, limits: Box) -> np.ndarray:
    """Positions (n, 3) that lie in a box."""
    keep = np.ones(len(positions), bool)
    for axis, (start, stop) in limits.items():
        column = positions[:, "zyx".index(axis)]
        keep &= (column >= start) & (column < stop)
    return positions[keep]


def settings_text(options: argparse.Namespace) -> str:
    """Give the settings as YAML; what they leave out has its default."""
    limits = ", ".join(f"{axis}: [{start}, {stop}]" for axis, (start, stop) in options.train.items())
    lines = [
        "name: ribosome",
        f"output: {options.output}",
        "tomograms:",
        f"  - tomogram: {options.tomogram}",
        f"    positions: {{ribosome: {options.positions}}}",
        f"    box: {{{limits}}}",
        f"classes: [{{name: ribosome, radius: {options.radius:g}, unit: voxels}}]",
        "split: {split: patch, validation: 0.1}",
        "network: {depth: 2, initial_features: 8, encoder_dropout: 0.1, decoder_dropout: 0.2}",
        "patches: {patch: 32, overlap: 6, jitter: 6}",
        "fit: {loss: bce, learning_rate: 0.003, batch_size: 8, plateau_patience: 25, stop_patience: 0}",
        "augmentation: {rotation: 180, gaussian_noise: 0.3, spectrum: 0.2}",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
