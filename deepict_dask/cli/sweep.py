"""What ``deepict-dask sweep`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepict_dask.cli.crossvalidate import number
from deepict_dask.cli.failure import exit_with, report_error
from deepict_dask.cli.settings_file import SettingsCommand
from deepict_dask.cli.terminal import print_table
from deepict_dask.config.sweep import SweepSettings
from deepict_dask.errors import WorkError

if TYPE_CHECKING:
    from deepict_dask.learning.studies.sweep import Sweep
    from deepict_dask.stages.work import Work


def sweep_hyperparameters(
    quiet: bool, *, settings: Path | None, defaults: bool = False, overwrite: bool = False, **options: Any
) -> None:
    """Search hyperparameters and print the trials, or print all settings; exits with 1 if a trial failed.

    Parameters
    ----------
    quiet, settings, defaults, overwrite
        As `SettingsCommand.follow` has them.
    **options
        ``output``, ``at_once`` and the settings of the cluster, over the file's; None is "not given".

    Raises
    ------
    WorkError
        If no trial has a score.
    """
    result = _COMMAND.follow(settings, options, quiet=quiet, defaults=defaults, overwrite=overwrite)
    if result is None:
        return
    codes = [
        report_error(WorkError(row["error"]), f"trial {row['trial']}")
        for row in result.rows
        if row["status"] == "failed"
    ]
    if result.best is None:
        raise WorkError("no trial has a score; see the errors of the trials")
    exit_with(codes, len(result.rows))


def _sweep(settings: SweepSettings, work: Work) -> Sweep:
    from deepict_dask.learning.studies.sweep import sweep

    return sweep(settings, work)


def _show(settings: SweepSettings, result: Sweep) -> None:
    names = list(settings.search.space)
    rows = [
        (
            str(row["trial"]) + (" *" if row["best"] else ""),
            *(str(row[n]) for n in names),
            row["status"],
            number(row["score"]),
        )
        for row in result.rows
    ]
    print_table(f"Trials; * is the best {settings.search.score}", ("trial", *names, "status", "score"), rows)
    click.echo("\n".join(f"wrote {path}" for path in result.files))


_COMMAND = SettingsCommand(SweepSettings, SweepSettings.example(), _sweep, _show)
