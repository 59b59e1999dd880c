"""Training settings from YAML, with options over them, and back to commented YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deepict_dask.config.settings import Section
from deepict_dask.config.training import EXAMPLE, TrainSettings, meanings
from deepict_dask.errors import MissingFileError, SettingsError


def load_train_settings(path: str | Path, overrides: Mapping[str, Any] | None = None) -> TrainSettings:
    """Read training settings from YAML and put the given options over them.

    Parameters
    ----------
    path : path
        YAML file with the keys of `TrainSettings`; what it leaves out has its default.
    overrides : mapping, optional
        Name of a setting, without its section (all names are distinct), to value; None is "not given".

    Returns
    -------
    TrainSettings
        Validated and frozen.

    Raises
    ------
    MissingFileError, SettingsError
        With the key, the value and the rule.
    """
    tree = _read(Path(path))
    homes = _homes()
    for name, value in (overrides or {}).items():
        if value is None:
            continue
        if name not in homes:
            raise SettingsError(
                f"there is no training setting {name!r}; `deepict-dask train --defaults` lists all"
            )
        home = homes[name]
        place = tree if home is None else tree.setdefault(home, {})
        if not isinstance(place, dict):
            raise SettingsError(f"{path}: section {home!r} must hold `key: value` lines, not {place!r}")
        place[name] = value
    try:
        return TrainSettings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(_sentence(error, path)) from None
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def commented_train_yaml(settings: TrainSettings | None = None) -> str:
    """Write training settings as YAML, every key with its meaning; all defaults if none are given."""
    settings = settings or EXAMPLE
    lines = ["# Settings of deepict-dask train. What is left out has the value written here.", ""]
    for name, field in TrainSettings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, list):
            lines += _list(name, field.description or "", value)
        elif isinstance(value, Section) or (is_dataclass(value) and not isinstance(value, type)):
            title = (type(value).__doc__ or "").strip().splitlines()[0]
            lines += [f"# {title}", f"{name}:"]
            known = meanings(type(value))
            values = value.model_dump(mode="json") if isinstance(value, Section) else asdict(value)
            for key, inner in values.items():
                # JSON is YAML, and every value here is a plain one.
                lines += [f"  # {known[key]}", f"  {key}: {json.dumps(inner)}"]
            lines.append("")
        else:
            lines += [f"# {field.description}", f"{name}: {json.dumps(value)}"]
    return "\n".join(lines)


def _list(name: str, description: str, sections: list[Section]) -> list[str]:
    lines = ["", f"# {description} Keys of each:"]
    lines += [f"#   {key}: {meaning}" for key, meaning in meanings(type(sections[0])).items()]
    lines.append(f"{name}:")
    for section in sections:
        given = section.model_dump(mode="json", exclude_defaults=True)
        first, *more = (f"{key}: {json.dumps(value)}" for key, value in given.items())
        lines += [f"  - {first}", *(f"    {line}" for line in more)]
    return [*lines, ""]


def _homes() -> dict[str, str | None]:
    """Give the section of every setting; None for those at the top."""
    homes: dict[str, str | None] = {}
    for name, field in TrainSettings.model_fields.items():
        default = field.default
        if isinstance(default, Section):
            homes |= dict.fromkeys(type(default).model_fields, name)
        elif is_dataclass(default):
            homes |= {inner.name: name for inner in fields(default)}
        else:
            homes[name] = None
    return homes


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(
            f"settings file {path} does not exist; `deepict-dask train --defaults > {path}` writes one"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"settings file {path} is not readable as YAML: {reason}") from None
    if not isinstance(tree, dict):
        raise SettingsError(
            f"settings file {path} must hold the keys of a training; `deepict-dask train --defaults` lists all"
        )
    # A section that is left empty has its defaults.
    return {str(key): value for key, value in tree.items() if value is not None}


def _sentence(error: ValidationError, path: str | Path) -> str:
    """Say the first thing that is wrong, with its place and value."""
    first = error.errors()[0]
    skipped = ("function-", "tuple[", "list[", "dict[", "constrained-", "AugmentationSettings")
    parts = [str(part) for part in first["loc"] if not str(part).startswith(skipped)]
    where = ".".join(parts)
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:] if not first["msg"].startswith("Value error, ") else message
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{path}: there is no setting {where!r}; `deepict-dask train --defaults` lists all"
    if kind in ("missing", "missing_argument"):
        return f"{path}: {where} is missing; `deepict-dask train --defaults` shows what it may be"
    if kind == "value_error":
        return f"{path}: {where}: {message}" if where else f"{path}: {message}"
    return f"{path}: {where} is {first['input']!r}, but {message}"
