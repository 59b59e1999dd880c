"""Settings as YAML, every key with its meaning in a comment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from deepict_dask.config.section import Section, meanings, section_of, title_of
from deepict_dask.config.settings import Settings

# What YAML does not allow in a file, or takes for the end of a line.
_NOT_PRINTABLE = re.compile(
    "[^\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def commented_yaml(settings: Section | None = None) -> str:
    """Write settings of any kind; read back with `load_settings` they are equal.

    Parameters
    ----------
    settings : Section, optional
        `Settings` with all defaults if none are given.
    """
    settings = Settings() if settings is None else settings
    command = type(settings).command.partition(" --")[0]
    of = "deepict-dask" if command == "settings" else f"deepict-dask {command}"
    lines = [f"# Settings of {of}. What is left out has the value written here.", ""]
    return "\n".join(lines + _keys(settings, "")).rstrip("\n") + "\n"


def _keys(section: Any, indent: str) -> list[str]:
    """Write the keys of a section, from the left or within another."""
    meaning = meanings(type(section))
    lines: list[str] = []
    for name in meaning:
        value = getattr(section, name)
        if isinstance(value, Section) or (is_dataclass(value) and not isinstance(value, type)):
            title = title_of(type(value))
            lines += [f"{indent}# {title}"] if title else []
            lines += [f"{indent}{name}:", *_keys(value, indent + "  ")]
            lines += [""] * (not indent)
        elif isinstance(value, list) and value and isinstance(value[0], Section):
            lines += [f"{indent}{line}".rstrip() for line in _list(name, meaning[name], value)]
        elif name == "tomograms" and isinstance(section, Settings):
            lines += [f"# {meaning[name]}", *_by_tomogram(section)]
        else:
            if isinstance(section, Section) and not isinstance(value, str):
                value = section.model_dump(mode="json", include={name})[name]
            lines += [f"{indent}# {meaning[name]}", f"{indent}{name}: {_plain(value)}"]
            lines += _commented_out(section, name, indent)
            lines += [""] * (not indent)
    return lines


def _commented_out(section: Any, name: str, indent: str) -> list[str]:
    """Say what a section that is None may hold."""
    inner = section_of(type(section).model_fields[name]) if isinstance(section, Section) else None
    return [] if inner is None else [f"{indent}#   {key}: {text}" for key, text in meanings(inner).items()]


def _list(name: str, meaning: str, sections: list[Section]) -> list[str]:
    lines = ["", f"# {meaning} Keys of each:"]
    lines += [f"#   {key}: {text}" for key, text in meanings(type(sections[0])).items()]
    lines.append(f"{name}:")
    for section in sections:
        values = section.model_dump(mode="json", exclude_defaults=True)
        first, *more = (f"{key}: {_plain(value)}" for key, value in values.items())
        lines += [f"  - {first}", *(f"    {line}" for line in more)]
    return [*lines, ""]


def _by_tomogram(settings: Settings) -> list[str]:
    overrides: Mapping[str, Any] = settings.model_dump(mode="json", include={"tomograms"})["tomograms"]
    if not overrides:
        return ["tomograms: {}"]
    lines = ["tomograms:"]
    for tomogram, sections in overrides.items():
        lines.append(f"  {_plain(tomogram)}:" if sections else f"  {_plain(tomogram)}: {{}}")
        lines += [f"    {section}: {_plain(values)}" for section, values in sections.items()]
    return lines


def _plain(value: Any) -> str:
    """Write a value on one line: JSON is YAML but for the characters that YAML does not allow."""
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda match: f"\\U{ord(match[0]):08x}", text)
