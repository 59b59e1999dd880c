"""Settings from YAML and from options: read, put over others, validated, and mistakes said in a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from deepict_dask.config.merging import merge_trees, option_over_tomograms
from deepict_dask.config.section import Section, keys_of, section_of
from deepict_dask.config.sentences import sentence_of
from deepict_dask.config.settings import Settings
from deepict_dask.errors import DeepictError, SettingsError

if TYPE_CHECKING:
    from deepict_dask.config.yaml_file import YamlFile

S = TypeVar("S", bound=Section)
Options = Mapping[str, Any]
Tree = Mapping[str, Any]


class Nothing(Enum):
    """An option that says None, where None alone means that it was not given."""

    NONE = "none"


NONE: Final = Nothing.NONE


@overload
def load_settings(path: str | Path | None = None, options: Options | None = None) -> Settings: ...
@overload
def load_settings(path: str | Path | None, options: Options | None, model: type[S]) -> S: ...
def load_settings(
    path: str | Path | None = None, options: Options | None = None, model: type[Any] = Settings
) -> Any:
    """Read settings from YAML and put the given options over them.

    Parameters
    ----------
    path : path, optional
        YAML file with the keys of the model; what it leaves out has its default.
    options : mapping, optional
        Name of a setting, without its section, to value; None is "not given", `NONE` is None.
    model : type, optional
        Kind of settings: `Settings`, `TrainSettings`, `CrossValidateSettings`, `SweepSettings`.

    Returns
    -------
    Section
        Of the model: validated and frozen.

    Raises
    ------
    MissingFileError, SettingsError
        With the file and line, the key, the value and the rule.

    Examples
    --------
    >>> load_settings(options={"threshold": 0.3}).pick.threshold
    0.3
    """
    return _over(model, {}, path, options or {})


def merge_given(
    base: Settings, config: str | Path | Tree | None = None, options: Options | None = None
) -> Settings:
    """Put what is given over settings that need not be the defaults, such as those that a run was made with.

    Parameters
    ----------
    base : Settings
        What holds where nothing is given.
    config : path or mapping, optional
        YAML file, or its content: sections with their keys.
    options : mapping, optional
        As for `load_settings`; they win over the file, and over what single tomograms have otherwise.

    Returns
    -------
    Settings
        A plain value replaces those of all classes; one by class changes the classes that it names.

    Examples
    --------
    >>> base = Settings(pick={"threshold": 0.4, "min_size": 7})
    >>> merge_given(base, options={"threshold": {"fas": 0.3}}).pick.threshold
    {'*': 0.4, 'fas': 0.3}
    """
    return _over(Settings, base.model_dump(), config, options or {})


def validated(model: type[S], tree: Tree) -> S:
    """Make settings of plain values.

    Raises
    ------
    SettingsError
        With the key, the value and the rule.
    """
    return _validated(model, tree, None, set())


def _over(model: type[S], base: Tree, config: str | Path | Tree | None, options: Options) -> S:
    file: YamlFile | None = None
    if isinstance(config, (str, Path)):
        from deepict_dask.config.yaml_file import read_yaml_file

        file = read_yaml_file(Path(config).expanduser(), model.command)
        config = file.tree
    tree = merge_trees(model, base, _without_empty(model, config or {}))
    placed = _placed(model, options)
    for section, name, value in placed:
        if section is None:
            tree = merge_trees(model, tree, {name: value})
        elif isinstance(tree.setdefault(section, {}), Mapping):
            tree = merge_trees(model, tree, {section: {name: value}})
            tree = option_over_tomograms(model, tree, section, name, value)
    return _validated(
        model, tree, file, {(section, name) if section else (name,) for section, name, _ in placed}
    )


def _validated(model: type[S], tree: Tree, file: YamlFile | None, from_options: set[tuple[str, ...]]) -> S:
    try:
        return model.model_validate(tree, context={"folder": None if file is None else file.path.parent})
    except ValidationError as error:
        for first in error.errors():
            # Such as those of the file of training settings that a sweep names.
            if isinstance(cause := first.get("ctx", {}).get("error"), DeepictError) and first["loc"] == (
                "training",
            ):
                raise cause from None
        raise SettingsError(sentence_of(error, model, tree, file, from_options)) from None


def _without_empty(model: type[Section], tree: Tree) -> dict[str, Any]:
    """Leave out what has no value: its defaults hold, unless None is a value of its own."""
    optional = {
        name
        for name, field in model.model_fields.items()
        if type(None) in getattr(field.annotation, "__args__", ())
    }
    return {key: value for key, value in tree.items() if value is not None or key in optional}


def _placed(model: type[Section], options: Options) -> list[tuple[str | None, str, Any]]:
    """Find the section of each option that is given; None for those at the top."""
    homes = _homes(model)
    placed = []
    for name, value in options.items():
        if value is None:
            continue
        if len(homes.get(name, ())) != 1:
            raise SettingsError(_no_such_option(name, homes, model))
        placed.append((homes[name][0], name, None if value is NONE else value))
    return placed


def _homes(model: type[Section]) -> dict[str, list[str | None]]:
    """Give the sections in which each setting is; None for the top."""
    sections = {key: section for key, field in model.model_fields.items() if (section := section_of(field))}
    homes: dict[str, list[str | None]] = {key: [None] for key in model.model_fields if key not in sections}
    for key, section in sections.items():
        # Settings of another command, such as those of the training that a sweep does, are no options.
        for name in () if "command" in vars(section) else keys_of(section):
            homes.setdefault(name, []).append(key)
    return homes


def field_named(model: type[Section], name: str) -> FieldInfo | None:
    """Give the setting of a name, wherever it is; None if there is none, or it is one of a dataclass."""
    (home,) = _homes(model).get(name, (None,))[:1]
    section = model if home is None else section_of(model.model_fields[home])
    return section.model_fields.get(name) if section is not None and issubclass(section, Section) else None


def _no_such_option(name: str, homes: Mapping[str, list[str | None]], model: type[Section]) -> str:
    if name in homes:
        return f"{name} is a setting of {' and '.join(map(str, homes[name]))}; set it in a settings file"
    near = difflib.get_close_matches(name, homes, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no setting {name!r}; {hint}`deepict-dask {model.command}` lists all"
