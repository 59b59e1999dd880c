"""Rescale: resample a tomogram to the voxel size that a network was trained at."""

from __future__ import annotations

from pathlib import Path

from deepict_dask.engine.rescale import rescale as rescale_lazily
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.stages.output import is_finished
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.writing import write_tomogram


def rescale(
    tomogram: Image,
    voxel_size: float,
    output: Path,
    *,
    reporter: Reporter | None = None,
    overwrite: bool = False,
) -> Image:
    """Resample a tomogram and write it.

    Parameters
    ----------
    tomogram : Image
        Complete.
    voxel_size : float
        Wanted edge in A, on all axes.
    output : Path
        Folder of this tomogram; the image is ``output / "rescaled.zarr"``.
    reporter : Reporter, optional
        Follows the blocks.
    overwrite : bool
        Whether a complete image with other settings may be replaced.

    Returns
    -------
    Image
        float32, complete, with statistics; the center of its first voxel is that of the tomogram's.
    """
    reporter = reporter or Reporter()
    path = output / "rescaled.zarr"
    made_by = {"stage": "rescale", "tomogram": tomogram.attributes["made_by"], "voxel_size": voxel_size}
    if is_finished(path, made_by, overwrite):
        return open_image(path)
    assert tomogram.voxel_size is not None
    wanted = (voxel_size, voxel_size, voxel_size)
    voxels = rescale_lazily(tomogram.array, tomogram.voxel_size, wanted)
    return write_tomogram(
        path,
        voxels,
        name=tomogram.name,
        voxel_size=wanted,
        version=tomogram.version,
        made_by=made_by,
        stage="rescale",
        reporter=reporter,
        source=tomogram.attributes.get("source"),
    )
