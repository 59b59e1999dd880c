"""Options made from the settings, so that both always use the same words."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from deepict_dask.cli.by_class import read_by_class
from deepict_dask.config import NONE, Settings
from deepict_dask.config.by_class import is_per_class
from deepict_dask.config.section import section_of

SECTIONS = {name: section for name, field in Settings.model_fields.items() if (section := section_of(field))}

OVERWRITE = click.option(
    "--overwrite", is_flag=True, help="Replace complete outputs that were made with other settings."
)

# How values are written that are more than a number or a word.
_METAVARS = {
    "border": "N or Z,Y,X",
    "voxel_size": "N or Z,Y,X",
    "min_size": "N or 90A",
    "max_size": "N or 90A",
    "region": "MASK",
}


def is_quiet(context: click.Context) -> bool:
    """Say whether --quiet was given before the command."""
    return bool(context.parent and context.parent.params["quiet"])


def command(*options: Callable[..., Any]) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function of the context and of its options, which its help shows in this order."""

    def decorate(function: Callable[..., None]) -> click.Command:
        decorated: Any = click.pass_context(function)
        for option in reversed(options):
            decorated = option(decorated)
        return click.command()(decorated)

    return decorate


def setting_options(*sections: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command with an option for every setting of the sections.

    An option that is not given is None, which leaves the YAML's value, or the default. What is
    given is checked by the settings, not here; ``none`` takes a setting back that may be None.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for section in reversed(sections):
            for name, field in reversed(SECTIONS[section].model_fields.items()):
                function = _option(name, field)(function)
        return function

    return decorate


@dataclass(frozen=True)
class Kind:
    """What an option takes: a click type, or bool; whether a list of it, and whether ``none``."""

    type: Any
    is_list: bool = False
    is_optional: bool = False


def _option(name: str, field: FieldInfo) -> Any:
    kind = _kind(field.annotation)
    flag, text, default = "--" + name.replace("_", "-"), field.description or "", field.default
    if kind.type is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    shown = "" if default is None else f"  [default: {_plain(default)}]"
    written = _written(name, kind)
    if is_per_class(field):
        return click.option(
            flag,
            name,
            multiple=True,
            metavar=f"[CLASS=]{written}",
            help=text + shown,
            callback=lambda context, option, items: _or_none(
                items, read_by_class(items, flag, lambda value: _read(value, kind, option, context))
            ),
        )
    return click.option(
        flag,
        name,
        default=None,
        metavar=written,
        help=text + shown,
        callback=lambda context, option, value: (
            None if value is None else _or_none(value, _read(value, kind, option, context))
        ),
    )


def _or_none(given: Any, value: Any) -> Any:
    """Tell ``none`` from an option that is not given."""
    return NONE if given and value is None else value


def _read(text: str, kind: Kind, option: click.Parameter, context: click.Context) -> Any:
    """Make what the settings take of a word of the command line."""
    if kind.is_optional and text.lower() == "none":
        return None
    if kind.is_list:
        # Separated by commas: click would want the option repeated.
        return [part.strip() for part in text.split(",")]
    return click.types.convert_type(kind.type).convert(text, option, context)


def _kind(annotation: Any, is_optional: bool = False) -> Kind:
    """Give what a setting takes: of one that may be given by class, the value of a class."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], is_optional)
    if origin in (Union, types.UnionType):
        may_be_none = is_optional or type(None) in arguments
        kinds = [
            _kind(a, may_be_none)
            for a in arguments
            if a is not type(None) and get_origin(_bare(a)) is not dict
        ]
        # A number or a word, such as a size in voxels or a diameter, is a word here.
        one = kinds[0] if len({str(kind.type) for kind in kinds}) == 1 else Kind(str)
        return Kind(one.type, one.is_list, any(kind.is_optional for kind in kinds))
    if origin is list:
        return Kind(str, True, is_optional)
    if origin is Literal:
        return Kind(_Choice(arguments), False, is_optional)
    return Kind(annotation if annotation in (int, float, bool) else str, False, is_optional)


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


class _Choice(click.Choice):
    """A choice among words or numbers, which are given back as such."""

    def __init__(self, values: Sequence[Any]):
        super().__init__([str(value) for value in values])
        self.values = {str(value): value for value in values}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.values[super().convert(value, param, ctx)]


def _written(name: str, kind: Kind) -> str:
    if name in _METAVARS:
        return _METAVARS[name]
    if isinstance(kind.type, _Choice):
        return "|".join(kind.type.values)
    return "A,B,.." if kind.is_list else {int: "N", float: "X"}.get(kind.type, name.upper())


def _plain(value: Any) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    return (
        ",".join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )
