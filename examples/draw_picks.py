"""Draw particles on slices of their tomogram.

    python examples/draw_picks.py RUN/cell/tomogram.zarr RUN/cell/particles.csv picks.png [--truth TRUTH.csv] [--slices 4]

Needs matplotlib (``pip install deepict_dask[plot]``). Each slice is the mean of a few planes; a circle is
drawn where a particle's center lies within a radius of the slice.
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import deepict_dask as dd


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tomogram")
    parser.add_argument("particles")
    parser.add_argument("picture")
    parser.add_argument("--truth", help="second table, drawn as crosses")
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--radius", type=float, default=135.0, help="of the circles, in A")
    a = parser.parse_args()
    tomogram = dd.open_tomogram(a.tomogram)
    radius = a.radius / np.mean(np.atleast_1d(tomogram.attrs["voxel_size"]))
    tables = [pd.read_csv(path) for path in (a.particles, a.truth) if path]
    # Where particles are, in equal steps; the vacuum above and below a lamella shows nothing.
    low, high = np.percentile(tables[0]["z"], [10, 90]) if len(tables[0]) else (0, len(tomogram) - 1)
    columns = int(np.ceil(np.sqrt(a.slices)))
    rows = -(-a.slices // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(7 * columns, 7 * rows), squeeze=False, layout="constrained"
    )
    for axis, z in zip(axes.flat, np.linspace(low, high, a.slices).round().astype(int), strict=False):
        plane = tomogram[max(0, z - 1) : z + 2].mean("z").compute().to_numpy()
        axis.imshow(plane, cmap="gray", vmin=np.percentile(plane, 1), vmax=np.percentile(plane, 99))
        for table, color, marker in zip(tables, ("tab:orange", "tab:cyan"), ("o", "+"), strict=False):
            near = table[(table["z"] - z).abs() < radius]
            if marker == "o":
                size = np.sqrt(np.maximum(radius**2 - (near["z"] - z) ** 2, 1))
                for x, y, r in zip(near["x"], near["y"], size, strict=True):
                    axis.add_patch(plt.Circle((x, y), r, fill=False, color=color, linewidth=1.2))
            else:
                axis.plot(near["x"], near["y"], marker, color=color, markersize=7)
        axis.set(title=f"z = {z}", xlim=(0, plane.shape[1]), ylim=(plane.shape[0], 0), xticks=[], yticks=[])
    figure.suptitle(f"{tomogram.name}: {len(tables[0])} particles")
    figure.savefig(a.picture, dpi=80)


if __name__ == "__main__":
    main()
