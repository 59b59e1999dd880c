"""Settings of cross-validations and sweeps from YAML, and back to commented YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from deepict_dask.config.settings import Section
from deepict_dask.config.sweep import CrossValidateSettings, FoldSettings, SweepSettings
from deepict_dask.config.training import meanings
from deepict_dask.config.training_file import load_train_settings
from deepict_dask.errors import MissingFileError, SettingsError

Settings = TypeVar("Settings", bound=CrossValidateSettings)


def load_sweep_settings(
    path: str | Path, model: type[Settings], overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Read the settings of a cross-validation or sweep and put the given options over them.

    Parameters
    ----------
    path : path
        YAML file with the keys of the model. Its key ``training`` holds those of `TrainSettings`, or the path of
        a file with them, relative to this one.
    model : CrossValidateSettings or SweepSettings
        The class.
    overrides : mapping, optional
        ``output``, ``at_once`` or a setting of ``cluster`` to its value; None is "not given".

    Raises
    ------
    MissingFileError, SettingsError
        With the key, the value and the rule.
    """
    path, command = Path(path), command_of(model)
    tree = _read(path, command)
    for name, value in (overrides or {}).items():
        if value is None:
            continue
        if name in ("output", "at_once"):
            tree[name] = value
            continue
        cluster = tree.setdefault("cluster", {})
        if not isinstance(cluster, dict):
            raise SettingsError(f"{path}: section 'cluster' must hold `key: value` lines, not {cluster!r}")
        cluster[name] = value
    training = tree.get("training")
    if isinstance(training, str):
        tree["training"] = load_train_settings(path.parent / training)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(_sentence(error, path, command)) from None


def commented_sweep_yaml(
    model: type[CrossValidateSettings], settings: CrossValidateSettings | None = None
) -> str:
    """Write settings as YAML, every key with its meaning; all defaults if none are given."""
    command = command_of(model)
    lines = [f"# Settings of deepict-dask {command}. What is left out has the value written here.", ""]
    for name, field in model.model_fields.items():
        default = field.default
        if name == "training":
            value = (
                "train.yaml"
                if settings is None
                else settings.training.model_dump(mode="json", exclude_defaults=True)
            )
            lines += [f"# {field.description}", f"training: {json.dumps(value)}", ""]
            continue
        value = default if settings is None else getattr(settings, name)
        if name == "folds" and value is None:
            lines += [f"# {field.description}", "folds: null"]
            lines += [f"#   {key}: {meaning}" for key, meaning in meanings(FoldSettings).items()]
            lines.append("")
        elif isinstance(value, Section):
            title = (type(value).__doc__ or "").strip().splitlines()[0]
            lines += [f"# {title}", f"{name}:"]
            known = meanings(type(value))
            for key, inner in value.model_dump(mode="json").items():
                lines += [f"  # {known[key]}", f"  {key}: {json.dumps(inner)}"]
            lines.append("")
        else:
            lines += [f"# {field.description}", f"{name}: {json.dumps(value)}", ""]
    return "\n".join(lines)


def command_of(model: type[CrossValidateSettings]) -> str:
    """Name the command that the settings are of."""
    return "sweep" if issubclass(model, SweepSettings) else "crossvalidate"


def _read(path: Path, command: str) -> dict[str, Any]:
    import yaml

    hint = f"`deepict-dask {command} --defaults"
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"settings file {path} does not exist; {hint} > {path}` writes one") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"settings file {path} is not readable as YAML: {reason}") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"settings file {path} must hold the keys of a {command}; {hint}` lists all")
    # A section that is left empty has its defaults; folds may be null on purpose.
    return {str(key): value for key, value in tree.items() if value is not None or key == "folds"}


def _sentence(error: ValidationError, path: Path, command: str) -> str:
    first = error.errors()[0]
    skipped = (
        "function-",
        "tuple[",
        "list[",
        "dict[",
        "constrained-",
        "AugmentationSettings",
        "FoldSettings",
    )
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(skipped))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{path}: there is no setting {where!r}; `deepict-dask {command} --defaults` lists all"
    if first["type"] == "missing":
        return f"{path}: {where} is missing; `deepict-dask {command} --defaults` shows what it may be"
    if first["type"] == "value_error":
        return f"{path}: {where}: {message}" if where else f"{path}: {message}"
    return f"{path}: {where} is {first['input']!r}, but {message[:1].lower()}{message[1:]}"
