"""Files that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def demo_network_path() -> Path:
    """Give the path of the bundled network for simulated cells (its model card lies beside it)."""
    # The package is installed as plain files, never run from a zip, so this is a real path.
    return Path(str(files("deepict_dask.data") / "demo_network.safetensors"))
