"""Rescale: resample a tomogram to the voxel size that a network was trained at."""

from __future__ import annotations

from deepict_dask.engine.rescale import rescale as rescale_lazily
from deepict_dask.engine.shown import Holes, with_holes
from deepict_dask.geometry import storage_grid
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.provenance import Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.condition import seen
from deepict_dask.stages.finished import is_finished
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_tomogram import write_tomogram
from deepict_dask.tomogram import angstrom, by


def rescale(tomogram: Image, output: Location, voxel_size: float, work: Work) -> Image:
    """Resample a tomogram and write it.

    Parameters
    ----------
    tomogram : Image
        Complete.
    output : Location
        The image to write.
    voxel_size : float
        Wanted edge in A, on all axes.
    work : Work
        Follows the blocks.

    Returns
    -------
    Image
        float32, complete, with statistics; the center of its first voxel is that of the tomogram's, whose grid
        is kept as `Image.own_grid`.
    """
    made_by = made_by_rescale(tomogram.provenance, voxel_size)
    if is_finished(output, made_by, overwrite=work.overwrite):
        work.keep("rescale")
        return open_image(output)
    assert tomogram.voxel_size is not None
    edges = (voxel_size, voxel_size, voxel_size)
    voxels = rescale_lazily(seen(tomogram), tomogram.voxel_size, edges)
    value = None if tomogram.shown is None else tomogram.shown.ignore_value
    if value is not None:
        where = rescale_lazily(Holes(tomogram.array, value), tomogram.voxel_size, edges, order="nearest")
        voxels = with_holes(voxels, where, value)
    grid = storage_grid(voxels.shape)  # type: ignore[arg-type]
    z, y, x = (voxel_size / edge for edge in tomogram.voxel_size)
    memory.check_memory(
        memory.rescale(grid, (z, y, x), memory.shown_bytes(tomogram)),
        f"rescaled blocks of {by(grid.core)} voxels",
        "use fewer --threads, or fewer workers with more memory each",
    )
    return write_tomogram(
        output,
        voxels,
        name=tomogram.name,
        voxel_size=edges,
        version=tomogram.version,
        made_by=made_by,
        work=work,
        way_out=f"give the true voxel size with --voxel-size: it was rescaled from {angstrom(tomogram.voxel_size)} to "
        f"{voxel_size:g} A",
        ignore_value=value,
        source=tomogram.attributes.get("source"),
        own_voxel_size=tomogram.voxel_size,
        own_shape=tomogram.shape,
        origin=tomogram.origin,
    )


def made_by_rescale(tomogram: Provenance | None, voxel_size: float) -> Provenance:
    """Give the provenance of a rescaled tomogram."""
    inputs = {} if tomogram is None else {"tomogram": tomogram}
    return Provenance("rescale", inputs, {"voxel_size": voxel_size})
