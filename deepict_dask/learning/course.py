"""The course of a training: what decides on it, and what has changed where it is not the same."""

from __future__ import annotations

import json
from collections.abc import Mapping

from deepict_dask.config.training import TrainSettings
from deepict_dask.learning.training_data import TomogramIdentity, TrainingData
from deepict_dask.provenance import Provenance

# What may change between the sessions of one training: they end it later, or elsewhere.
_FREE_FIT = {"epochs", "max_minutes"}
_FREE_TOP = {"name", "output", "data", "density", "description", "license", "tomograms", "hardware"}


def course_of(data: TrainingData, settings: TrainSettings) -> str:
    """Write down everything that decides on the course of a training; equal for equal courses."""
    kept = settings.model_dump(mode="json", exclude=_FREE_TOP)
    for name in _FREE_FIT:
        del kept["fit"][name]
    content = {"settings": kept, "precision": settings.hardware.precision, "data": data.identities}
    return json.dumps(content, sort_keys=True, default=str)


def what_changed(old: str, new: str) -> str:
    """Say the first thing in which two courses differ.

    Parameters
    ----------
    old, new : str
        From `course_of`; the first may be anything.

    Returns
    -------
    str
        Ends a sentence that begins with "since".
    """
    try:
        before, now = json.loads(old), json.loads(new)
        data_before, data_now = before["data"], now["data"]
        for name in [*data_now, *(n for n in data_before if n not in data_now)]:
            if name not in data_before or name not in data_now:
                return f"the tomogram {name} was {'added' if name in data_now else 'left out'}"
            if (part := _changed_part(name, data_before[name], data_now[name])) is not None:
                return part
        differs = [{k: v for k, v in c.items() if k != "data"} for c in (before, now)]
        made, current = (Provenance("train", {}, {**c.pop("settings"), **c}) for c in differs)
        return f"it was made with {made.difference(current) or 'the same settings in another order'}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return "it was made by another version of this program"


def _changed_part(name: str, old: TomogramIdentity, new: TomogramIdentity) -> str | None:
    if old["tomogram"] != new["tomogram"]:
        return f"the tomogram {name} has changed"
    if old["target"] != new["target"]:
        kind = _kind(new) if _kind(old) == _kind(new) else None
        return f"the {kind or 'positions or masks'} of {name} have changed"
    if old["box"] != new["box"]:
        return f"the box of {name} has changed"
    return None


def _kind(identity: TomogramIdentity) -> str | None:
    """Say what targets were made from, where it is one thing: spheres at positions have a stage, masks none."""
    target = identity["target"]
    if isinstance(target, Mapping):
        return "positions" if target.get("stage") == "masks" else None if "positions" in target else "masks"
    return None
