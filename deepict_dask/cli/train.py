"""What ``deepict-dask train`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepict_dask.cli.settings_file import SettingsCommand, assigned
from deepict_dask.cli.terminal import print_table
from deepict_dask.config.training import EXAMPLE, TrainSettings

if TYPE_CHECKING:
    from deepict_dask.learning.train import TrainingResult
    from deepict_dask.stages.work import Work


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
    quiet, settings, defaults, overwrite
        As `SettingsCommand.follow` has them.
    assign : sequence of str
        ``KEY=VALUE`` over the file's settings.
    **options
        Settings by name, over the file's and over those; None is "not given".
    """
    changes = {name: value for name, value in options.items() if value is not None}
    _COMMAND.follow(
        settings,
        assigned(assign, TrainSettings) | changes,
        quiet=quiet,
        defaults=defaults,
        overwrite=overwrite,
    )


def _train(settings: TrainSettings, work: Work) -> TrainingResult:
    from deepict_dask.learning.train import train

    return train(settings, work)


def _show(settings: TrainSettings, result: TrainingResult) -> None:
    best, n = result.best, len(result.history)
    rows = [(name, f"{dice:.3f}") for name, dice in zip(settings.class_names, best.dice, strict=True)]
    print_table(f"Validation after epoch {best.epoch}", ("class", "Dice"), rows)
    click.echo(
        f"{n} epoch{'s' * (n != 1)} in {result.seconds / 60:.1f} minutes, {result.patches_per_second:.2f} patches/s, "
        f"ended by {result.ended_by}; learning curve and logs are in {settings.output}"
    )
    if unlearned := [settings.class_names[k] for k in result.unlearned]:
        click.echo(
            f"The network found nothing of {', '.join(unlearned)} in the validation patches (Dice 0), so it is not one to "
            "pick with yet: train for more epochs, with a higher learning rate or other patches, or look at positions and "
            "masks."
        )
    else:
        click.echo(
            f"Find particles with it:\n  deepict-dask run TOMOGRAM.mrc --model {result.model_path} --output RUN"
        )


_COMMAND = SettingsCommand(TrainSettings, EXAMPLE, _train, _show)
