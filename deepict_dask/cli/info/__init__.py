"""What is in a file or folder, in a few lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepict_dask.errors import InputError, MissingFileError

Facts = dict[str, Any]


def describe(path: Path) -> str:
    """Describe a tomogram, a run folder, a checkpoint, a spectrum, a table, or settings.

    Raises
    ------
    InputError
        If it is not there or none of these.
    """
    from deepict_dask.cli.info import documents, folders, models, tables, tomograms
    from deepict_dask.io.formats.zarr_listing import is_zarr

    # Not `exists`: a link to itself is there, and `open_source` says what is wrong with it.
    if not os.path.lexists(path):
        raise MissingFileError(f"{path} does not exist")
    suffix = path.suffix.lower()
    if path.is_dir():
        facts = tomograms.describe(path) if is_zarr(path) else folders.describe(path)
    elif path.exists() and not path.is_file():
        facts = tomograms.describe(path)  # a pipe or a device, whatever it is called: it says so
    elif suffix in (".pth", ".pt", ".ckpt", ".safetensors") or models.is_keras(path):
        facts = models.describe_checkpoint(path)
    elif suffix in (".csv", ".star", ".parquet"):
        facts = tables.describe(path)
    elif suffix == ".tsv":
        facts = models.describe_spectrum(path)
    elif suffix in (".yaml", ".yml"):
        facts = documents.describe_yaml(path)
    elif suffix == ".json":
        facts = documents.describe_json(path)
    elif suffix == ".txt":
        facts = documents.describe_list(path)
    else:
        facts = tomograms.describe(path)
    return lines(path, facts)


def lines(path: Path, facts: Mapping[str, Any]) -> str:
    """Lay facts out below the path, one per line; what a terminal would take for a command is shown as such."""
    width = max(map(len, facts))
    shown = [str(path), *(f"  {name:<{width}}  {value}" for name, value in facts.items())]
    return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in shown)


def by(shape: tuple[int, ...]) -> str:
    """Write a shape."""
    return " x ".join(map(str, shape))


def edges(size: tuple[float, float, float] | None) -> str:
    """Write a voxel size."""
    if size is None:
        return "not stated"
    return (f"{size[0]:g}" if len(set(size)) == 1 else " x ".join(f"{s:g}" for s in size)) + " A"


def is_plain_terminal() -> bool:
    """Whether standard output takes ASCII only."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        "▁█".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return True
    return False


__all__ = ["Facts", "InputError", "by", "describe", "edges", "is_plain_terminal", "lines"]
