"""Settings from YAML and from the command line, with errors that name the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deepict_dask.config.settings import Section, Settings
from deepict_dask.errors import MissingFileError, SettingsError


def load_settings(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read settings from YAML and put the given options over them.

    Parameters
    ----------
    path : path, optional
        YAML file with the sections of `Settings`; what it leaves out has its default.
    overrides : mapping, optional
        Option name (as in the sections; all names are distinct) to value; None is "not given".

    Returns
    -------
    Settings
        Validated and frozen.

    Raises
    ------
    MissingFileError, SettingsError
        With the key, the value and the rule.

    Examples
    --------
    >>> load_settings(overrides={"threshold": 0.3}).pick.threshold
    0.3
    """
    tree = {} if path is None else _read_yaml(Path(path))
    homes = {name: section for section, model in _sections().items() for name in model.model_fields}
    for name, value in (overrides or {}).items():
        if value is None:
            continue
        if name not in homes:
            raise SettingsError(f"there is no setting {name!r}; `deepict-dask settings` lists all")
        tree.setdefault(homes[name], {})[name] = value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(_sentence(error, path)) from None


def commented_yaml(settings: Settings | None = None) -> str:
    """Write settings as YAML, every key with its meaning in a comment; defaults if none are given."""
    settings = settings or Settings()
    lines = ["# Settings of deepict-dask. What is left out has the value written here.", ""]
    for section, model in _sections().items():
        lines += [f"# {(model.__doc__ or '').splitlines()[0]}", f"{section}:"]
        values = getattr(settings, section).model_dump(mode="json")
        for name, field in model.model_fields.items():
            # JSON is YAML, and every value here is a plain one.
            lines += [f"  # {field.description}", f"  {name}: {json.dumps(values[name])}"]
        lines.append("")
    return "\n".join(lines)


def _sections() -> dict[str, type[Section]]:
    return {name: field.annotation for name, field in Settings.model_fields.items()}  # type: ignore[misc]


def _read_yaml(path: Path) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(
            f"settings file {path} does not exist; `deepict-dask settings > {path}` writes one"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"settings file {path} is not readable as YAML: {reason}") from None
    if tree is None:
        return {}
    known = _sections()
    if not isinstance(tree, dict):
        raise SettingsError(
            f"settings file {path} must hold the sections {', '.join(known)}, each with its keys"
        )
    for section, keys in tree.items():
        if section not in known:
            raise SettingsError(
                f"{path}: there is no section {section!r}; the sections are {', '.join(known)}"
            )
        if keys is not None and not isinstance(keys, dict):
            raise SettingsError(f"{path}: section {section!r} must hold `key: value` lines, not {keys!r}")
    return {section: dict(keys or {}) for section, keys in tree.items()}


def _sentence(error: ValidationError, path: str | Path | None) -> str:
    """Say the first thing that is wrong, with its place and value."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function-", "tuple[")))
    source = f" (in {path} or given as an option)" if path else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(_sections()[str(first["loc"][0])].model_fields)
        return f"there is no setting {where!r}{source}; {first['loc'][0]} has {known}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "value_error":
        return f"{where}: {message}{source}"
    return f"setting {where} is {first['input']!r}, but {message}{source}"
