"""A plain copy of a tomogram for the time of one stage: of packed files, and of chunks that are too large.

A storage chunk is decoded whole, however little of it is needed. Where chunks are far larger than the blocks of a
stage, every task would decode most of the tomogram; so it is decoded once, chunk by chunk, into a plain file.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import WorkError
from deepict_dask.geometry import Shape
from deepict_dask.io.formats.plain import PlainVoxels
from deepict_dask.io.formats.volume import Volume
from deepict_dask.io.location import UNPACKED

# Decoding costs about as much as writing and reading again; a few times more is still no reason to stage.
MOST_DECODING = 8.0


def decoding(shape: Shape, chunk: Shape, core: Shape) -> float:
    """Compute how many voxels are decoded for each one that is needed, when cores are read one by one.

    Parameters
    ----------
    shape, chunk, core : (int, int, int)
        Of the tomogram, of a storage chunk, of what one task reads; (z, y, x) voxels.

    Examples
    --------
    >>> decoding((512, 512, 512), (64, 64, 64), (256, 256, 256)), decoding((512,) * 3, (512,) * 3, (256,) * 3)
    (1.0, 8.0)
    """
    factor = 1.0
    for n, edge, step in zip(shape, chunk, core, strict=True):
        decoded = 0
        for start in range(0, n, step):
            stop = min(start + step, n)
            decoded += min(n, -(-stop // edge) * edge) - start // edge * edge
        factor *= decoded / n
    return factor


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Make a folder for a copy, and remove it at the end, with what a task may still be writing into it.

    Its name says what it is, so that a process that is killed leaves what the next one removes.
    """
    place = folder / f"{UNPACKED}{uuid.uuid4().hex[:12]}"
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_as_task(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function where tasks run: on a worker where there are any, else here."""
    from dask import delayed

    delayed(function, pure=False)(*arguments).compute()


def staging_memory(volume: Volume) -> int:
    """Bound the memory in bytes that `stage` needs beyond what a process has anyway.

    One chunk as it is stored, decoded, handed over, and in the pages of the file that are not written yet.
    """
    chunk = volume.chunk or volume.shape
    return 4 * int(np.prod(chunk, dtype=object)) * volume.dtype.itemsize


def stage(volume: Volume, target: str) -> None:
    """Decode a volume, chunk by chunk, into a plain file; the work of a worker.

    Parameters
    ----------
    volume : Volume
        With chunks.
    target : str
        File to make, whole or not at all: voxels (z, y, x) in C order.

    Raises
    ------
    WorkError
        If the disk has not enough space, or the folder is not seen here.

    Notes
    -----
    Holds one chunk in memory, see `staging_memory`.
    """
    chunk = volume.chunk or volume.shape
    partial = Path(f"{target}.{os.getpid()}-{threading.get_ident()}")
    n_bytes = int(np.prod(volume.shape, dtype=object)) * volume.dtype.itemsize
    try:
        with open(partial, "w+b") as file:
            # A memory map of a file without its blocks would end the process when the disk is full.
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        out = np.memmap(partial, volume.dtype, "r+", 0, volume.shape)
        starts = (range(0, n, edge) for n, edge in zip(volume.shape, chunk, strict=True))
        for corner in itertools.product(*starts):
            z, y, x = (
                slice(at, min(at + edge, n)) for at, edge, n in zip(corner, chunk, volume.shape, strict=True)
            )
            out[z, y, x] = volume.read((z, y, x))
        out.flush()
        os.replace(partial, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise WorkError(
                f"the disk of {partial.parent.parent} has not enough space for the {n_bytes / 1e9:.3g} GB of a plain copy "
                "of the tomogram, whose chunks are too large to be read block by block; free some"
            ) from error
        if error.errno == errno.ENOENT and not partial.parent.exists():
            raise WorkError(
                f"the folder {partial.parent} is not visible from this process, or was removed; run folders must "
                "lie where every worker sees them"
            ) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def staged(volume: Volume, path: Path) -> PlainVoxels:
    """Give the way to the voxels of a copy that `stage` made."""
    return PlainVoxels(str(path), 0, volume.shape, volume.dtype.str)
