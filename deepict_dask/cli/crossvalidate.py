"""What ``deepict-dask crossvalidate`` does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.failure import report_error
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.config.sweep import CrossValidateSettings
from deepict_dask.config.sweep_file import commented_sweep_yaml, load_sweep_settings
from deepict_dask.errors import SettingsError


def crossvalidate_network(
    quiet: bool, *, settings: Path | None, defaults: bool = False, overwrite: bool = False, **options: Any
) -> None:
    """Cross-validate and print the scores, or print all settings; exits with 1 or 2 if a fold failed.

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
    """
    if defaults:
        there = None if settings is None else load_sweep_settings(settings, CrossValidateSettings, options)
        click.echo(commented_sweep_yaml(CrossValidateSettings, there), nl=False)
        return
    if settings is None:
        raise SettingsError(
            "no settings are given; `deepict-dask crossvalidate --defaults > folds.yaml` writes a file to fill in"
        )
    from deepict_dask.cli.work import workers
    from deepict_dask.stages.crossvalidate import crossvalidate

    chosen = load_sweep_settings(settings, CrossValidateSettings, options)
    reporter = TerminalReporter(quiet)
    with workers(chosen.cluster, reporter):
        found = crossvalidate(chosen, reporter, overwrite=overwrite)
    if not quiet:
        rows = [
            (
                row["fold"],
                row.get("class", "-") or "-",
                row.get("held_out", ""),
                *(
                    number(row.get(n))
                    for n in ("precision", "recall", "f1", "auprc", "best_f1", "validation_dice")
                ),
            )
            for row in (*found.rows, *found.summary)
        ]
        header = (
            "fold",
            "class",
            "held out",
            "precision",
            "recall",
            "F1",
            "AUPRC",
            "best F1",
            "validation Dice",
        )
        print_table("Tomograms held out", header, rows)
        click.echo("\n".join(f"wrote {path}" for path in found.files))
    codes = [report_error(o.error, o.name) for o in found.folds if o.error is not None]
    if codes:
        sys.exit(2 if len(codes) == len(found.folds) and set(codes) == {2} else 1)


def number(value: float | None) -> str:
    """Write a score for a table."""
    return "-" if value is None else f"{value:.3f}"
