"""The blocks of a map: the ones that are set, those of the map that is there, or the largest that the workers can hold.

The block decides on how a map is stored, so it is a setting that is compared and no matter of the machine. Where it is
not given it becomes a setting when the map is first made: 208 voxels, or the next smaller of `SMALLER` that the workers
have the memory for. From then on it is in the provenance of the map and among the settings in effect of its tomogram,
and a later run keeps it, on whatever machine. With exact tiling all blocks find the same particles.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepict_dask.config import SegmentSettings
from deepict_dask.errors import DamagedOutputError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.networks.architecture import Architecture
from deepict_dask.stages import memory
from deepict_dask.stages.finished import open_own
from deepict_dask.stages.inference import inference_grid, inference_memory
from deepict_dask.stages.work import Work

DEFAULT = 208
SMALLER = (160, 128, 96, 64, 48)


@dataclass(frozen=True)
class MapBlocks:
    """How a map is cut.

    Attributes
    ----------
    edge : int
        Setting ``block``: largest edge of a core in voxels.
    grid : BlockGrid
        Of the cores.
    halo : (int, int, int)
        Around each, (z, y, x) voxels.
    memory : Memory
        That a worker needs for them.
    """

    edge: int
    grid: BlockGrid
    halo: Shape
    memory: memory.Memory


def block_in_effect(settings: SegmentSettings, output: Location) -> int:
    """Give the block that is set, else that of the map that is there (finished, or begun and killed), else the default.

    Raises
    ------
    OutputExistsError
        If something else is where the map goes.
    """
    if settings.block is not None:
        return settings.block
    try:
        image = open_own(output)
    except DamagedOutputError:
        return DEFAULT  # whoever compares the map says so
    made_by = None if image is None else image.provenance
    block = None if made_by is None else made_by.settings.get("block")
    return block if type(block) is int else DEFAULT


def choose_blocks(
    tomogram: Image,
    architecture: Architecture,
    settings: SegmentSettings,
    runtime: str,
    edge: int,
    work: Work,
) -> MapBlocks:
    """Cut a tomogram into the blocks that are set, or else into ones that workers have the memory for.

    Parameters
    ----------
    tomogram : Image
        Complete.
    architecture : Architecture
        Of the network.
    settings : SegmentSettings
        Tiling; block, where it is set.
    runtime : {"openvino", "torch"}
        What runs the network.
    edge : int
        From `block_in_effect`.
    work : Work
        Told of a smaller block.

    Returns
    -------
    MapBlocks
        Of ``edge`` where that fits or is set; of the smallest edge where none fits.
    """

    def cut(edge: int) -> MapBlocks:
        grid, halo = inference_grid(tomogram.spatial_shape, architecture, settings, edge)
        needed = inference_memory(architecture, runtime, (grid, halo), memory.shown_bytes(tomogram), settings)
        return MapBlocks(edge, grid, halo, needed)

    blocks = cut(edge)
    if settings.block is not None or memory.fits(blocks.memory):
        return blocks
    smaller = [cut(n) for n in SMALLER if n < edge]
    chosen = next((b for b in smaller if memory.fits(b.memory)), smaller[-1] if smaller else blocks)
    if chosen.edge != edge:
        work.reporter.say(
            f"{tomogram.name}: blocks of up to {chosen.edge} voxels, since workers have not the memory for {edge}; --block "
            "sets it"
        )
    return chosen
