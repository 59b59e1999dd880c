"""Settings over settings: what is given replaces what there was, key by key and class by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepict_dask.config.by_class import is_per_class, merge_by_class
from deepict_dask.config.section import Section, section_of

Tree = Mapping[str, Any]


def merge_trees(model: type[Any], under: Tree, over: Tree) -> dict[str, Any]:
    """Put given settings over others.

    Parameters
    ----------
    model : type
        Class that has these settings.
    under, over : mapping
        Sections to keys to values, not yet validated.

    Returns
    -------
    dict
        Both, for validation; what is not as it should be is left for that.
    """
    merged = dict(under)
    model_fields = model.model_fields if issubclass(model, Section) else {}
    for key, value in over.items():
        field = model_fields.get(key)
        below = merged.get(key)
        if key not in merged or field is None:
            merged[key] = value
        elif is_per_class(field):
            merged[key] = merge_by_class(below, value)
        elif isinstance(below, Mapping) and isinstance(value, Mapping) and (section := section_of(field)):
            merged[key] = merge_trees(section, below, value)
        elif isinstance(below, Mapping) and isinstance(value, Mapping) and key == "tomograms":
            merged[key] = _by_tomogram(model, below, value)
        else:
            merged[key] = value
    return merged


def _by_tomogram(model: type[Section], under: Tree, over: Tree) -> dict[str, Any]:
    merged = dict(under)
    for name, sections in over.items():
        below = merged.get(name)
        both = isinstance(below, Mapping) and isinstance(sections, Mapping)
        # The sections of a tomogram are those of the run.
        merged[name] = merge_trees(model, below, sections) if both else sections  # type: ignore[arg-type]
    return merged


def option_over_tomograms(
    model: type[Section], tree: Tree, section: str, name: str, value: Any
) -> dict[str, Any]:
    """Let an option win over what single tomograms have otherwise, as it does over the rest of the file.

    Parameters
    ----------
    model : type
        `Settings`.
    tree : mapping
        All settings, with ``tomograms``.
    section, name, value
        The option; of one by class only the named classes change.
    """
    merged = dict(tree)
    tomograms = merged.get("tomograms")
    if not isinstance(tomograms, Mapping):
        return merged
    merged["tomograms"] = {
        tomogram: merge_trees(model, sections, {section: {name: value}})
        if _has(sections, section, name)
        else sections
        for tomogram, sections in tomograms.items()
    }
    return merged


def _has(sections: Any, section: str, name: str) -> bool:
    return (
        isinstance(sections, Mapping)
        and isinstance(sections.get(section), Mapping)
        and name in sections[section]
    )
