"""The commands that look at a run as a whole."""

from __future__ import annotations

from pathlib import Path

import click

from deepict_dask.cli.options import is_quiet


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="File to write (.html). Default: report.html in the run folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is no report of this program.")
@click.pass_context
def report(context: click.Context, /, run: Path, output: Path | None, overwrite: bool) -> None:
    """Say how a run went, in one HTML file.

    RUN is a run folder, also one that is being written. Counts, densities, distributions, what failed and what is
    unlike the others, slices with picks, times, settings, versions. The file needs no network and no other file, and can
    be printed. A run leaves one at its end.
    """
    from deepict_dask.campaign.report import write_report
    from deepict_dask.io.location import Location

    file = write_report(
        Location.of(run), None if output is None else Location.of(output), overwrite=overwrite
    )
    if not is_quiet(context):
        click.echo(str(file))


COMMANDS = (report,)
