"""Segment: a U-Net over a tomogram, to a stored probability map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from deepict_dask.config import SegmentSettings
from deepict_dask.engine.execute import execute
from deepict_dask.engine.searches import MapPart, map_part
from deepict_dask.engine.segment import empty_blocks
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.kernels.probability import LEVELS
from deepict_dask.networks.checkpoint import Model
from deepict_dask.networks.predictor import ModelSpec, resolve_runtime
from deepict_dask.provenance import Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.finished import is_finished
from deepict_dask.stages.inference import check_network, probability_map, z_smoothing
from deepict_dask.stages.map_blocks import block_in_effect, choose_blocks
from deepict_dask.stages.picking.ahead import keep_ahead, look_ahead
from deepict_dask.stages.picking.jobs import PickJob
from deepict_dask.stages.run_folder import note_effective
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_image import Attributes, Form, write_image
from deepict_dask.tomogram import by


def segment(
    tomogram: Image,
    output: Location,
    model: Model,
    settings: SegmentSettings,
    work: Work,
    jobs: Sequence[PickJob] = (),
) -> Image:
    """Compute and store the probability map of a tomogram.

    Parameters
    ----------
    tomogram : Image
        Complete, with statistics; the voxels that the network is to see.
    output : Location
        The image to write.
    model : Model
        From `load_model`.
    settings : SegmentSettings
        Tiling, runtime, how probabilities are stored.
    work : Work
        Follows the blocks; its threads are those of one forward pass on a CPU.
    jobs : sequence of PickJob
        What is to be picked of the map next: its blocks are searched where they are computed, and what they gave is
        kept with the work.

    Returns
    -------
    Image
        Shape (z, y, x), or (class, z, y, x) for several classes; uint8 maps hold multiples of the
        attribute ``scale``.
    """
    runtime = resolve_runtime(settings.runtime, settings.device)
    block = block_in_effect(settings, output)
    made_by = made_by_segment(tomogram.provenance, model, settings, runtime, block)
    if is_finished(output, made_by, overwrite=work.overwrite):
        work.keep("segment")
        note_effective(output.parent, "segment", block=block)
        return open_image(output)
    blocks = choose_blocks(tomogram, model.architecture, settings, runtime, block, work)
    made_by = made_by_segment(tomogram.provenance, model, settings, runtime, blocks.edge)
    note_effective(output.parent, "segment", block=blocks.edge)
    grid, halo = blocks.grid, blocks.halo
    density = "" if model.card.density is None else f" (trained on {model.card.density} particles)"
    work.reporter.say(
        f"{tomogram.name}: {model.card.name}{density} on {runtime}, {settings.tiling} tiling, "
        f"{grid.n_blocks} block{'s' * (grid.n_blocks != 1)} of {by(grid.core)} voxels with a halo of {halo[-1]}"
    )
    in_boxes = settings.tiling == "deepict"
    if model.architecture.is_2d:
        way_out = ", or --tiling exact, which cuts slices" if in_boxes else ""
    else:
        way_out = "" if in_boxes else ", or --tiling deepict, which needs little"
    memory.check_memory(
        blocks.memory,
        f"blocks of up to {blocks.edge} voxels",
        f"use a smaller --block, or fewer workers with more memory each{way_out}",
    )
    shown = tomogram.shown
    ignore_value = None if shown is None else shown.ignore_value
    probability = probability_map(
        tomogram.array,
        model,
        model_spec(model, settings, work.threads),
        settings,
        (grid, halo),
        tomogram.statistics,
        settings.dtype,
        shown,
        ignore_value,
    )
    scale = 1 / LEVELS if settings.dtype == "uint8" else 1.0

    ahead = look_ahead(jobs, made_by, settings.dtype, scale, work)

    def finish(parts: Sequence[MapPart]) -> Attributes:
        keep_ahead(ahead, parts, work)
        by_class = [max(values) * scale for values in zip(*(p.maxima for p in parts), strict=True)]
        return {
            "scale": scale,
            "halo": list(halo),
            "maximum": max(by_class),
            "maxima": by_class,
            "model": {
                "name": model.card.name,
                "checksum": model.checksum,
                "voxel_size": settings.model_voxel_size or model.card.voxel_size,
                "density": model.card.density,
            },
            "network": model.architecture.network,
            "own_voxel_size": tomogram.own_grid.voxel_size,
            "own_shape": tomogram.own_grid.shape,
            "origin": tomogram.origin,
            "source": tomogram.attributes.get("source"),
            **({} if shown is None else {"shown": asdict(shown)}),
        }

    computed = _blocks_to_compute(tomogram, grid, work)
    assert tomogram.voxel_size is not None
    form = Form(
        "probability",
        tomogram.name,
        tomogram.voxel_size,
        grid.core,
        tomogram.version,
        tuple(model.classes),
        1,
    )
    reduce = partial(map_part, grid=grid, searches={one.name: one.search for one in ahead.values()})
    return write_image(
        output, probability, form, made_by, work, reduce=reduce, finish=finish, computed=computed
    )


def made_by_segment(
    tomogram: Provenance | None, model: Model, settings: SegmentSettings, runtime: str, block: int
) -> Provenance:
    """Give the provenance of a map of blocks of some edge: which runtime computes it is recorded and not compared."""
    decides = {
        "model": model.checksum,
        "tiling": settings.tiling,
        "dtype": settings.dtype,
        "block": block,
        "precision": ModelSpec.precision,
    }
    if model.architecture.is_2d:
        decides |= {
            "z_cutoff": settings.z_cutoff,
            "z_smoothing": z_smoothing(model.architecture, settings),
        }
    inputs = {} if tomogram is None else {"tomogram": tomogram}
    return Provenance("segment", inputs, decides, {"runtime": runtime, "device": settings.device})


def model_spec(model: Model, settings: SegmentSettings, threads: int | None = None) -> ModelSpec:
    """Name a network and how the settings want it run; what tasks carry, and workers can load ahead."""
    return ModelSpec.of(
        model,
        runtime=resolve_runtime(settings.runtime, settings.device),  # type: ignore[arg-type]
        device=settings.device,
        threads=threads,
        tiling=settings.tiling,
    )


def trained_voxel_size(model: Model, settings: SegmentSettings) -> float | None:
    """Give the voxel size in A that a network was trained at: the settings', else the model card's.

    Raises
    ------
    InputError
        If rescaling is asked for and neither says.
    """
    check_network(model, settings)
    size = settings.model_voxel_size or model.card.voxel_size
    if settings.rescale and size is None:
        raise InputError(
            f"the model {model.card.name} does not say at which voxel size it was trained, so there is nothing to "
            "rescale to; give --model-voxel-size"
        )
    return size


def _blocks_to_compute(tomogram: Image, grid: BlockGrid, work: Work) -> list[Shape] | None:
    """Give the blocks that hold more than voxels that are left out; None for all."""
    value = None if tomogram.shown is None else tomogram.shown.ignore_value
    if value is None:
        return None
    parts = empty_blocks(tomogram.array, grid, value)
    with work.reporter.progress("look", tomogram.name, parts.size) as advance:
        is_empty = execute(parts, advance, name=f"look-{tomogram.name}", priority=work.priority)
    blocks = [block for block, empty in zip(grid, is_empty, strict=True) if not empty]
    if len(blocks) == grid.n_blocks:
        return None
    work.reporter.say(
        f"{tomogram.name}: {grid.n_blocks - len(blocks)} of {grid.n_blocks} blocks hold nothing but {value:g} and are not "
        "computed"
    )
    return blocks
