"""What ``deepict-dask crossvalidate`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepict_dask.cli.failure import exit_with, report_error
from deepict_dask.cli.settings_file import SettingsCommand
from deepict_dask.cli.terminal import print_table
from deepict_dask.config.sweep import CrossValidateSettings

if TYPE_CHECKING:
    from deepict_dask.learning.studies.crossvalidate import CrossValidation
    from deepict_dask.stages.work import Work

_SCORES = ("precision", "recall", "f1", "auprc", "best_f1", "validation_dice")
_TITLES = ("precision", "recall", "F1", "AUPRC", "best F1", "validation Dice")


def crossvalidate_network(
    quiet: bool, *, settings: Path | None, defaults: bool = False, overwrite: bool = False, **options: Any
) -> None:
    """Cross-validate and print the scores, or print all settings; exits with 1 or 2 if a fold failed.

    Parameters
    ----------
    quiet, settings, defaults, overwrite
        As `SettingsCommand.follow` has them.
    **options
        ``output``, ``at_once`` and the settings of the cluster, over the file's; None is "not given".
    """
    result = _COMMAND.follow(settings, options, quiet=quiet, defaults=defaults, overwrite=overwrite)
    if result is not None:
        codes = [report_error(fold.error, fold.name) for fold in result.folds if fold.error is not None]
        exit_with(codes, len(result.folds))


def _crossvalidate(settings: CrossValidateSettings, work: Work) -> CrossValidation:
    from deepict_dask.learning.studies.crossvalidate import crossvalidate

    return crossvalidate(settings, work)


def _show(settings: CrossValidateSettings, result: CrossValidation) -> None:
    rows = [
        (
            row["fold"],
            row.get("class") or "-",
            row.get("held_out", ""),
            *(number(row.get(s)) for s in _SCORES),
        )
        for row in (*result.rows, *result.summary)
    ]
    print_table("Tomograms held out", ("fold", "class", "held out", *_TITLES), rows)
    click.echo("\n".join(f"wrote {path}" for path in result.files))


def number(value: float | None) -> str:
    """Write a score for a table."""
    return "-" if value is None else f"{value:.3f}"


_COMMAND = SettingsCommand(CrossValidateSettings, CrossValidateSettings.example(), _crossvalidate, _show)
