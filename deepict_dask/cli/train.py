"""What ``deepict-dask train`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.settings_file import assigned, chosen_settings
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.config.training import EXAMPLE, TrainSettings


def train_network(
    quiet: bool,
    *,
    settings: Path | None,
    defaults: bool = False,
    overwrite: bool = False,
    assign: Sequence[str] = (),
    **options: Any,
) -> None:
    """Train a network and print what came of it, or print all settings.

    Parameters
    ----------
    quiet : bool
        Say only what went wrong.
    settings : Path or None
        YAML; may be left out with `defaults` only.
    defaults : bool
        Print the settings with their meaning instead: those of the file, else the defaults.
    overwrite : bool
        Begin anew where there is a training.
    assign : sequence of str
        ``KEY=VALUE`` over the file's settings, the value in YAML.
    **options
        Settings by name, over the file's; None is "not given".
    """
    options = assigned(assign) | {name: value for name, value in options.items() if value is not None}
    chosen = chosen_settings(TrainSettings, EXAMPLE, settings, options, defaults=defaults)
    if chosen is None:
        return
    from deepict_dask.io.claim import claimed
    from deepict_dask.io.location import Location
    from deepict_dask.learning.train import train
    from deepict_dask.stages.work import Work

    with claimed(Location.of(chosen.output), "deepict-dask train") as claim:
        result = train(chosen, Work(TerminalReporter(quiet), overwrite, claim=claim))
    if quiet:
        return
    best, n = result.best, len(result.history)
    rows = [(name, f"{dice:.3f}") for name, dice in zip(chosen.class_names, best.dice, strict=True)]
    print_table(f"Validation after epoch {best.epoch}", ("class", "Dice"), rows)
    click.echo(
        f"{n} epoch{'s' * (n != 1)} in {result.seconds / 60:.1f} minutes, {result.patches_per_second:.2f} patches/s, "
        f"ended by {result.ended_by}; learning curve and logs are in {chosen.output}\nFind particles with it:\n"
        f"  deepict-dask run TOMOGRAM.mrc --model {result.model_path} --output RUN"
    )
