"""The state of a training between two epochs, in a file: whole or not at all."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from deepict_dask.atomic import publish
from deepict_dask.errors import FormatError, OutputExistsError
from deepict_dask.networks.training.recipe import Epoch, Resume

_VERSION = 1


def save_progress(place: Resume, parts: dict[str, Any], history: list[Epoch], ended_by: str | None) -> None:
    """Write the state after an epoch.

    Parameters
    ----------
    place : Resume
        File and key.
    parts : dict
        State dicts of tensors and plain values.
    history : list of Epoch
        So far.
    ended_by : str or None
        Why training has ended for good, if it has.
    """
    content = {
        "deepict_dask_training": _VERSION,
        "key": place.key,
        "history": [asdict(epoch) for epoch in history],
        "ended_by": ended_by,
        "parts": parts,
    }
    with publish(place.path) as path:
        torch.save(content, path)


def load_progress(place: Resume) -> tuple[dict[str, Any], list[Epoch], str | None] | None:
    """Read the state that `save_progress` wrote; None if there is none.

    Returns
    -------
    (dict, list of Epoch, str or None)
        State dicts, history, and why training has ended.

    Raises
    ------
    FormatError
        If the file is damaged.
    OutputExistsError
        If it belongs to a training with other settings or data.
    """
    if not place.path.exists():
        return None
    way_out = "remove it to train from the beginning"
    try:
        # Tensors and plain values only: nothing in the file is executed.
        content = torch.load(place.path, map_location="cpu", weights_only=True)
        version, key = content["deepict_dask_training"], content["key"]
        parts, rows, ended_by = content["parts"], content["history"], content["ended_by"]
        history = [Epoch(**{**row, "dice": tuple(row["dice"])}) for row in rows]
    except (
        pickle.UnpicklingError,
        RuntimeError,
        KeyError,
        TypeError,
        EOFError,
        ValueError,
        OSError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(
            f"{place.path} is no training state of this program ({reason}); {way_out}"
        ) from error
    if version != _VERSION or key != place.key:
        raise OutputExistsError(
            f"{place.path} belongs to another training, since {place.difference(str(key), place.key)}; use --overwrite to "
            "begin anew, or another output folder"
        )
    return parts, history, ended_by


def forget_progress(path: Path) -> None:
    """Remove a state, if there is one."""
    path.unlink(missing_ok=True)
