"""Contents: which file an input is, and whether its voxels are those that were read before.

Size and time stamps are looked at first. Where they are the same as when the checksum was taken the voxels are
not read again; where they differ the workers read them once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import dask.array as da
import numpy as np

from deepict_dask.engine.execute import execute, execute_one, per_block, workers
from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape, storage_grid
from deepict_dask.io.location import Location
from deepict_dask.io.source import Source
from deepict_dask.io.staging import staging_memory
from deepict_dask.kernels.checksum import block_digest, volume_checksum
from deepict_dask.provenance import FileInput
from deepict_dask.stages.file_contents import Contents
from deepict_dask.stages.work import Work


def file_of(source: Source, before: FileInput | None = None) -> FileInput:
    """Describe a file without reading its voxels.

    Parameters
    ----------
    source : Source
        Of the file.
    before : FileInput, optional
        What was read of it before.

    Returns
    -------
    FileInput
        With the checksum that is known, where the file was not touched since; else without.
    """
    file = FileInput(Location.of(source.path).name, None, source.identity().to_json())
    if before is not None and before.checksum is not None and before.identity == file.identity:
        return replace(file, checksum=before.checksum)
    return file


@dataclass(frozen=True)
class BlockContents:
    """What one block of a file holds.

    Attributes
    ----------
    digest : bytes
        Of its voxels.
    n_inside : int
        Voxels above a threshold.
    n_nan : int
        Voxels that are NaN.
    n_between : int
        Voxels between 0 and 1, without these.
    n_of_values : tuple of int
        Voxels of each label that is counted.
    """

    digest: bytes
    n_inside: int
    n_nan: int
    n_between: int
    n_of_values: tuple[int, ...] = ()


@contextmanager
def plain(source: Source, scratch: Location, core: Shape, work: Work) -> Iterator[Source]:
    """Give a source that workers can read by region: itself, or a plain copy of what is packed or in huge chunks.

    Parameters
    ----------
    source : Source
        The tomogram or mask.
    scratch : Location
        Folder that every worker sees; the copy lies there and is removed at the end.
    core : (int, int, int)
        What one task reads, (z, y, x) voxels.
    work : Work
        Its reporter is told what takes a while.

    Raises
    ------
    InputError
        If a worker has not the memory for a chunk.
    """
    if source.is_packed or source.needs_staging(core):
        cluster = workers()
        check_chunk(source, None if cluster is None else cluster.memory)
        done = "unpacked" if source.is_packed else "decoded, since its chunks are larger than a block,"
        n_bytes = math.prod(source.shape) * source.dtype.itemsize
        work.reporter.say(f"{source.path} is {done} into {scratch} ({n_bytes / 1e9:.2g} GB) while it is read")
        run = partial(execute_one, name=f"unpack-{source.name}", priority=work.priority)
        with source.unpacked(scratch.make_folder(), run) as copy:
            for sentence in copy.warnings:
                if sentence not in source.warnings:  # what only the unpacked file shows
                    work.reporter.warn(sentence)
            yield copy
    else:
        yield source


def check_chunk(source: Source, limit: int | None) -> None:
    """Refuse a tomogram of which one chunk is too large for a worker; no limit is none."""
    needed = staging_memory(source.volume) if source.chunk_bytes else 0
    if limit is not None and needed > limit:
        raise InputError(
            f"{source.path} is stored in chunks of {source.chunk_bytes / 1e9:.2g} GB, and decoding one takes up to "
            f"{needed / 1e9:.2g} GB, but a worker has {limit / 1e9:.2g} GB; use fewer workers with more memory each, or "
            "store it in smaller chunks"
        )


def read_contents(
    source: Source, work: Work, scratch: Location, values: tuple[int, ...] = (), threshold: float = 0.0
) -> Contents:
    """Read all voxels of a file once, on the workers.

    Parameters
    ----------
    source : Source
        The file.
    work : Work
        Follows the blocks.
    scratch : Location
        Folder for a plain copy, where one is needed.
    values : tuple of int
        Labels to count.
    threshold : float
        What is above is inside, where it is a mask.

    Raises
    ------
    InputError
        If the file was changed meanwhile.
    """
    file = file_of(source)
    grid = storage_grid(source.shape)
    with plain(source, scratch, grid.core, work) as readable:
        voxels = da.from_array(readable, chunks=grid.chunks, asarray=False)
        with work.reporter.progress("read", source.name, grid.n_blocks) as advance:
            parts: list[BlockContents] = execute(
                per_block(_contents, voxels, values=values, threshold=threshold),
                advance,
                name=f"read-{source.name}",
                priority=work.priority,
            )
    check_untouched(source, file)
    checksum = volume_checksum((p.digest for p in parts), source.shape, source.dtype)
    return Contents(
        replace(file, checksum=checksum),
        sum(p.n_inside for p in parts),
        sum(p.n_nan for p in parts),
        sum(p.n_between for p in parts),
        tuple(sum(counts) for counts in zip(*(p.n_of_values for p in parts), strict=True)),
    )


def check_untouched(source: Source, file: FileInput) -> None:
    """Make sure that a file is still the one that was opened; InputError if it was changed while it was read."""
    if file_of(source).identity != file.identity:
        raise InputError(
            f"{source.path} was changed while it was read; let the program that writes it finish, then start again"
        )


def _contents(
    block: np.ndarray, index: tuple[int, ...], values: tuple[int, ...], threshold: float
) -> BlockContents:
    is_float = block.dtype.kind == "f"
    return BlockContents(
        block_digest(block),
        int(np.count_nonzero(block > threshold)),
        int(np.count_nonzero(np.isnan(block))) if is_float else 0,
        int(np.count_nonzero((block > 0) & (block < 1))) if is_float else 0,
        tuple(int(np.count_nonzero(block == value)) for value in values),
    )
