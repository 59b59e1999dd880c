"""What ``deepict-dask sweep`` does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.crossvalidate import number
from deepict_dask.cli.settings_file import chosen_settings
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.config.sweep import SweepSettings
from deepict_dask.errors import WorkError


def sweep_hyperparameters(
    quiet: bool, *, settings: Path | None, defaults: bool = False, overwrite: bool = False, **options: Any
) -> None:
    """Search hyperparameters and print the trials, or print all settings; exits with 1 if a trial failed.

    Parameters
    ----------
    quiet : bool
        Say only what went wrong.
    settings : Path or None
        YAML; may be left out with `defaults` only.
    defaults : bool
        Print the settings with their meaning instead: those of the file, else the defaults.
    overwrite : bool
        Replace what was made with other settings.
    **options
        ``output``, ``at_once`` and the settings of the cluster, over the file's; None is "not given".

    Raises
    ------
    WorkError
        If no trial has a score.
    """
    chosen = chosen_settings(SweepSettings, SweepSettings.example(), settings, options, defaults=defaults)
    if chosen is None:
        return
    from deepict_dask.cli.work import workers
    from deepict_dask.io.claim import claimed
    from deepict_dask.io.location import Location
    from deepict_dask.learning.sweep import sweep
    from deepict_dask.stages.work import Work

    reporter = TerminalReporter(quiet)
    folder = Location.of(chosen.output)
    with workers(chosen.cluster, reporter), claimed(folder, "deepict-dask sweep") as claim:
        result = sweep(chosen, Work(reporter, overwrite, claim=claim))
    names = list(chosen.search.space)
    if not quiet:
        rows = [
            (
                str(row["trial"]) + (" *" if row["best"] else ""),
                *(str(row[n]) for n in names),
                row["status"],
                number(row["score"]),
            )
            for row in result.rows
        ]
        print_table(
            f"Trials; * is the best {chosen.search.score}", ("trial", *names, "status", "score"), rows
        )
        click.echo("\n".join(f"wrote {path}" for path in result.files))
    failed = [row for row in result.rows if row["status"] == "failed"]
    for row in failed:
        click.echo(f"error: trial {row['trial']}: {row['error']}", err=True)
    if result.best is None:
        raise WorkError("no trial has a score; see the errors of the trials")
    if failed:
        sys.exit(1)
