"""Segment: the 3D U-Net over a tomogram, to a stored probability map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask import __version__
from deepict_dask.config import SegmentSettings
from deepict_dask.engine.execute import execute, per_block, smallest_worker_memory
from deepict_dask.engine.segment import segment as segment_lazily
from deepict_dask.engine.segment import segment_grid
from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.io.ome_zarr import Image, create_image, mark_complete, open_image, update_attributes
from deepict_dask.kernels.probability import LEVELS
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.blocks import BlockPredictor
from deepict_dask.networks.checkpoint import Model
from deepict_dask.networks.predictor import ModelSpec, resolve_runtime
from deepict_dask.stages.output import is_finished
from deepict_dask.stages.report import Reporter

# Voxel sizes that differ by no more than this count as the same.
VOXEL_SIZE_TOLERANCE = 0.05


def segment(
    tomogram: Image,
    model: Model,
    output: Path,
    settings: SegmentSettings | None = None,
    *,
    threads: int | None = None,
    reporter: Reporter | None = None,
    overwrite: bool = False,
    attributes: dict[str, Any] | None = None,
) -> Image:
    """Compute and store the probability map of a tomogram.

    Parameters
    ----------
    tomogram : Image
        Complete, with statistics; the voxels that the network is to see.
    model : Model
        From `load_model`.
    output : Path
        Folder of this tomogram; the map is ``output / "probability.zarr"``.
    settings : SegmentSettings, optional
        Tiling, runtime, how probabilities are stored.
    threads : int, optional
        Threads of one forward pass on a CPU.
    reporter : Reporter, optional
        Follows the blocks.
    overwrite : bool
        Whether a complete map with other settings may be replaced.
    attributes : dict, optional
        Kept with the map.

    Returns
    -------
    Image
        Shape (z, y, x), or (class, z, y, x) for several classes; uint8 maps hold multiples of the
        attribute ``scale``.
    """
    settings, reporter = settings or SegmentSettings(), reporter or Reporter()
    shape: Shape = tomogram.shape  # type: ignore[assignment]
    runtime = resolve_runtime(settings.runtime, settings.device)
    architecture = model.architecture
    grid, halo = segment_grid(
        shape, settings.tiling, settings.block, architecture.alignment, architecture.halo()
    )
    target = output / "probability.zarr"
    classes = list(model.classes)
    made_by = {
        "stage": "segment",
        "tomogram": tomogram.attributes["made_by"],
        "model": model.checksum,
        "tiling": settings.tiling,
        "runtime": runtime,
        "dtype": settings.dtype,
        "block": settings.block,
    }
    if is_finished(target, made_by, overwrite):
        return open_image(target)
    statistics = tomogram.attributes["statistics"]
    spec = model_spec(model, settings, threads)
    reporter.say(
        f"{tomogram.name}: {model.card.name} on {runtime}, {settings.tiling} tiling, "
        f"{grid.n_blocks} block{'s' * (grid.n_blocks != 1)} of {_by(grid.core)} voxels with a halo of {halo[0]}"
    )
    in_boxes = settings.tiling == "deepict"
    _check_memory(
        worker_memory(
            architecture, runtime, grid.core, halo, tomogram.dtype.itemsize, threads or 1, in_boxes=in_boxes
        ),
        settings,
    )
    probability = segment_lazily(
        tomogram.array,
        BlockPredictor(spec, halo, in_boxes),
        grid,
        halo,
        n_classes=len(classes),
        mean=statistics["mean"],
        std=statistics["std"],
        in_boxes=in_boxes,
        dtype=settings.dtype,
    )
    image = create_image(
        target,
        shape=probability.shape,
        dtype=probability.dtype,
        voxel_size=tomogram.voxel_size,  # type: ignore[arg-type]
        name=tomogram.name,
        core=grid.core,
        n_levels=1,
        version=tomogram.version,
        kind="probability",
        classes=classes,
    )
    update_attributes(target, made_by=made_by)
    stores = [da.store(probability, image.array, lock=False, compute=False)]
    with reporter.progress("segment", tomogram.name, grid.n_blocks) as advance:
        ranges = execute(per_block(_range, probability), stores, advance)
    scale = 1 / LEVELS if settings.dtype == "uint8" else 1.0
    mark_complete(
        target,
        scale=scale,
        core=list(grid.core),
        halo=list(halo),
        maximum=max(ranges) * scale,
        package_version=__version__,
        model={"name": model.card.name, "checksum": model.checksum},
        **(attributes or {}),
    )
    return open_image(target)


def model_spec(model: Model, settings: SegmentSettings, threads: int | None = None) -> ModelSpec:
    """Name a network and how the settings want it run; what tasks carry, and workers can load ahead."""
    return ModelSpec.of(
        model,
        runtime=resolve_runtime(settings.runtime, settings.device),  # type: ignore[arg-type]
        device=settings.device,
        threads=threads,
        tiling=settings.tiling,
    )


def worker_memory(
    architecture: Architecture,
    runtime: str,
    core: Shape,
    halo: Shape,
    itemsize: int,
    threads: int,
    *,
    in_boxes: bool = False,
) -> int:
    """Bound the memory of a worker that segments.

    Parameters
    ----------
    architecture : Architecture
        Of the network.
    runtime : {"openvino", "torch"}
        What runs it.
    core, halo : (int, int, int)
        Of a block, (z, y, x) voxels.
    itemsize : int
        Bytes per voxel of the stored tomogram.
    threads : int
        Of the worker: while one block is in the network the others' are read and standardized.
    in_boxes : bool
        Whether the network sees one row of the original's boxes at a time instead of a block.

    Returns
    -------
    int
        Bytes: ``base + V * a + threads * (V * (itemsize + 8) + 8 * C)`` with V the voxels of core and halo, C
        the core's voxels times the classes, a the activations per voxel, and base what a worker takes
        without work (250 MB, with torch 450 MB). It does not depend on the tomogram.
    """
    padded = math.prod(n + 2 * h for n, h in zip(core, halo, strict=True))
    seen = 64**3 * (core[2] // 40) if in_boxes else padded
    results = math.prod(core) * architecture.out_classes
    base = 450_000_000 if runtime == "torch" else 250_000_000
    activations = seen * architecture.activation_bytes(runtime)
    return base + activations + threads * (padded * (itemsize + 8) + 8 * results)


def _check_memory(needed: int, settings: SegmentSettings) -> None:
    """Refuse blocks that would have the workers killed."""
    limit = smallest_worker_memory()
    # Workers pause at 85 % of their limit, see the cluster's settings.
    if limit and needed > 0.85 * limit:
        boxes = ", or --tiling deepict, which needs little" if settings.tiling == "exact" else ""
        raise InputError(
            f"blocks of up to {settings.block} voxels need {needed / 1e9:.1f} GB per worker, but a worker has "
            f"{limit / 1e9:.1f} GB; use a smaller --block, or fewer workers with more memory each{boxes}"
        )


def same_voxel_size(a: tuple[float, float, float], b: float) -> bool:
    """Say whether voxel sizes (z, y, x) and one edge, in A, agree to 5 %."""
    return all(abs(edge / b - 1) <= VOXEL_SIZE_TOLERANCE for edge in a)


def trained_voxel_size(model: Model, settings: SegmentSettings) -> float | None:
    """Give the voxel size in A that a network was trained at: the settings', else the model card's.

    Raises
    ------
    InputError
        If rescaling is asked for and neither says.
    """
    size = settings.model_voxel_size or model.card.voxel_size
    if settings.rescale and size is None:
        raise InputError(
            f"the model {model.card.name} does not say at which voxel size it was trained, so there is nothing to "
            "rescale to; give --model-voxel-size"
        )
    return size


def _range(block: np.ndarray, index: tuple[int, ...]) -> float:
    return float(block.max())


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))
