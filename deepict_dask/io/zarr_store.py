"""Zarr groups and arrays of the local file system, opened with errors that say what is wrong."""

from __future__ import annotations

import math
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepict_dask.errors import FormatError, MissingFileError, OutputExistsError

# What zarr raises for metadata that it does not understand.
_DAMAGE = (
    FileNotFoundError,
    NotADirectoryError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    RuntimeError,  # NotImplementedError and RecursionError among them
    ImportError,
    OverflowError,
)


def local_store(path: Path, *, read_only: bool = False) -> Any:
    """Make the store of a folder: zarr's own, whose writes are atomic and fast, never fsspec's."""
    from zarr.storage import LocalStore

    return LocalStore(path, read_only=read_only)


def open_group(path: Path, mode: Literal["r", "r+"]) -> Any:
    """Open a group; MissingFileError or FormatError where there is none."""
    import zarr

    if not path.exists():
        raise MissingFileError(f"{path} does not exist")
    try:
        return zarr.open_group(local_store(path, read_only=mode == "r"), mode=mode)
    except _DAMAGE as error:
        raise FormatError(
            f"{path} is not a Zarr group, or its metadata is damaged ({error!s:.200})"
        ) from error


def open_array(path: Path, mode: str) -> Any:
    """Open one Zarr array of the local file system; FormatError where there is none."""
    import zarr

    try:
        return zarr.open_array(local_store(path, read_only=mode == "r"), mode=mode)
    except _DAMAGE as error:
        raise FormatError(
            f"{path} is not a Zarr array, or its metadata is damaged ({error!s:.200})"
        ) from error


def make_room(path: Path, overwrite: bool) -> None:
    """Remove a Zarr group that is in the way, if asked to; OutputExistsError for anything else."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise OutputExistsError(f"{path} exists already; choose another output or ask to overwrite it")
    if not (path / "zarr.json").exists() and not (path / ".zgroup").exists():
        raise OutputExistsError(
            f"{path} is not a Zarr group, so it is not overwritten; move it out of the way"
        )
    # Moved aside first, so that a process killed while removing leaves nothing half there.
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    path.rename(aside)
    shutil.rmtree(aside)


def to_json(value: Any) -> Any:
    """Turn numpy numbers, arrays, tuples, paths and non-finite numbers into what JSON can say.

    >>> to_json({"size": (np.int64(3), float("nan"))})
    {'size': [3, 'NaN']}
    """
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return to_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
