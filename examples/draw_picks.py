"""Draw two tables of picks over the same slices of a tomogram, each in a picture of its own, to compare them by eye.

    python examples/draw_picks.py RUN/cell before.csv after.csv --output pictures [--truth TRUTH.csv] [--z 20 32 44]

For one table the command does it: ``deepict-dask snapshot RUN cell --particles after.csv --truth TRUTH.csv``. Here the
planes are chosen once, so that both pictures show the same.
"""

from __future__ import annotations

import argparse

from deepict_dask.io.location import Location
from deepict_dask.pictures import write_snapshot
from deepict_dask.pictures.look import Look
from deepict_dask.pictures.scene import open_scene


def main() -> None:
    """Choose the planes, draw each table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tomogram", help="a tomogram's folder in a run, an image, or any tomogram")
    parser.add_argument("tables", nargs="+", help="tables of particles")
    parser.add_argument("--output", default="pictures", help="folder")
    parser.add_argument("--truth", help="table drawn as crosses")
    parser.add_argument(
        "--z", type=float, nargs="+", help="planes in voxels; three over the picks of the first table"
    )
    a = parser.parse_args()
    place, truth = Location.of(a.tomogram), None if a.truth is None else Location.of(a.truth)
    first = open_scene(place, particles=Location.of(a.tables[0]))
    assert first.picks is not None
    n_z, n_y, _ = first.pyramid.shape
    z = a.z or first.picks.spread(0, n_z, 3)
    look = Look(z=tuple(z), y=tuple(first.picks.spread(1, n_y, 2)))
    for table in map(Location.of, a.tables):
        target = Location.of(a.output) / f"{table.stem}.png"
        print(write_snapshot(place, target, look, particles=table, truth=truth))


if __name__ == "__main__":
    main()
