"""Inference: which blocks a network needs of a tomogram, and the lazy map that it gives; 3D, or slice by slice."""

from __future__ import annotations

from typing import Any

import dask.array as da

from deepict_dask.config import SegmentSettings
from deepict_dask.engine.segment import segment, segment_grid
from deepict_dask.engine.slices import segment_slices, slice_grid
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.blocks import BlockPredictor
from deepict_dask.networks.checkpoint import Model
from deepict_dask.networks.predictor import ModelSpec
from deepict_dask.stages import memory

# Standard deviation in slices: the original's.
_Z_SMOOTHING = 5.0


def check_network(model: Model, settings: SegmentSettings) -> None:
    """Refuse settings of 2D networks for a 3D one; InputError, naming the setting."""
    if model.architecture.is_2d:
        return
    for name in ("z_cutoff", "z_smoothing"):
        if (value := getattr(settings, name)) is not None:
            raise InputError(
                f"{name} {value:g} is for networks that see single slices, and {model.card.name} is a 3D network; leave it out"
            )


def z_smoothing(architecture: Architecture, settings: SegmentSettings) -> float:
    """Give by how many slices a map is smoothed along z: 5 for a 2D network unless the settings say; 0 for a 3D one."""
    if not architecture.is_2d:
        return 0.0
    return _Z_SMOOTHING if settings.z_smoothing is None else settings.z_smoothing


def inference_grid(
    shape: Shape, architecture: Architecture, settings: SegmentSettings, edge: int
) -> tuple[BlockGrid, Shape]:
    """Choose the blocks of an inference with cores of an edge, see `segment_grid` and `slice_grid`."""
    step, halo = architecture.alignment, architecture.halo()
    if architecture.is_2d:
        sigma = z_smoothing(architecture, settings)
        return slice_grid(shape, settings.tiling, edge, step, halo, sigma)
    return segment_grid(shape, settings.tiling, edge, step, halo)


def inference_memory(
    architecture: Architecture,
    runtime: str,
    blocks: tuple[BlockGrid, Shape],
    itemsize: int,
    settings: SegmentSettings,
) -> memory.Memory:
    """Bound the memory of a worker for these blocks of a tomogram of some bytes per voxel."""
    grid, halo = blocks
    if architecture.is_2d:
        sigma = z_smoothing(architecture, settings)
        return memory.segment_slices(architecture, runtime, grid.core, halo, itemsize, sigma)
    in_boxes = settings.tiling == "deepict"
    return memory.segment(architecture, runtime, grid.core, halo, itemsize, in_boxes=in_boxes)


def probability_map(
    source: Any,
    model: Model,
    spec: ModelSpec,
    settings: SegmentSettings,
    blocks: tuple[BlockGrid, Shape],
    statistics: Any,
    dtype: str,
    shown: Any = None,
    ignore_value: float | None = None,
) -> da.Array:
    """Compute the probability map of a tomogram, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x).
    model : Model
        From `load_model`.
    spec : ModelSpec
        The same, as tasks carry it.
    settings : SegmentSettings
        Tiling; of a 2D network which slices, and the smoothing.
    blocks : BlockGrid, (int, int, int)
        From `inference_grid`.
    statistics : Statistics or Delayed
        Of the whole tomogram.
    dtype : {"float32", "float16", "uint8"}
        How probabilities are kept.
    shown : Conditioning or Delayed, optional
        How the voxels are shown to the network.
    ignore_value : float, optional
        Voxels of this value are left out, as ``shown`` says.

    Raises
    ------
    InputError
        If only some slices are to be mapped and voxels are left out.

    Returns
    -------
    dask.array.Array
        Shape (z, y, x), or (class, z, y, x) for several classes.
    """
    grid, halo = blocks
    in_boxes = settings.tiling == "deepict"
    predict = BlockPredictor(spec, halo, in_boxes)
    common: dict[str, Any] = {
        "n_classes": len(model.classes),
        "mean": statistics.mean,
        "std": statistics.std,
        "in_boxes": in_boxes,
        "dtype": dtype,
        "shown": shown,
    }
    if not model.architecture.is_2d:
        return segment(source, predict, grid, halo, **common)
    if settings.z_cutoff is not None and ignore_value is not None:
        raise InputError(
            f"z_cutoff {settings.z_cutoff} takes mean and standard deviation of whole slices, from which ignore_value "
            f"{ignore_value:g} cannot be left out; give one of the two"
        )
    return segment_slices(
        source,
        predict,
        grid,
        halo,
        **common,
        ignore_value=ignore_value,
        z_cutoff=settings.z_cutoff,
        sigma=z_smoothing(model.architecture, settings),
    )
