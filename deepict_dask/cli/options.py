"""Options made from the settings, so that both always use the same words."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import click

from deepict_dask.config.settings import (
    ClusterSettings,
    EqualizeSettings,
    IngestSettings,
    PickSettings,
    Section,
    SegmentSettings,
)

SECTIONS: dict[str, type[Section]] = {
    "ingest": IngestSettings,
    "equalize": EqualizeSettings,
    "segment": SegmentSettings,
    "pick": PickSettings,
    "cluster": ClusterSettings,
}

OVERWRITE = click.option(
    "--overwrite", is_flag=True, help="Replace complete outputs that were made with other settings."
)


def is_quiet(context: click.Context) -> bool:
    """Say whether --quiet was given before the command."""
    return bool(context.parent and context.parent.params["quiet"])


def setting_options(*sections: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command with an option for every setting of the sections.

    An option that is not given is None, which leaves the YAML's value, or the default. What is
    given is checked by the settings, not here.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for section in reversed(sections):
            for name, field in reversed(SECTIONS[section].model_fields.items()):
                function = _option(name, field.annotation, field.default, field.description or "")(function)
        return function

    return decorate


def _option(name: str, annotation: Any, default: Any, text: str) -> Any:
    kind, many = _kind(annotation)
    flag = "--" + name.replace("_", "-")
    shown = "" if default is None or many or kind is bool else f"  [default: {_plain(default)}]"
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    if many:
        # A comma-separated list: click would want the option repeated.
        shown = f"  [default: {','.join(default)}]" if default else ""
        return click.option(
            flag,
            name,
            default=None,
            metavar="A,B,..",
            help=text + shown,
            callback=lambda _c, _p, v: v and v.split(","),
        )
    return click.option(flag, name, default=None, type=kind, metavar=_metavar(name, kind), help=text + shown)


def _kind(annotation: Any) -> tuple[Any, bool]:
    """Give the click type of a setting, and whether it is a list."""
    while True:
        origin = get_origin(annotation)
        if origin in (Union, types.UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        elif hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif origin is list:
            return str, True
        elif origin is tuple:
            return str, False
        elif origin is Literal:
            values = get_args(annotation)
            return click.Choice([str(v) for v in values]) if isinstance(values[0], str) else int, False
        else:
            return annotation if annotation in (int, float, bool) else str, False


def _metavar(name: str, kind: Any) -> str | None:
    if isinstance(kind, click.Choice):
        return None
    if name in ("border", "voxel_size"):
        return "N or Z,Y,X"
    return {int: "N", float: "X"}.get(kind, name.upper())


def _plain(value: Any) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )
