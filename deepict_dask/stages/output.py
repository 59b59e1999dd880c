"""Outputs that are complete, incomplete or somebody else's; and how to tell."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from deepict_dask.errors import OutputExistsError

KEY = "deepict_dask"


def is_finished(path: Path, made_by: dict[str, Any], overwrite: bool) -> bool:
    """Decide about an output before it is made, and clear away what is not to be kept.

    Parameters
    ----------
    path : Path
        OME-Zarr group, or a JSON side file of a table.
    made_by : dict
        The resolved settings and inputs that the output depends on.
    overwrite : bool
        Whether a complete output with other settings may be replaced.

    Returns
    -------
    bool
        True if it is there, complete, and made by the same; there is nothing to do. Otherwise the
        place is free: an incomplete output is removed, since only a complete one is worth anything.

    Raises
    ------
    OutputExistsError
        If something else is there.
    """
    if not path.exists():
        return False
    attributes = _attributes(path)
    if attributes is None:
        raise OutputExistsError(
            f"{path} is in the way and was not written by this program; move it, or choose another output folder"
        )
    if attributes.get("complete"):
        difference = _difference(attributes.get("made_by", {}), made_by)
        if difference is None:
            return True
        if not overwrite:
            raise OutputExistsError(
                f"{path} was made with {difference}; use --overwrite to replace it, or another output folder"
            )
    remove(path)
    return False


def remove(path: Path) -> None:
    """Remove an output of ours; its marker goes first, so that half of it is never taken for whole."""
    if path.is_dir():
        for name in ("zarr.json", ".zattrs"):
            (path / name).unlink(missing_ok=True)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file in one step: it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; empty if there is nothing, or nothing of ours."""
    return (_attributes(path) or {}) if path.is_file() else {}


def _attributes(path: Path) -> dict[str, Any] | None:
    """Give the package's own attributes; {} for an output that was begun, None for what is not ours."""
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            return None
        return content if isinstance(content, dict) and "made_by" in content else None
    if not any(path.iterdir()):
        return {}
    for name in ("zarr.json", ".zattrs"):
        file = path / name
        if file.is_file():
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
            except (ValueError, OSError):
                return None
            found = content.get("attributes", content).get(KEY)
            return found if isinstance(found, dict) else None
    return None


def _difference(there: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Name the first setting in which two differ, None if they are the same."""
    wanted = json.loads(json.dumps(wanted))
    for key in [*wanted, *there]:
        if there.get(key) != wanted.get(key):
            old, new = there.get(key), wanted.get(key)
            if isinstance(old, dict) and isinstance(new, dict):
                inner = _difference(old, new)
                return f"{key}: {inner}" if inner else f"another {key}"
            return f"{key} {_short(old)} and not {_short(new)}"
    return None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."
