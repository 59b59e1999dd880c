"""What all settings share: a frozen section whose unknown keys are mistakes, and kinds of values."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, ClassVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from deepict_dask.names import what_is_wrong
from deepict_dask.tomogram import axes_of, per_axis


class Section(BaseModel):
    """Settings that belong together: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # The command that prints all settings of this class, for sentences about a file of them.
    command: ClassVar[str] = "settings"


def _voxel_size(value: object) -> object:
    return value if value is None else per_axis(value)


def _thickness(value: object) -> object:
    """Let one number stand for all three axes, and ``"a,b,c"`` for a list, as a command line writes it."""
    axes = axes_of(value)
    if len(axes) != 3:
        raise ValueError(f"a border is one whole number of voxels, or three as z,y,x, not {value!r}")
    return axes


def _name(value: str) -> str:
    if (wrong := what_is_wrong(value)) is not None:
        raise ValueError(f"the name {value!r:.120} {wrong}; give it another")
    return value


def _class_name(value: str) -> str:
    if (wrong := what_is_wrong(value, is_class=True)) is not None:
        raise ValueError(f"the class {value!r:.120} {wrong}; give it another name")
    return value


Name = Annotated[str, AfterValidator(_name)]
ClassName = Annotated[str, AfterValidator(_class_name)]
PositiveLength = Annotated[float, Field(gt=0, le=10_000)]
VoxelSize = Annotated[tuple[PositiveLength, PositiveLength, PositiveLength], BeforeValidator(_voxel_size)]
# Closer limits would cut into what a tomogram shows.
Clip = Annotated[float, Field(ge=3, le=1000)]
VoxelValue = Annotated[float, Field(ge=-1e38, le=1e38)]
Thickness = Annotated[int, Field(ge=0, le=10**9)]
Border = Annotated[tuple[Thickness, Thickness, Thickness], BeforeValidator(_thickness)]


def section_of(field: FieldInfo) -> type[Any] | None:
    """Give the class of a field that holds settings of its own, also one that may be None; else None."""
    annotation = field.annotation
    if get_origin(annotation) is not None and get_origin(annotation) not in (list, dict, tuple):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        annotation = inner[0] if len(inner) == 1 else None
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, Section) or is_dataclass(annotation) else None
    return None


def values_of(field: FieldInfo) -> type[Section] | None:
    """Give the class of the values of a field that holds settings by name; None for any other field."""
    if get_origin(field.annotation) is not dict:
        return None
    value = get_args(field.annotation)[1]
    return value if isinstance(value, type) and issubclass(value, Section) else None


def keys_of(section: type[Any]) -> tuple[str, ...]:
    """Name the settings of a section, in their order."""
    return tuple(section.model_fields if issubclass(section, Section) else (f.name for f in fields(section)))


def meanings(section: type[Any]) -> dict[str, str]:
    """Give what each key of a section means: pydantic's descriptions, or the docstring of a dataclass."""
    if issubclass(section, Section):
        return {name: field.description or "" for name, field in section.model_fields.items()}
    body = (section.__doc__ or "").partition("----------\n")[2]
    entries = re.finditer(r"^    (\w+) : .*\n((?:        .*\n?)+)", body, re.MULTILINE)
    described = {entry[1]: " ".join(entry[2].split()) for entry in entries}
    return {name: described.get(name, "") for name in keys_of(section)}


def title_of(section: type[Any]) -> str:
    """Give the first line of what a section says about itself; empty where Python dropped it (-OO)."""
    return (section.__doc__ or "").strip().partition("\n")[0]
