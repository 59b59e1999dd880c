"""Ingest: any tomogram to chunked OME-Zarr with global statistics and the checksum of what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from deepict_dask.config import IngestSettings
from deepict_dask.engine.overlap import map_overlap
from deepict_dask.errors import InputError
from deepict_dask.geometry import storage_grid
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image, open_own_image, update_attributes
from deepict_dask.io.source import Source, open_source
from deepict_dask.kernels.checksum import block_digest, volume_checksum
from deepict_dask.kernels.occurrences import Occurrences, block_occurrences, combine_occurrences
from deepict_dask.kernels.statistics import BlockStatistics, block_statistics, combine
from deepict_dask.provenance import Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.condition import condition
from deepict_dask.stages.contents import check_untouched, file_of, plain, read_contents
from deepict_dask.stages.finished import is_finished, open_own
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_image import Attributes, Form, write_image
from deepict_dask.stages.write_tomogram import check_statistics
from deepict_dask.tomogram import by


def ingest(source: Source, output: Location, settings: IngestSettings, work: Work) -> Image:
    """Convert a tomogram to OME-Zarr.

    Parameters
    ----------
    source : Source
        From `open_tomogram`. An image that this package wrote, with its statistics, is taken as it is.
    output : Location
        The image to write.
    settings : IngestSettings
        Voxel size, OME-Zarr version.
    work : Work
        Follows the blocks.

    Returns
    -------
    Image
        Complete, in the source's dtype, with mean, standard deviation, minimum and maximum (float64), and the
        checksum of the voxels that were read in its provenance. Shown as the settings say, see `condition`.

    Raises
    ------
    InputError
        For an unknown voxel size, NaN, a constant tomogram, or a file that is changed meanwhile.
    """
    if (own_output := own_image(source, settings)) is not None:
        work.keep("ingest")
        return condition(own_output, settings, work, is_ours=False)
    for sentence in source.warnings:
        work.reporter.warn(sentence)
    finished = open_own(output)
    before = finished.provenance if finished is not None and finished.is_complete else None
    made_by = made_by_ingest(source, settings, before)
    if before is not None and made_by.file("source").checksum is None:  # type: ignore[union-attr]
        made_by = made_by.with_file("source", read_contents(source, work, output.parent).file)
    if is_finished(output, made_by, overwrite=work.overwrite):
        work.keep("ingest")
        if before != made_by:
            # The same voxels in a file that was copied or touched: from now on it is known by its new stamps.
            update_attributes(output, made_by=made_by.to_json())
        return condition(open_image(output), settings, work)
    return condition(_write(source, output, settings, made_by, work), settings, work)


def open_tomogram(path: str, settings: IngestSettings, name: str | None = None) -> Source:
    """Open a tomogram as the settings say, and check that its voxel size is known.

    Parameters
    ----------
    path : str
        The file.
    settings : IngestSettings
        Voxel size, dataset, axes: what the file leaves open.
    name : str, optional
        Of the tomogram; that of the file unless given.

    Raises
    ------
    InputError
        If it cannot be read, or nothing says its voxel size.
    """
    source = open_as_set(path, settings, name)
    source.require_voxel_size()
    return source


def open_as_set(path: str, settings: IngestSettings, name: str | None = None) -> Source:
    """Open a tomogram as the settings say, whether or not its voxel size is known."""
    return open_source(
        path,
        voxel_size=settings.voxel_size,
        dataset=settings.dataset,
        channel=settings.channel,
        axes=settings.axes,
        name=name,
    )


def made_by_ingest(source: Source, settings: IngestSettings, before: Provenance | None = None) -> Provenance:
    """Give the provenance of an ingested tomogram; the checksum is known only where the file was not touched."""
    # What voxels are shown as is no matter of what is stored, see `deepict_dask.stages.condition`.
    apart = {"voxel_size", "clip", "ignore_value", "invert"}
    decides = {"voxel_size": source.voxel_size, **settings.model_dump(mode="json", exclude=apart)}
    return Provenance(
        "ingest", {"source": file_of(source, None if before is None else before.file("source"))}, decides
    )


def own_image(source: Source, settings: IngestSettings) -> Image | None:
    """Give the image itself where the tomogram is one that this package wrote; None for all others.

    Raises
    ------
    InputError
        If another voxel size is asked for than it has, or it is no tomogram.
    """
    image = open_own_image(source.path)
    if image is None or "statistics" not in image.attributes:
        return None
    if not image.is_complete:
        raise InputError(f"{image.path} was never finished; run the stage that writes it again")
    if settings.voxel_size not in (None, image.voxel_size):
        raise InputError(
            f"{source.path} has a voxel size of {image.voxel_size} A already; ingest its source again to change it"
        )
    image.check_whole()
    return image


@dataclass(frozen=True)
class _Part:
    statistics: BlockStatistics
    occurrences: Occurrences
    digest: bytes


def _write(
    source: Source, output: Location, settings: IngestSettings, made_by: Provenance, work: Work
) -> Image:
    grid = storage_grid(source.shape)
    memory.check_memory(
        memory.ingest(grid, source.dtype.itemsize),
        f"blocks of {by(grid.core)} voxels",
        "use fewer --threads, or fewer workers with more memory each",
    )
    file = made_by.file("source")
    assert file is not None and source.voxel_size is not None
    origin = source.origin if settings.use_origin else None

    def finish(parts: Sequence[_Part]) -> Attributes:
        statistics = combine(p.statistics for p in parts)
        check_statistics(statistics, source.name)
        check_untouched(source, file)
        if (sentence := source.contradiction(statistics.minimum, statistics.maximum)) is not None:
            work.reporter.warn(sentence)
        checksum = volume_checksum((p.digest for p in parts), source.shape, source.dtype)
        read = made_by.with_file("source", replace(file, checksum=checksum))
        about = {"name": file.name, "bytes": source.n_bytes, "checksum": checksum}
        if source.origin is not None:
            about["origin"] = source.origin  # positions do not count it unless asked, exported maps do
        occurrences = combine_occurrences(p.occurrences for p in parts)
        attributes = {
            "statistics": asdict(statistics),
            "occurrences": occurrences.to_json(),
            "made_by": read.to_json(),
            "source": about,
        }
        return attributes if origin is None else attributes | {"origin": origin}

    form = Form("tomogram", source.name, source.voxel_size, grid.core, settings.zarr_version)
    with plain(source, output.parent, grid.core, work) as readable:
        voxels = map_overlap(np.asarray, readable, grid, (0, 0, 0), dtype=source.dtype)
        return write_image(output, voxels, form, made_by, work, reduce=_reduce, finish=finish)


def _reduce(block: np.ndarray, index: tuple[int, ...]) -> _Part:
    return _Part(block_statistics(block), block_occurrences(block), block_digest(block))
