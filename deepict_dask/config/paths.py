"""The settings that are paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deepict_dask.config.settings import Settings

PATHS = {"equalize": ("target_spectrum",), "segment": ("model",), "pick": ("region",)}
"""By section; each may be None, or a mapping by class."""


def with_paths(settings: Settings, change: Callable[[str, str], str]) -> Settings:
    """Change all paths in settings, also those of single tomograms and classes.

    Parameters
    ----------
    settings : Settings
        As they were read.
    change : callable
        Key and path to the new path.

    Examples
    --------
    >>> settings = Settings(pick={"region": {"fas": "a.mrc"}})
    >>> with_paths(settings, lambda key, path: "/data/" + path).pick.region
    {'*': None, 'fas': '/data/a.mrc'}
    """
    tree = settings.model_dump()
    for sections in (tree, *tree["tomograms"].values()):
        for section, keys in PATHS.items():
            values = sections.get(section, {})
            values |= {key: _changed(key, values[key], change) for key in keys if key in values}
    return Settings.model_validate(tree)


def _changed(key: str, value: Any, change: Callable[[str, str], str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _changed(key, path, change) for name, path in value.items()}
    return None if value is None else change(key, value)
