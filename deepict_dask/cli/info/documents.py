"""Settings, side files and lists, described."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepict_dask.cli.info import Facts
from deepict_dask.cli.info.tomograms import history
from deepict_dask.errors import DeepictError, FormatError, InputError
from deepict_dask.provenance import Provenance

if TYPE_CHECKING:
    from deepict_dask.config.section import Section


def describe_yaml(path: Path) -> Facts:
    """Describe settings in YAML: whose they are, what they set, and whether they are right."""
    from deepict_dask.config import load_settings
    from deepict_dask.config.yaml_file import read_yaml_file

    content = read_yaml_file(path).tree
    if not content:
        raise FormatError(f"{path} holds nothing and no settings; settings have names and values")
    facts: Facts = {"what": "YAML"}
    if (kind := _kind_of_settings(content)) is not None:
        title, model = kind
        facts = {"what": f"settings of {title}", "state": "right"}
        try:
            load_settings(path, None, model)
        except DeepictError as error:
            facts["state"] = str(error)
    return facts | {key: _short(value) for key, value in content.items() if value is not None}


def _kind_of_settings(content: Mapping[str, Any]) -> tuple[str, type[Section]] | None:
    """Tell by their keys what settings are of; None for any other YAML."""
    from deepict_dask.config import Settings
    from deepict_dask.config.sweep import CrossValidateSettings, SweepSettings
    from deepict_dask.config.training import TrainSettings

    if "training" in content:
        return (
            ("a sweep", SweepSettings)
            if "search" in content
            else ("a cross-validation", CrossValidateSettings)
        )
    if isinstance(content.get("tomograms"), list) or {"network", "fit", "patches", "split"} & set(content):
        return "a training", TrainSettings
    return ("a run", Settings) if set(content) & set(Settings.model_fields) else None


def describe_json(path: Path) -> Facts:
    """Describe a model card, or what lies beside an output.

    Raises
    ------
    FormatError
        If it is no JSON, or holds nothing that has a name.
    """
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise FormatError(f"{path} is not JSON ({error}); it is damaged or empty") from error
    if not isinstance(content, dict) or not content:
        kind = "a list" if isinstance(content, list) else "one value"
        raise InputError(
            f"{path} holds {kind if content else 'nothing'} and no names, so it cannot be described; give the file that it "
            "lies beside"
        )
    if "n_particles" in content or "made_by" in content:
        what = "what made the table of particles beside it"
    elif "architecture" in content:
        what = "model card"
    else:
        what = "JSON"
    facts = {"what": what, **{str(key): _short(value) for key, value in content.items() if key != "made_by"}}
    if (made_by := content.get("made_by")) is not None:
        facts |= history(Provenance.from_json(made_by)) or {"made by": _short(made_by)}
    return facts


def describe_list(path: Path) -> Facts:
    """Describe a list of tomograms."""
    from deepict_dask.io.inputs import find_inputs

    inputs = find_inputs([str(path)])
    names = ", ".join(i.name for i in inputs[:8]) + (
        f" and {len(inputs) - 8} more" if len(inputs) > 8 else ""
    )
    return {"what": f"list of {len(inputs)} tomogram{'s' * (len(inputs) > 1)}", "names": names}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not text in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def _short(value: Any) -> str:
    """Write a value on one line."""
    if isinstance(value, Mapping):
        shown = ", ".join(f"{k} {_short(v)}" for k, v in value.items() if v is not None)
    elif isinstance(value, bool):
        shown = "yes" if value else "no"
    elif isinstance(value, list):
        shown = (
            f"{len(value)} entries"
            if value and isinstance(value[0], (dict, list))
            else ", ".join(map(str, value))
        )
    else:
        shown = str(value)
    return shown if len(shown) <= 300 else shown[:297] + "..."
