"""Particles in cryo-electron tomograms, chunk by chunk.

>>> import deepict_dask as dd
>>> probability = dd.segment(dd.open_tomogram("cell.mrc"), dd.load_model("net.pth"))  # doctest: +SKIP
>>> dd.pick(probability, min_size=300).write("particles.star")  # doctest: +SKIP

Names are loaded when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepict_dask.api import (
        equalize,
        extract_spectrum,
        label,
        load_model,
        open_run,
        open_tomogram,
        pick,
        segment,
    )
    from deepict_dask.io.tables import read_particles, write_particles
    from deepict_dask.particles import Particles

__version__ = "0.1.0"
_HOMES = {
    "open_tomogram": "api",
    "extract_spectrum": "api",
    "equalize": "api",
    "load_model": "api",
    "open_run": "api",
    "segment": "api",
    "label": "api",
    "pick": "api",
    "Particles": "io.tables",
    "read_particles": "io.tables",
    "write_particles": "io.tables",
}
__all__ = [
    "Particles",
    "equalize",
    "extract_spectrum",
    "label",
    "load_model",
    "open_run",
    "open_tomogram",
    "pick",
    "read_particles",
    "segment",
    "write_particles",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"deepict_dask.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'deepict_dask' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
