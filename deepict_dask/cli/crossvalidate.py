"""What ``deepict-dask crossvalidate`` does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.failure import report_error
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.config.sweep import CrossValidateSettings
from deepict_dask.config.sweep_file import Settings, command_of, commented_sweep_yaml, load_sweep_settings
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
    chosen = read_or_print(CrossValidateSettings, settings, defaults, options)
    if chosen is None:
        return
    from deepict_dask.cli.work import workers
    from deepict_dask.learning.crossvalidate import crossvalidate

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


def read_or_print(
    kind: type[Settings], path: Path | None, defaults: bool, options: dict[str, Any]
) -> Settings | None:
    """Read the settings of a cross-validation or sweep, or print all that there are.

    Parameters
    ----------
    kind : CrossValidateSettings or SweepSettings
        The class.
    path : Path or None
        YAML; may be left out with `defaults` only.
    defaults : bool
        Print the settings with their meaning: those of the file, else the defaults.
    options : dict
        By name, over the file's; None is "not given".

    Returns
    -------
    CrossValidateSettings, SweepSettings or None
        None where they were printed.

    Raises
    ------
    SettingsError
        If no file is given, or something in it is wrong.
    """
    if path is None and not defaults:
        command = command_of(kind)
        raise SettingsError(
            f"no settings are given; `deepict-dask {command} --defaults > {command}.yaml` writes a file to fill in"
        )
    chosen = None if path is None else load_sweep_settings(path, kind, options)
    if defaults:
        click.echo(commented_sweep_yaml(kind, chosen), nl=False)
        return None
    return chosen
