"""The commands about networks of one's own: masks, training, folds, searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.options import OVERWRITE, command, is_quiet, setting_options

SETTINGS = click.argument(
    "settings", required=False, type=click.Path(path_type=Path), metavar="SETTINGS.yaml"
)
DEFAULTS = click.option(
    "--defaults", is_flag=True, help="Print all settings with their meaning, as YAML, and do nothing."
)
# Of many trainings, each of which takes a worker.
STUDY = (
    SETTINGS,
    click.option("--output", "-o", type=click.Path(), help="Folder for networks, picks and results."),
    click.option("--at-once", type=int, metavar="N", help="Trainings at a time. [default: one per worker]"),
    DEFAULTS,
    setting_options("cluster"),
    OVERWRITE,
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


@command(
    SETTINGS,
    DEFAULTS,
    click.option("--output", "-o", help="Folder for the model."),
    click.option("--name", help="Of the model."),
    click.option("--epochs", type=int, help="At most."),
    click.option("--max-minutes", type=float, help="No epoch is begun that would end later."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"])),
    click.option("--gpus", type=int),
    click.option("--set", "assign", multiple=True, metavar="KEY=VALUE", help="Any other setting."),
    OVERWRITE,
)
def train(context: click.Context, /, **options: Any) -> None:
    """Train a network on tomograms with known particles."""
    from deepict_dask.cli.train import train_network

    train_network(is_quiet(context), **options)


@command(*STUDY)
def crossvalidate(context: click.Context, /, **options: Any) -> None:
    """Train and evaluate once per fold of tomograms.

    Each fold is a Dask task with a worker, and its GPU, to itself. What is done already is not done again,
    and a fold that was interrupted goes on from its last epoch.
    """
    from deepict_dask.cli.crossvalidate import crossvalidate_network

    crossvalidate_network(is_quiet(context), **options)


@command(*STUDY)
def sweep(context: click.Context, /, **options: Any) -> None:
    """Search hyperparameters.

    In the paper's order, all combinations, or by Optuna.

    Each training is a Dask task with a worker, and its GPU, to itself. What is done already is not done again; an
    Optuna study goes on where it ended.
    """
    from deepict_dask.cli.sweep import sweep_hyperparameters

    sweep_hyperparameters(is_quiet(context), **options)


COMMANDS = (masks, train, crossvalidate, sweep)
