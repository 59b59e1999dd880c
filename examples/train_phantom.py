"""Train a network for ribosomes and FAS on simulated cells with complete truth.

    python examples/train_phantom.py PHANTOM --output phantom_training --max-minutes 30

PHANTOM holds a folder per tomogram, with ``tomogram.mrc.gz`` (or ``.mrc``), ``particles.csv`` (class, z, y, x in voxels)
and, for --classes organelle and the like, ``organelle.mrc.gz``. The folder given with --output gets the model, its learning curve and the settings; the same command goes on where
it was interrupted. Settings of `deepict-dask train` can be changed with --set, such as --set depth=3. With --print-settings
they are printed instead, for `deepict-dask crossvalidate` and `sweep`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from deepict_dask.cli.train import train_network

# Radii of the training spheres in voxels of 13.48 A. Mitoribosomes look like ribosomes and lie in organelles: as a class of
# their own they teach a network to tell the two apart by what is around them.
RADII = {"ribosome": 8, "fas": 10, "mitoribosome": 8}
VOLUMES = ("organelle", "membrane", "cytosol", "microtubule")


def main() -> None:
    """Write the settings and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("phantom", type=Path)
    parser.add_argument("--output", type=Path, default=Path("phantom_training"))
    parser.add_argument("--train", nargs="+", default=["TS_011"], metavar="NAME")
    parser.add_argument(
        "--validate", nargs="*", default=["TS_013"], metavar="NAME", help="None: a tenth of all patches."
    )
    parser.add_argument("--classes", nargs="+", default=["ribosome", "fas"], choices=[*RADII, *VOLUMES])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--set", dest="assign", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--print-settings", action="store_true")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "train.yaml"
    path.write_text(settings_text(options), encoding="utf-8")
    train_network(
        False,
        settings=path,
        defaults=options.print_settings,
        overwrite=options.overwrite,
        assign=options.assign,
        epochs=options.epochs,
        max_minutes=options.max_minutes,
    )


def settings_text(options: argparse.Namespace) -> str:
    """Give the settings as YAML; what they leave out has its default."""
    lines = [f"name: {'_'.join(options.classes)}", f"output: {options.output}", "tomograms:"]
    for name in (*options.train, *options.validate):
        folder = options.phantom / name
        found = sorted(folder.glob("tomogram.mrc*"))
        if not found:
            raise SystemExit(
                f"{folder} holds no tomogram.mrc or tomogram.mrc.gz; check PHANTOM and the names"
            )
        lines += [
            f"  - name: {name}",
            f"    tomogram: {found[0]}",
            f"    positions: {folder / 'particles.csv'}",
        ]
        if volumes := [n for n in options.classes if n in VOLUMES]:
            lines.append("    masks: {" + ", ".join(f"{n}: {folder / n}.mrc.gz" for n in volumes) + "}")
    lines.append("classes:")
    for name in options.classes:
        size = f", radius: {RADII[name]}, unit: voxels" if name in RADII else ""
        lines.append(f"  - {{name: {name}{size}}}")
    split = (
        f"validation: [{', '.join(options.validate)}]"
        if options.validate
        else "split: patch, validation: 0.1"
    )
    lines += [
        f"split: {{{split}}}",
        "network: {depth: 2, initial_features: 4}",
        "fit: {loss: dice_bce, learning_rate: 0.005, batch_size: 4, monitor: dice}",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
