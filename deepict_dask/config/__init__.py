"""Frozen settings, one model per stage; YAML in and out, unknown keys refused."""

from deepict_dask.config.read import commented_yaml, load_settings
from deepict_dask.config.settings import (
    ClusterSettings,
    EqualizeSettings,
    IngestSettings,
    PickSettings,
    SegmentSettings,
    Settings,
)

__all__ = [
    "ClusterSettings",
    "EqualizeSettings",
    "IngestSettings",
    "PickSettings",
    "SegmentSettings",
    "Settings",
    "commented_yaml",
    "load_settings",
]
