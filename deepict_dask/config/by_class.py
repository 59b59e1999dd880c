"""Settings that may differ from class to class: one value for all, or a value by class name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic.fields import FieldInfo

from deepict_dask.names import first_duplicate, what_is_wrong

OTHERS = "*"
"""Stands for all classes that a mapping does not name."""

T = TypeVar("T")


def _class_name(name: str) -> str:
    if name != OTHERS and (wrong := what_is_wrong(name, is_class=True)) is not None:
        raise ValueError(f"the class {name!r:.120} {wrong}; give it as the network names it")
    return name


def _differ(mapping: dict[str, Any]) -> Any:
    if twice := first_duplicate(list(mapping)):
        raise ValueError(f"the class {twice!r} has two values; give one")
    # What holds for all others where nobody is named holds for all.
    return mapping[OTHERS] if list(mapping) == [OTHERS] else mapping


def _how_given(value: object) -> str:
    return "by class" if isinstance(value, Mapping) else "for all classes"


ClassKey = Annotated[str, AfterValidator(_class_name)]
PerClass = Annotated[
    Annotated[T, Tag("for all classes")]
    | Annotated[dict[ClassKey, T], Field(min_length=1), AfterValidator(_differ), Tag("by class")],
    Discriminator(_how_given),
]
"""One value, or a mapping of class names to values in which ``"*"`` stands for all others."""


def is_per_class(field: FieldInfo) -> bool:
    """Say whether a setting may differ from class to class."""
    return any(isinstance(part, Discriminator) for part in field.metadata)


def value_for(value: Any, name: str) -> Any:
    """Give the value of one class.

    Parameters
    ----------
    value : value or mapping
        As `PerClass` has it.
    name : str
        Of the class; "*" gives what classes have that are not named.

    Returns
    -------
    value
        None where a mapping says nothing of the class, nor of all others.

    Examples
    --------
    >>> value_for({"fas": 0.3, "*": 0.5}, "fas"), value_for({"fas": 0.3, "*": 0.5}, "ribosome"), value_for(0.4, "fas")
    (0.3, 0.5, 0.4)
    """
    if not isinstance(value, Mapping):
        return value
    return value[name] if name in value else value.get(OTHERS)


def merge_by_class(under: Any, over: Any) -> Any:
    """Put what is given over what there was.

    A plain value, or a mapping that says something of all others, replaces all; a mapping that only names
    classes changes those.

    Examples
    --------
    >>> merge_by_class(0.5, {"fas": 0.3})
    {'*': 0.5, 'fas': 0.3}
    >>> merge_by_class({"fas": 0.3}, 0.4)
    0.4
    """
    if isinstance(over, Mapping) and OTHERS not in over:
        below = dict(under) if isinstance(under, Mapping) else {OTHERS: under}
        return below | dict(over)
    return over[OTHERS] if isinstance(over, Mapping) and len(over) == 1 else over
