"""What a run stands on, by version."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("dask", "distributed", "zarr", "numpy", "openvino", "torch")


def versions_here() -> dict[str, str]:
    """Give the versions of Python and of those packages that are installed, without importing them."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
