"""What is wrong with settings, in one sentence: file and line, key, value, rule."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from deepict_dask.config.section import Section, keys_of, section_of, values_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from deepict_dask.config.yaml_file import YamlFile

Place = tuple[str | int, ...]
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")
_SECTION = ("model_type", "model_attributes_type", "dataclass_type", "dict_type")
_LONGEST = 100


def sentence_of(
    error: ValidationError,
    model: type[Section],
    tree: Mapping[str, Any],
    file: YamlFile | None = None,
    from_options: set[tuple[str, ...]] = frozenset(),  # type: ignore[assignment]
) -> str:
    """Say the first thing that is wrong, with its place and value.

    Parameters
    ----------
    error : pydantic.ValidationError
        Of the model.
    model : type
        Kind of settings.
    tree : mapping
        What was validated.
    file : YamlFile, optional
        Where it came from, as far as it did.
    from_options : set of tuple
        Places that options have set, which are not looked for in the file.
    """
    first = _most_telling(error.errors())
    place = _place(first, tree)
    where = ".".join(map(str, place))
    source = _source(place, file, from_options)
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    if kind in _UNKNOWN:
        return f"{source}there is no setting {where!r}; {_alternatives(place, model)}"
    if kind in _MISSING:
        return f"{source}{where} is missing; `deepict-dask {model.command}` shows what it may be"
    if kind == "value_error":
        return (
            f"{source}{where}: {message}" if where and not message.startswith(where) else f"{source}{message}"
        )
    value = repr(first["input"])
    value = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
    if kind in _SECTION:
        return f"{source}{where} is {value}, but must hold `key: value` lines"
    written = None if file is None or _is_option(place, from_options) else file.text_of(place)
    if kind == "string_type" and written:
        return f'{source}{where} is {written}, which is no text to YAML; write it in quotes: "{written}"'
    return f"{source}{where} is {value}, but {message[:1].lower()}{message[1:]}"


def _most_telling(errors: list[ErrorDetails]) -> ErrorDetails:
    """Of a value that may be of several kinds, take what is said about the kind that it nearly is."""
    first = errors[0]
    of_same = [e for e in errors if e["loc"][: len(first["loc"]) - 1] == first["loc"][:-1]]
    return (
        max(of_same, key=lambda e: (len(e["loc"]), not e["type"].endswith("_type")))
        if first["loc"]
        else first
    )


def _place(error: ErrorDetails, tree: Mapping[str, Any]) -> Place:
    """Give the keys and list entries that lead to a value, without what pydantic adds of its types."""
    place: list[str | int] = []
    here: Any = tree
    for i, part in enumerate(error["loc"]):
        is_last = i == len(error["loc"]) - 1
        is_entry = isinstance(here, (list, tuple)) and isinstance(part, int) and part < len(here)
        if is_entry or (isinstance(here, Mapping) and part in here):
            here = here[part]
        elif not (is_last and error["type"] in (*_UNKNOWN, *_MISSING)):
            continue
        place.append(part)
    return tuple(place)


def _is_option(place: Place, from_options: set[tuple[str, ...]]) -> bool:
    return any(place[: len(option)] == option for option in from_options)


def _source(place: Place, file: YamlFile | None, from_options: set[tuple[str, ...]]) -> str:
    if file is None or _is_option(place, from_options):
        return ""
    line = file.line_of(place)
    # A key that is missing, or a rule about a whole section: the nearest line around it.
    while line is None and place:
        place = place[:-1]
        line = file.line_of(place) if place else None
    return f"{file.path}: " if line is None else f"{file.path}, line {line}: "


def _alternatives(place: Place, model: type[Section]) -> str:
    """Say which keys there are where one is unknown."""
    *around, unknown = place
    section: type[Any] | None = model
    by_name: type[Any] | None = None
    for part in around:
        if by_name is not None:
            # The name of a tomogram, whatever it is.
            section, by_name = by_name, None
            continue
        fields = section.model_fields if section is not None and issubclass(section, Section) else {}
        by_name = values_of(fields[part]) if part in fields else None
        section = section_of(fields[part]) if part in fields and by_name is None else None
    if section is None:
        return f"`deepict-dask {model.command}` lists all"
    keys = keys_of(section)
    near = difflib.get_close_matches(str(unknown), keys, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}{'.'.join(map(str, around)) or 'at the top'} has {', '.join(keys)}"
