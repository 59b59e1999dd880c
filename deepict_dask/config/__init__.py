"""Frozen settings, one model per stage; YAML in and out, unknown keys refused.

Three levels: those of the run (`Settings`), of single tomograms (`Settings.for_tomogram`), of single classes
(`PickSettings.of_class`).
"""

from deepict_dask.config.commented_yaml import commented_yaml
from deepict_dask.config.load import NONE, load_settings, merge_given
from deepict_dask.config.paths import with_paths
from deepict_dask.config.pick import ClassPickSettings, PickSettings, check_class_names
from deepict_dask.config.settings import (
    ClusterSettings,
    EqualizeSettings,
    IngestSettings,
    SegmentSettings,
    Settings,
)

__all__ = [
    "NONE",
    "ClassPickSettings",
    "ClusterSettings",
    "EqualizeSettings",
    "IngestSettings",
    "PickSettings",
    "SegmentSettings",
    "Settings",
    "check_class_names",
    "commented_yaml",
    "load_settings",
    "merge_given",
    "with_paths",
]
