"""The commands about networks of one's own: masks, training, comparison, merging of picks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.options import OVERWRITE, is_quiet, setting_options

SWEEP_SETTINGS = click.argument(
    "settings", required=False, type=click.Path(path_type=Path), metavar="SETTINGS.yaml"
)
DEFAULTS = click.option(
    "--defaults", is_flag=True, help="Print all settings with their meaning, as YAML, and do nothing."
)
AT_ONCE = click.option(
    "--at-once", type=int, metavar="N", help="Trainings at a time. [default: one per worker]"
)


@click.command()
@click.argument("tomogram")
@click.option(
    "--positions",
    "-p",
    multiple=True,
    required=True,
    metavar="[CLASS=]TABLE",
    help="Particle table; one option per class. Of a table with a column class only the rows of CLASS are taken.",
)
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="Run folder; the masks are NAME/masks.zarr in it.",
)
@click.option("--radius", multiple=True, metavar="[CLASS=]X", help="Radius of the spheres in voxels.")
@click.option("--radius-nm", multiple=True, metavar="[CLASS=]X", help="Radius of the spheres in nm.")
@click.option(
    "--shape", multiple=True, metavar="[CLASS=]FILE", help="Small mask to paste instead of spheres."
)
@click.option(
    "--layout",
    type=click.Choice(["channels", "labels"]),
    default="channels",
    show_default=True,
    help="One mask per class, or one image with the values 1, 2, ...",
)
@setting_options("ingest", "cluster")
@OVERWRITE
@click.pass_context
def masks(context: click.Context, /, **options: Any) -> None:
    """Paste spheres or a shape at particle positions."""
    from deepict_dask.cli.masks import make_masks

    make_masks(is_quiet(context), **options)


@click.command()
@click.argument("settings", required=False, type=click.Path(path_type=Path), metavar="SETTINGS.yaml")
@click.option("--defaults", is_flag=True, help="Print all settings with their meaning, as YAML, and stop.")
@click.option("--output", "-o", help="Folder for the model.")
@click.option("--name", help="Of the model.")
@click.option("--epochs", type=int, help="At most.")
@click.option("--max-minutes", type=float, help="No epoch is begun that would end later.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]))
@click.option("--gpus", type=int)
@click.option("--set", "assign", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@OVERWRITE
@click.pass_context
def train(context: click.Context, /, **options: Any) -> None:
    """Train a network on tomograms with known particles."""
    from deepict_dask.cli.train import train_network

    train_network(is_quiet(context), **options)


@click.command()
@SWEEP_SETTINGS
@click.option("--output", "-o", type=click.Path(), help="Folder for networks, picks and results.")
@AT_ONCE
@DEFAULTS
@setting_options("cluster")
@OVERWRITE
@click.pass_context
def crossvalidate(context: click.Context, /, **options: Any) -> None:
    """Train and evaluate once per fold of tomograms.

    Each fold is a Dask task with a worker, and its GPU, to itself. What is done already is not done again,
    and a fold that was interrupted goes on from its last epoch.
    """
    from deepict_dask.cli.crossvalidate import crossvalidate_network

    crossvalidate_network(is_quiet(context), **options)


@click.command()
@SWEEP_SETTINGS
@click.option("--output", "-o", type=click.Path(), help="Folder for networks and results.")
@AT_ONCE
@DEFAULTS
@setting_options("cluster")
@OVERWRITE
@click.pass_context
def sweep(context: click.Context, /, **options: Any) -> None:
    """Search hyperparameters.

    In the paper's order, all combinations, or by Optuna.

    Each training is a Dask task with a worker, and its GPU, to itself. What is done already is not done again; an
    Optuna study goes on where it ended.
    """
    from deepict_dask.cli.sweep import sweep_hyperparameters

    sweep_hyperparameters(is_quiet(context), **options)


@click.command()
@click.argument("picks")
@click.argument("truth")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Folder for scores.csv, curves.csv, evaluation.json and precision_recall.png; without it the scores are only printed.",
)
@click.option(
    "--pair",
    type=(str, str),
    multiple=True,
    metavar="PICKS TRUTH",
    help="A further tomogram; may be repeated.",
)
@click.option(
    "--tolerance",
    type=float,
    default=135.0,
    show_default=True,
    help="Largest distance in A between a pick and the true position that it is.",
)
@click.option("--voxel-size", metavar="N or Z,Y,X", help="In A; overrides what the tables say.")
@click.option(
    "--class",
    "class_name",
    multiple=True,
    metavar="CLASS",
    help="Class to evaluate; may be repeated. Default: all that the picks name.",
)
@click.option(
    "--threshold",
    type=float,
    default=0.5,
    show_default=True,
    help="Maps: a voxel is predicted if its probability is above this.",
)
@click.option(
    "--truth-value",
    type=int,
    help="Maps: only this value of the truth belongs to the class. Default: all but 0.",
)
@click.option("--plot/--no-plot", default=True, help="Draw the curves (needs the extra `plot`).")
@setting_options("cluster")
@OVERWRITE
@click.pass_context
def evaluate(context: click.Context, /, **options: Any) -> None:
    """Compare picks or maps with the truth.

    PICKS is a particle table, a run folder or a folder of tables; TRUTH the same, tomograms being found by
    name, or a path with {name} in it. Where TRUTH is a volume, the probability maps of a run folder,
    a map or a mask are compared with it voxel by voxel.
    """
    from deepict_dask.cli.evaluate import evaluate_picks

    evaluate_picks(is_quiet(context), **options)


@click.command()
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option(
    "--abc",
    required=True,
    metavar="N or Z,Y,X",
    help="Semi-axes of the ellipsoid within which two picks are one.",
)
@click.option(
    "--unit",
    type=click.Choice(["angstrom", "voxel"]),
    default="angstrom",
    show_default=True,
    help="Of the semi-axes.",
)
@click.option(
    "--direction",
    metavar="Z,Y,X",
    help="Direction of filaments, along which the first semi-axis is measured.",
)
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="Table (.csv, _motl.csv, .star, .parquet), or a folder for several tomograms or classes.",
)
@click.option("--class", "class_name", metavar="CLASS", help="Merge only this class.")
@click.option("--voxel-size", metavar="N or Z,Y,X", help="In A; overrides what the tables say.")
@click.option(
    "--first-wins",
    is_flag=True,
    help="Picks of earlier tables win over those of later ones, whatever their scores.",
)
@OVERWRITE
@click.pass_context
def merge(context: click.Context, /, **options: Any) -> None:
    """Unite tables of picks without duplicates.

    Of picks that are one particle the best-scored stays.

    TABLE is a particle table, a run folder or a folder of tables; folders are merged tomogram by
    tomogram. The result does not depend on the order of tables unless --first-wins is given.
    """
    from deepict_dask.cli.merge import merge_tables

    merge_tables(is_quiet(context), **options)


COMMANDS = (masks, train, crossvalidate, sweep, evaluate, merge)
