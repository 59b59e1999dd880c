"""What ``deepict-dask train`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.config.training_file import commented_train_yaml, load_train_settings
from deepict_dask.errors import SettingsError


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
    if settings is None:
        if not defaults:
            raise SettingsError(
                "no settings are given; `deepict-dask train --defaults > train.yaml` writes a file to fill in"
            )
        click.echo(commented_train_yaml(), nl=False)
        return
    chosen = load_train_settings(settings, {**_assigned(assign), **_given(options)})
    if defaults:
        click.echo(commented_train_yaml(chosen), nl=False)
        return
    from deepict_dask.learning.train import train

    result = train(chosen, TerminalReporter(quiet), overwrite=overwrite)
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


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _assigned(pairs: Sequence[str]) -> dict[str, Any]:
    import yaml

    found = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set takes KEY=VALUE, such as --set depth=3, not {pair!r}")
        try:
            found[name.strip().replace("-", "_")] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise SettingsError(f"--set {pair}: the value is not readable as YAML") from None
    return found
