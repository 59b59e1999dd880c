"""Ingest: any tomogram to chunked OME-Zarr with global statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepict_dask.config import IngestSettings
from deepict_dask.engine.overlap import map_overlap
from deepict_dask.errors import InputError
from deepict_dask.geometry import storage_grid
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.source import open_source
from deepict_dask.stages.output import is_finished
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.writing import write_tomogram


def ingest(
    path: str | Path,
    output: Path,
    settings: IngestSettings | None = None,
    *,
    reporter: Reporter | None = None,
    overwrite: bool = False,
) -> Image:
    """Convert a tomogram to OME-Zarr.

    Parameters
    ----------
    path : path
        MRC, EM, HDF5, OME-Zarr or Zarr. An image that this package wrote, with its statistics, is taken
        as it is.
    output : Path
        Folder of this tomogram; the image is ``output / "tomogram.zarr"``.
    settings : IngestSettings, optional
        Voxel size, OME-Zarr version.
    reporter : Reporter, optional
        Follows the work.
    overwrite : bool
        Whether a complete image with other settings may be replaced.

    Returns
    -------
    Image
        Complete, in the source's dtype, with mean, standard deviation, minimum and maximum (float64), and
        the source's name, size and checksum in its attributes.

    Raises
    ------
    InputError
        For a file that cannot be read, an unknown voxel size, NaN, or a constant tomogram.
    """
    settings, reporter = settings or IngestSettings(), reporter or Reporter()
    source = open_source(path, voxel_size=settings.voxel_size, dataset=settings.dataset)
    if source.format == "ome-zarr" and Path(path).is_dir():
        own = _ingested_already(Path(path), settings)
        if own is not None:
            return own
    for sentence in source.warnings:
        reporter.warn(sentence)
    voxel_size = source.require_voxel_size()
    target = output / "tomogram.zarr"
    identity = {"name": Path(path).name, "bytes": source.n_bytes, "checksum": source.checksum()}
    made_by = {
        "stage": "ingest",
        "source": identity,
        "voxel_size": voxel_size,
        "zarr_version": settings.zarr_version,
    }
    if settings.dataset:
        made_by["dataset"] = settings.dataset
    if is_finished(target, made_by, overwrite):
        return open_image(target)
    grid = storage_grid(source.shape)
    voxels = map_overlap(np.asarray, source, grid, (0, 0, 0), dtype=source.dtype)
    return write_tomogram(
        target,
        voxels,
        name=source.name,
        voxel_size=voxel_size,
        version=settings.zarr_version,
        made_by=made_by,
        stage="ingest",
        reporter=reporter,
        source=identity,
    )


def _ingested_already(path: Path, settings: IngestSettings) -> Image | None:
    try:
        image = open_image(path)
    except InputError:
        return None
    if image.is_foreign or "statistics" not in image.attributes:
        return None
    if not image.is_complete:
        raise InputError(f"{path} was never finished; run the stage that writes it again")
    if settings.voxel_size not in (None, image.voxel_size):
        raise InputError(
            f"{path} has a voxel size of {image.voxel_size} A already; ingest its source again to change it"
        )
    return image
