"""What ``deepict-dask crossvalidate`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.failure import exit_if_failed
from deepict_dask.cli.settings_file import chosen_settings
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.config.sweep import CrossValidateSettings


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
    chosen = chosen_settings(
        CrossValidateSettings, CrossValidateSettings.example(), settings, options, defaults=defaults
    )
    if chosen is None:
        return
    from deepict_dask.cli.work import workers
    from deepict_dask.io.claim import claimed
    from deepict_dask.io.location import Location
    from deepict_dask.learning.crossvalidate import crossvalidate
    from deepict_dask.stages.work import Work

    reporter = TerminalReporter(quiet)
    folder = Location.of(chosen.output)
    with workers(chosen.cluster, reporter), claimed(folder, "deepict-dask crossvalidate") as claim:
        result = crossvalidate(chosen, Work(reporter, overwrite, claim=claim))
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
            for row in (*result.rows, *result.summary)
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
        click.echo("\n".join(f"wrote {path}" for path in result.files))
    exit_if_failed({fold.name: fold.error for fold in result.folds})


def number(value: float | None) -> str:
    """Write a score for a table."""
    return "-" if value is None else f"{value:.3f}"
