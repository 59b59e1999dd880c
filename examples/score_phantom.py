"""Score a network on simulated cells: with and without equalization, with and without the cytosol as region.

    python examples/score_phantom.py NETWORK PHANTOM --test TS_014 TS_015 --target TS_011 --output scores

PHANTOM holds a folder per tomogram, with ``tomogram.mrc`` (or ``.mrc.gz``), ``particles.csv`` (class, z, y, x in voxels) and
``cytosol.mrc.gz``. --target is the tomogram whose amplitude spectrum the others are equalized to: one that the
network was trained on. --outside is a network for something in which nothing is to be picked, such as organelles; it may have
been trained at larger voxels. Prints a row for every combination; sizes are --min-size per class.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import mrcfile
import numpy as np

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.cluster import connect
from deepict_dask.config import load_settings
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.scoring.picks import evaluate
from deepict_dask.stages.picking.pick import pick
from deepict_dask.stages.work import Work


def main() -> None:
    """Segment each tomogram once per equalization, pick it twice, score."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network")
    parser.add_argument("phantom", type=Path)
    parser.add_argument("--test", nargs="+", default=["TS_014", "TS_015"])
    parser.add_argument("--target", default="TS_011")
    parser.add_argument("--classes", nargs="+", default=["ribosome", "fas"], metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path("phantom_scores"))
    parser.add_argument("--equalization", nargs="+", default=["none", "deepict", "physical"])
    parser.add_argument("--outside", metavar="NETWORK")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--min-size", type=int, default=300)
    parser.add_argument("--connectivity", type=int, default=6)
    a = parser.parse_args()
    (target,) = (a.phantom / a.target).glob("tomogram.mrc*")
    rows = []
    with connect(load_settings().cluster):
        outside = {name: region_outside(a, name) for name in a.test} if a.outside else {}
        for name, convention in product(a.test, a.equalization):
            (tomogram,) = (a.phantom / name).glob("tomogram.mrc*")
            options = {"model": a.network, "threshold": a.threshold, "min_size": a.min_size}
            options |= {"connectivity": a.connectivity, "classes": a.classes}
            if convention != "none":
                options |= {"target_spectrum": str(target), "convention": convention}
            folder = Location.of(a.output).join(name, convention)
            settings = load_settings(None, options)
            plan = plan_run([str(tomogram)], folder, settings, until="segment", overwrite=True)
            (outcome,) = run(plan, reporter=TerminalReporter())
            if outcome.error:
                raise outcome.error
            image = open_image(outcome.folder / "probability.zarr")
            regions = {"": None, "cytosol": str(a.phantom / name / "cytosol.mrc.gz")}
            if a.outside:
                regions["predicted"] = str(outside[name])
            for region, mask in regions.items():
                settings = load_settings(None, {**options, "region": mask}).pick
                tables = folder / (region or "everywhere")
                for picked in pick(image, tables, settings, Work(overwrite=True)):
                    truth = str(a.phantom / name / "particles.csv")
                    found = evaluate(
                        str(picked.tables[0]),
                        truth,
                        class_name=(picked.class_name,),
                        voxel_size=image.voxel_size,
                    )
                    (s,) = found.pooled
                    counts = (str(s.n_truth), str(s.n_picked), str(s.n_matched))
                    numbers = (s.precision, s.recall, s.f1)
                    rows.append(
                        (
                            name,
                            convention,
                            region or "-",
                            picked.class_name,
                            *counts,
                            *(f"{n:.3f}" for n in numbers),
                        )
                    )
    header = (
        "tomogram",
        "equalization",
        "region",
        "class",
        "true",
        "picked",
        "matched",
        "precision",
        "recall",
        "F1",
    )
    print_table(f"{a.network}, threshold {a.threshold:g}, min_size {a.min_size}", header, rows)


def region_outside(options: argparse.Namespace, name: str) -> Path:
    """Segment with the network --outside and write a mask of where its probability is at most 0.5."""
    (tomogram,) = (options.phantom / name).glob("tomogram.mrc*")
    folder = options.output / name / "outside"
    settings = load_settings(None, {"model": options.outside, "rescale": True})
    plan = plan_run([str(tomogram)], Location.of(folder), settings, until="segment", overwrite=True)
    (outcome,) = run(plan, reporter=TerminalReporter())
    if outcome.error:
        raise outcome.error
    fine, coarse = (open_image(outcome.folder / f"{kind}.zarr") for kind in ("tomogram", "probability"))
    inside = coarse.array[:] > 127
    # The first voxels of both have the same center.
    nearest = [
        np.minimum(np.rint(np.arange(n) * a / b).astype(int), m - 1)
        for n, m, a, b in zip(fine.shape, inside.shape, fine.voxel_size, coarse.voxel_size, strict=True)
    ]
    path = folder / "region.mrc"
    mrcfile.write(
        path, (~inside[np.ix_(*nearest)]).astype(np.int8), overwrite=True, voxel_size=fine.voxel_size[0]
    )
    return path


if __name__ == "__main__":
    main()
