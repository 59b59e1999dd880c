"""``deepict-dask``: from tomograms to particles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.failure import report_error
from deepict_dask.cli.options import setting_options

TOMOGRAMS = click.argument("tomograms", nargs=-1, required=True, metavar="TOMOGRAM...")
OUTPUT = click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Run folder.")
CONFIG = click.option(
    "--config", "-c", type=click.Path(path_type=Path), help="Settings in YAML; options win over it."
)
OVERWRITE = click.option(
    "--overwrite", is_flag=True, help="Replace complete outputs that were made with other settings."
)

SWEEP_SETTINGS = click.argument(
    "settings", required=False, type=click.Path(path_type=Path), metavar="SETTINGS.yaml"
)
DEFAULTS = click.option(
    "--defaults", is_flag=True, help="Print all settings with their meaning, as YAML, and do nothing."
)
AT_ONCE = click.option(
    "--at-once", type=int, metavar="N", help="Trainings at a time. [default: one per worker]"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="deepict_dask", prog_name="deepict-dask")
@click.option("--traceback", is_flag=True, help="Show the Python traceback of an error.")
@click.option("--quiet", "-q", is_flag=True, help="Say only what went wrong.")
@click.pass_context
def cli(context: click.Context, /, **_: Any) -> None:
    """Find particles in cryo-electron tomograms, chunk by chunk.

    \b
    deepict-dask demo                                    a small cell, start to end
    deepict-dask run cell.mrc --model net.pth -o out     tomogram in, particles out
    deepict-dask pick out --threshold 0.3 --overwrite    other picks, no new inference
    """  # noqa: D301


@cli.command()
@TOMOGRAMS
@OUTPUT
@CONFIG
@setting_options("ingest", "equalize", "segment", "pick", "cluster")
@OVERWRITE
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Do it all: tomograms in, particles out.

    TOMOGRAM is a file (MRC, EM, HDF5, also .gz and .bz2), an OME-Zarr group, a folder, a pattern or a
    .txt list of these. Equalization is skipped unless --target-spectrum is given. What is complete
    already is not computed again.
    """
    _pipeline(context, "pick", **options)


@cli.command()
@TOMOGRAMS
@OUTPUT
@CONFIG
@setting_options("ingest", "cluster")
@OVERWRITE
@click.pass_context
def ingest(context: click.Context, /, **options: Any) -> None:
    """Convert tomograms to chunked OME-Zarr."""
    _pipeline(context, "ingest", **options)


@cli.command()
@TOMOGRAMS
@OUTPUT
@CONFIG
@setting_options("ingest", "equalize", "cluster")
@OVERWRITE
@click.pass_context
def equalize(context: click.Context, /, **options: Any) -> None:
    """Bring amplitude spectra to that of a target."""
    _pipeline(context, "equalize", **options)


@cli.command()
@TOMOGRAMS
@OUTPUT
@CONFIG
@setting_options("ingest", "equalize", "segment", "cluster")
@OVERWRITE
@click.pass_context
def segment(context: click.Context, /, **options: Any) -> None:
    """Compute probability maps with a 3D U-Net."""
    _pipeline(context, "segment", **options)


@cli.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@CONFIG
@setting_options("pick", "cluster")
@OVERWRITE
@click.pass_context
def pick(context: click.Context, /, runs: tuple[str, ...], **options: Any) -> None:
    """Pick again from stored probability maps.

    No inference is needed.

    RUN is a run folder, the folder of a tomogram in one, or a probability.zarr. Tables are written
    beside the map.
    """
    from deepict_dask.cli import work

    work.pick_again(runs, _quiet(context), **options)


@cli.command()
@click.argument("tomogram")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Table to write (.tsv).")
@click.option(
    "--convention", type=click.Choice(["physical", "deepict"]), default="physical", show_default=True
)
@setting_options("ingest", "cluster")
@OVERWRITE
@click.pass_context
def spectrum(context: click.Context, /, **options: Any) -> None:
    """Extract the amplitude spectrum of a tomogram.

    It is a target for others, see --target-spectrum.
    """
    from deepict_dask.cli import work

    work.spectrum(_quiet(context), **options)


@cli.command()
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

    make_masks(_quiet(context), **options)


@cli.command()
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

    train_network(_quiet(context), **options)


@cli.command()
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

    crossvalidate_network(_quiet(context), **options)


@cli.command()
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

    sweep_hyperparameters(_quiet(context), **options)


@cli.command()
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

    evaluate_picks(_quiet(context), **options)


@cli.command()
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

    merge_tables(_quiet(context), **options)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
def info(path: Path) -> None:
    """Say what a file or folder is.

    PATH is a tomogram, a run folder, a checkpoint, an amplitude spectrum or a particle table.
    """
    from deepict_dask.cli.info import describe

    click.echo(describe(path))


@cli.command()
@click.option("--config", "-c", type=click.Path(path_type=Path), help="Settings to check and complete.")
def settings(config: Path | None) -> None:
    """Print all settings with their meaning, as YAML."""
    from deepict_dask.config import commented_yaml, load_settings

    click.echo(commented_yaml(load_settings(config)), nl=False)


@cli.command()
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("demo_output"), show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the simulated cell.")
@setting_options("cluster")
@OVERWRITE
@click.pass_context
def demo(context: click.Context, /, **options: Any) -> None:
    """Find the particles of a small simulated cell.

    The cell is simulated, the network is bundled, and the picks are scored against the truth.
    """
    from deepict_dask.cli.demo import demonstrate

    demonstrate(_quiet(context), **options)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 work that failed, 2 a mistake in what was asked."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(args=arguments, prog_name="deepict-dask", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped; what is complete is kept, and the same command goes on from there", err=True)
        code = 130
    except Exception as error:
        if "--traceback" in arguments:
            raise
        code = report_error(error)
    sys.exit(code if isinstance(code, int) else 0)


def _pipeline(context: click.Context, until: str, **options: Any) -> None:
    from deepict_dask.cli import work

    work.pipeline(until, _quiet(context), **options)


def _quiet(context: click.Context) -> bool:
    return bool(context.parent and context.parent.params["quiet"])
