"""The commands of the job itself: all of it, up to a stage, or picking again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.options import OVERWRITE, command, is_quiet, setting_options

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

TOMOGRAMS = click.argument("tomograms", nargs=-1, required=True, metavar="TOMOGRAM...")
OUTPUT = click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Run folder.")
CONFIG = click.option(
    "--config", "-c", type=click.Path(path_type=Path), help="Settings in YAML; options win over it."
)
NAME = click.option(
    "--name",
    metavar="TEXT",
    help="What the tomograms are called: {name} stands for the file's name, {file} for that with its suffixes, "
    "{parent} for that of its folder.",
)
RECURSIVE = click.option("--recursive", is_flag=True, help="Search folders to their depth.")


SHARE = click.option(
    "--share",
    is_flag=True,
    help="Let other commands work in the same run folder at the same time: each takes tomograms that no other has.",
)
UNTIL = click.option(
    "--until",
    type=click.Choice(["ingest", "equalize", "segment", "pick"]),
    default="pick",
    show_default=True,
    help="Last stage; a later run goes on from there.",
)


PERFORMANCE_REPORT = click.option(
    "--performance-report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write Dask's performance report (.html): what each worker did when.",
)


def stage_command(
    *sections: str, extra: Sequence[Option] = ()
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command that takes tomograms through the job up to a stage.

    Parameters
    ----------
    *sections : str
        Of the settings, each of which is an option; those of the cluster come with every command.
    extra : sequence of decorator
        Options of this command alone.
    """
    return command(
        TOMOGRAMS,
        OUTPUT,
        NAME,
        RECURSIVE,
        CONFIG,
        setting_options(*sections, "cluster"),
        OVERWRITE,
        SHARE,
        *extra,
    )


@stage_command("ingest", "equalize", "segment", "pick", extra=(UNTIL, PERFORMANCE_REPORT))
def run(context: click.Context, /, until: str, **options: Any) -> None:
    """Do it all: tomograms in, particles out.

    TOMOGRAM is a file (MRC, EM, HDF5, also .gz and .bz2), an OME-Zarr group, a folder, a pattern, a .txt list of
    these, or a table (.csv, .yaml) with one tomogram per row: its path (column tomo), name (tomo_name), settings of its
    own (voxel_size, region, threshold, ...) and whatever else is known of it. Tomograms of one name in
    folders side by side (TS_*/tomogram.mrc) are called as their folders. Equalization is skipped unless --target-spectrum
    is given. What is complete already is not computed again.
    """
    _pipeline(context, until, **options)


@stage_command("ingest")
def ingest(context: click.Context, /, **options: Any) -> None:
    """Convert tomograms to chunked OME-Zarr."""
    _pipeline(context, "ingest", **options)


@stage_command("ingest", "equalize")
def equalize(context: click.Context, /, **options: Any) -> None:
    """Bring amplitude spectra to that of a target."""
    _pipeline(context, "equalize", **options)


@stage_command("ingest", "equalize", "segment")
def segment(context: click.Context, /, **options: Any) -> None:
    """Compute probability maps with a U-Net, in 3D or slice by slice."""
    _pipeline(context, "segment", **options)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@CONFIG
@setting_options("pick", "cluster")
@OVERWRITE
@click.pass_context
def pick(context: click.Context, /, runs: tuple[str, ...], **options: Any) -> None:
    """Pick again from stored probability maps.

    No inference is needed. What is not given stays as the run had it; none takes a setting back (--region none).

    RUN is a run folder, the folder of a tomogram in one, or a probability.zarr. Tables are written
    beside the map.
    """
    from deepict_dask.cli import work

    work.pick_stored(runs, is_quiet(context), **options)


@click.command()
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

    work.spectrum(is_quiet(context), **options)


def _pipeline(context: click.Context, until: str, **options: Any) -> None:
    from deepict_dask.cli import work

    work.pipeline(until, is_quiet(context), **options)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Read everything and compare every byte; else names and sizes.")
@click.pass_context
def check(context: click.Context, /, folder: Path, deep: bool) -> None:
    """Check that the outputs of a run are whole.

    RUN is a run folder, or the folder of a tomogram in one. Exits with 1 if something is missing or is not what
    was written.
    """
    from deepict_dask.cli import work

    work.check_outputs(folder, is_quiet(context), deep=deep)


COMMANDS = (run, ingest, equalize, segment, pick, spectrum, check)
