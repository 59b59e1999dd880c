"""Commands that one settings file tells all: train, crossvalidate, sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from deepict_dask.cli.terminal import TerminalReporter
from deepict_dask.config import commented_yaml, load_settings
from deepict_dask.config.load import field_named
from deepict_dask.config.sweep import CrossValidateSettings
from deepict_dask.config.training import TrainSettings
from deepict_dask.errors import SettingsError

if TYPE_CHECKING:
    from deepict_dask.stages.work import Work

S = TypeVar("S", bound=TrainSettings | CrossValidateSettings)
R = TypeVar("R")


@dataclass(frozen=True)
class SettingsCommand(Generic[S, R]):
    """A command that a settings file tells all.

    Attributes
    ----------
    model : type
        Kind of settings.
    example : TrainSettings or CrossValidateSettings
        What is printed where there is no file.
    act : callable
        Does the work, alone in the folder that the settings name, with workers if they have a section for them.
    show : callable
        Prints the result.
    """

    model: type[S]
    example: S
    act: Callable[[S, Work], R]
    show: Callable[[S, R], None]

    def follow(
        self,
        settings: Path | None,
        options: Mapping[str, Any],
        *,
        quiet: bool,
        defaults: bool,
        overwrite: bool,
    ) -> R | None:
        """Do what a settings file says and show what came of it, or print all settings.

        Parameters
        ----------
        settings : Path or None
            YAML; may be left out with `defaults` only.
        options : mapping
            By name, over the file's; None is "not given".
        quiet : bool
            Say only what went wrong.
        defaults : bool
            Print the settings with their meaning instead: those of the file, else the example.
        overwrite : bool
            Replace what was made with other settings.

        Returns
        -------
        object or None
            What `act` gave; None where settings were printed.

        Raises
        ------
        SettingsError
            If no file is given, or something in it is wrong.
        """
        command = self.model.command.partition(" ")[0]
        if settings is None and not defaults:
            raise SettingsError(
                f"no settings are given; `deepict-dask {self.model.command} > {command}.yaml` writes a file to fill in"
            )
        chosen = None if settings is None else load_settings(settings, options, self.model)
        if defaults or chosen is None:
            click.echo(commented_yaml(chosen or self.example), nl=False)
            return None
        from deepict_dask.cli.work import workers
        from deepict_dask.io.claim import claimed
        from deepict_dask.io.location import Location
        from deepict_dask.stages.work import Work

        reporter = TerminalReporter(quiet)
        with ExitStack() as stack:
            claim = stack.enter_context(claimed(Location.of(chosen.output), f"deepict-dask {command}"))
            if isinstance(chosen, CrossValidateSettings):
                stack.enter_context(workers(chosen.cluster, reporter))
            result = self.act(chosen, Work(reporter, overwrite, claim=claim))
        if not quiet:
            self.show(chosen, result)
        return result


def assigned(pairs: Sequence[str], model: type[S]) -> dict[str, Any]:
    """Read ``KEY=VALUE``: text for settings that are text, else the value in YAML.

    Raises
    ------
    SettingsError
        If one is not of this form.
    """
    from deepict_dask.config.yaml_file import read_yaml_value

    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set takes KEY=VALUE, such as --set depth=3, not {pair!r}")
        name = key.strip().replace("-", "_")
        is_text = (field := field_named(model, name)) is not None and field.annotation in (str, str | None)
        options[name] = text if is_text and text != "null" else read_yaml_value(text, f"--set {pair}")
    return options
