"""The commands about picks and maps: comparison with the truth, merging of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.options import OVERWRITE, is_quiet, setting_options


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
@click.option(
    "--resample",
    is_flag=True,
    help="Maps: resample a truth that lies on other voxels instead of refusing it.",
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


COMMANDS = (evaluate, merge)
