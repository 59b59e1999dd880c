"""Zarr stores of the file system: strict when reading our outputs, taking digests when writing them.

Stores are rooted at an array's own folder: Zarr then never makes the groups above it, for which it would
need hard links, that some file systems do not have.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepict_dask.atomic import settle
from deepict_dask.disk import disk_errors
from deepict_dask.errors import DamagedOutputError, FormatError, MissingFileError, WorkError
from deepict_dask.io.location import Location
from deepict_dask.io.manifest import METADATA, WAY_OUT, Shard

_Place = str | os.PathLike[str]

# What codes and decodes chunks: zarr's own.
_PIPELINE = "zarr.core.codec_pipeline.BatchedCodecPipeline"
# Of a group or array of Zarr v3.
GROUP_FILE = "zarr.json"
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


def local_store(path: _Place, *, read_only: bool = False) -> Any:
    """Make the store of a folder: zarr's own, whose writes are atomic and fast, never fsspec's."""
    return _stores().writing(os.fspath(path), read_only=read_only)


def strict_store(path: _Place) -> Any:
    """Make a store to read one of our finished arrays: a shard that is missing is an error, not zeros."""
    return _stores().strict(os.fspath(path), read_only=True)


def recording_store(path: _Place, token: str) -> Any:
    """Make a store to write the array that has a token, see `metadata_token`.

    Its attribute ``shards`` is a dict of key to `Shard` of what was written. Where the array is not there, or another
    one is by now, nothing is written and WorkError is raised.
    """
    store = _stores().recording(os.fspath(path))
    store.token = token
    return store


class _Stores:
    """The classes of stores; made when zarr is first needed, since importing it takes a second."""

    def __init__(self) -> None:
        import zarr
        from zarr.storage import LocalStore

        # What is written is heard of by the stores below, in time, whatever a user has set for other programs: another
        # pipeline writes past them, or is not installed, and a time limit leaves half an image.
        zarr.config.set({"codec_pipeline.path": _PIPELINE, "async.timeout": None})

        class StrictStore(LocalStore):
            """Refuses to take a missing chunk or shard for one of the fill value."""

            async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
                value = await super().get(key, *args, **kwargs)
                if value is None and key.rpartition("/")[2] not in METADATA:
                    raise DamagedOutputError(
                        f"{self.root / key} is missing, so the image is damaged; {WAY_OUT}"
                    )
                return value

        class WritingStore(LocalStore):
            """Says which disk it is that takes no more, and returns when the disk has it."""

            async def set(self, key: str, value: Any) -> None:
                with disk_errors(self.root / key):
                    await super().set(key, value)
                    # A later write may say that this one is there, and must not come before it.
                    await asyncio.to_thread(settle, self.root / key)

            async def set_if_not_exists(self, key: str, value: Any) -> None:
                with disk_errors(self.root / key):
                    await super().set_if_not_exists(key, value)

        class RecordingStore(WritingStore):
            """Keeps size and digest of every chunk or shard; writes none into another array than it was made for."""

            def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
                super().__init__(root, read_only=read_only)
                self.shards: dict[str, Shard] = {}
                self.token = ""

            async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
                # Whole shards are written. What lies there, perhaps torn by a power cut, is not merged with.
                if key.rpartition("/")[2] not in METADATA:
                    return None
                return await super().get(key, *args, **kwargs)

            async def set(self, key: str, value: Any) -> None:
                # At the last moment: a task that was stopped may go on when its image has long been made anew.
                if metadata_token(self.root) != self.token:
                    raise WorkError(
                        f"{self.root} is not there where this worker runs, or was replaced; all workers must see the run "
                        "folder under the same path (a disk that they share)"
                    )
                await super().set(key, value)
                if key.rpartition("/")[2] not in METADATA:
                    self.shards[key] = Shard.of(key, value.as_buffer_like())

        self.strict, self.writing, self.recording = StrictStore, WritingStore, RecordingStore


@cache
def _stores() -> _Stores:
    return _Stores()


def open_group(path: _Place, mode: Literal["r", "r+"] = "r") -> Any:
    """Open a group; MissingFileError or FormatError where there is none."""
    import zarr

    place = os.fspath(path)
    if not os.path.exists(place):
        raise MissingFileError(f"{place} does not exist")
    try:
        return zarr.open_group(local_store(place, read_only=mode == "r"), mode=mode)
    except _DAMAGE as error:
        raise FormatError(
            f"{place} is not a Zarr group, or its metadata is damaged ({error!s:.200})"
        ) from error


def open_array(path: _Place, mode: str = "r", *, store: Any = None) -> Any:
    """Open one Zarr array of the file system; FormatError where there is none."""
    import zarr

    store = store or local_store(path, read_only=mode == "r")
    try:
        array = zarr.open_array(store, mode=mode)
        # A shard of nothing but the fill value is written too: one that is missing is damage.
        return array.with_config({"write_empty_chunks": True})
    except _DAMAGE as error:
        raise FormatError(
            f"{os.fspath(path)} is not a Zarr array, or its metadata is damaged ({error!s:.200})"
        ) from error


def metadata_token(path: _Place) -> str:
    """Identify an array by its metadata, attributes included; empty where there is none."""
    folder = Location.of(path)
    for names in (("zarr.json",), (".zarray", ".zattrs")):
        if (folder / names[0]).is_file():
            content = b"".join((folder / name).read_bytes() for name in names if (folder / name).is_file())
            return hashlib.sha256(content).hexdigest()[:24] if content else ""
    return ""


def read_group_file(path: _Place) -> tuple[str, dict[str, Any] | None]:
    """Read the attributes of a group from its file, without Zarr.

    Returns
    -------
    name : str
        Of the file that has them, or would.
    attributes : dict or None
        None where the file is missing or cannot be read.
    """
    folder = Path(os.fspath(path))
    for name in (GROUP_FILE, ".zattrs"):
        if (folder / name).is_file():
            try:
                content = json.loads((folder / name).read_bytes())
                attributes = content.get("attributes", {}) if name == GROUP_FILE else content
            except (ValueError, AttributeError):
                return name, None
            return name, attributes if isinstance(attributes, dict) else None
    return GROUP_FILE, None


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
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
