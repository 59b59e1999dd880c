"""Commands whose first word is a settings file: train, crossvalidate, sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from deepict_dask.config import commented_yaml, load_settings
from deepict_dask.config.section import Section
from deepict_dask.errors import SettingsError

S = TypeVar("S", bound=Section)


def chosen_settings(
    model: type[S], example: S, path: Path | None, options: Mapping[str, Any], *, defaults: bool
) -> S | None:
    """Read the settings of a command, or print all that there are.

    Parameters
    ----------
    model : type
        Kind of settings.
    example : Section
        What is printed where there is no file.
    path : Path or None
        YAML; may be left out with `defaults` only.
    options : mapping
        By name, over the file's; None is "not given".
    defaults : bool
        Print the settings with their meaning: those of the file, else the example.

    Returns
    -------
    Section or None
        None where they were printed.

    Raises
    ------
    SettingsError
        If no file is given, or something in it is wrong.
    """
    if path is None and not defaults:
        command = model.command.partition(" ")[0]
        raise SettingsError(
            f"no settings are given; `deepict-dask {model.command} > {command}.yaml` writes a file to fill in"
        )
    chosen = None if path is None else load_settings(path, options, model)
    if not defaults:
        return chosen
    click.echo(commented_yaml(chosen or example), nl=False)
    return None


def assigned(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE``, the value in YAML."""
    import yaml

    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set takes KEY=VALUE, such as --set depth=3, not {pair!r}")
        try:
            options[name.strip().replace("-", "_")] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise SettingsError(f"--set {pair}: the value is not readable as YAML") from None
    return options
