"""The package from Python: lazy tomograms in, probability maps and particles out.

All of it works with or without a distributed Client; everything but `pick` only builds a graph. Where a tomogram, map or
mask is asked for, its path does as well.
"""

from __future__ import annotations

from deepict_dask.api.lazy import equalize, extract_spectrum, label, segment
from deepict_dask.api.opening import load_model, open_tomogram
from deepict_dask.api.picking import pick
from deepict_dask.api.run import Run, RunTomogram, open_run

__all__ = [
    "Run",
    "RunTomogram",
    "equalize",
    "extract_spectrum",
    "label",
    "load_model",
    "open_run",
    "open_tomogram",
    "pick",
    "segment",
]
