"""Memory of a worker, stage by stage: formulas that a test holds against measured peaks, and one check before work.

All formulas are bounds of the same form, bytes that a worker takes once and bytes that each of its threads takes at a
time. V are the voxels of a block (a core of the output, with both halos where there are any), i the bytes per voxel of what
is read. None depends on the size of the tomogram, but for the ``deepict`` equalization, which is one global FFT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepict_dask.engine.execute import Workers, workers
from deepict_dask.engine.pencils import LARGE
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.ome_zarr import Image
from deepict_dask.kernels.conditioning import Conditioning
from deepict_dask.kernels.slices import smoothing_radius
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.predictor import PIXELS

# What a worker holds without work: the program and its libraries; torch brings more.
BASE, BASE_TORCH = 250_000_000, 450_000_000
# Part of its limit at which a worker pauses, see the cluster's settings.
USABLE = 0.85
# Part of a probability map that is foreground; maps of particles have far less.
FOREGROUND = 1 / 8
# The same of a map of compartments, such as the cytosol.
COMPARTMENT = 1 / 2
# Pieces of the global FFT of a large tomogram, complex64.
_PENCIL = 2**27
# Bytes per voxel of a map in float32 and of a region mask.
_STORED = 4 + 1
# Voxels that are counted at a time.
_SLAB = 2**21


@dataclass(frozen=True)
class Memory:
    """What a worker needs.

    Attributes
    ----------
    once : int
        Bytes that it takes whatever the number of its threads.
    per_thread : int
        Bytes that each thread takes at a time.
    threads : int
        Of the worker.
    """

    once: int
    per_thread: int
    threads: int = 1

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.once + self.threads * self.per_thread


def check_memory(needed: Memory, what: str, way_out: str) -> None:
    """Refuse work that would have the workers killed, before it starts.

    Parameters
    ----------
    needed : Memory
        By one of the formulas here.
    what : str
        That needs it, as a plural: ``blocks of up to 208 voxels``.
    way_out : str
        What to do instead.

    Raises
    ------
    InputError
        If the smallest worker has less. Without a cluster there is no limit to compare with.
    """
    cluster = workers()
    if cluster is None or cluster.memory is None or fits(needed):
        return
    digits = 1
    while digits < 9 and f"{needed.total / 1e9:.{digits}f}" == f"{USABLE * cluster.memory / 1e9:.{digits}f}":
        digits += 1
    digits = max(3, digits)
    raise InputError(
        f"{what} need {needed.total / 1e9:.{digits}f} GB per worker, but a worker of {cluster.memory / 1e9:.{digits}f} GB "
        f"can use {USABLE * cluster.memory / 1e9:.{digits}f} GB; {way_out}"
    )


def fits(needed: Memory) -> bool:
    """Tell whether the smallest worker has as much; without a cluster there is no limit to compare with."""
    cluster = workers()
    return cluster is None or cluster.memory is None or needed.total <= USABLE * cluster.memory


def worker_threads() -> int:
    """Give the most threads that a worker has; 1 without a cluster."""
    cluster: Workers | None = workers()
    return 1 if cluster is None else cluster.threads


def ingest(grid: BlockGrid, itemsize: int, threads: int | None = None) -> Memory:
    """Bound the memory of a worker that ingests.

    Parameters
    ----------
    grid : BlockGrid
        What one task stores.
    itemsize : int
        Bytes per voxel of the tomogram.
    threads : int, optional
        Of the worker; those of the active cluster unless given. Likewise below.

    Returns
    -------
    Memory
        Per thread ``V * (2 * i + 8) + i * R``: the block, its compressed form, its pyramid; and R, the whole rows that a
        file that is mapped into memory shows of it. What is packed or stored in one chunk is made plain first.
    """
    z, y, _ = grid.core
    rows = min(z, grid.shape[0]) * min(y, grid.shape[1]) * grid.shape[2]
    return _memory(BASE, _core(grid) * (2 * itemsize + 8) + itemsize * rows, threads)


def rescale(
    grid: BlockGrid, ratio: tuple[float, float, float], itemsize: int, threads: int | None = None
) -> Memory:
    """Bound the memory of a worker that rescales.

    Parameters
    ----------
    grid : BlockGrid
        Of the result.
    ratio : (float, float, float)
        New voxel size over old, (z, y, x).
    itemsize, threads
        As for `ingest`.

    Returns
    -------
    Memory
        Per thread ``I * (i + 4) + 12 * M + 4 * V``: I the voxels of the input that a block depends on, M the largest of
        the results after one and two axes.
    """
    wide = [n * r + 4 * max(1.0, r) + 1 for n, r in zip(grid.core, ratio, strict=True)]
    z, y, x = grid.core
    middle = max(z * wide[1] * wide[2], z * y * wide[2], z * y * x)
    per_thread = math.prod(wide) * (itemsize + 4) + 12 * middle + 4 * math.prod(grid.core)
    return _memory(BASE, int(per_thread), threads)


def equalize_physical(grid: BlockGrid, halo: Shape, itemsize: int, threads: int | None = None) -> Memory:
    """Bound the memory of a worker that equalizes block by block.

    Parameters
    ----------
    grid : BlockGrid
        Of the result.
    halo : (int, int, int)
        Of the gain, (z, y, x) voxels.
    itemsize, threads
        As for `ingest`.

    Returns
    -------
    Memory
        Once ``12 * V`` for the kernel's response, which threads share; per thread ``V * (i + 16)``: the block, its FFT
        and what comes of it.
    """
    block = _padded(grid.core, halo)
    return _memory(BASE + 12 * block, block * (itemsize + 16), threads)


def equalize_deepict(
    shape: Shape,
    grid: BlockGrid,
    threads: int | None = None,
    n_workers: int | None = None,
    large: int = LARGE,
) -> Memory:
    """Bound the memory of a worker that equalizes by one global FFT, as the original does.

    Parameters
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    grid : BlockGrid
        What one task stores.
    threads, n_workers : int, optional
        Of the worker, and how many there are; those of the active cluster unless given.
    large : int
        Tomograms with more voxels are transformed in pieces.

    Returns
    -------
    Memory
        With N voxels of the tomogram: once ``12 * N`` in one task. In pieces ``12 * N / workers``, since the transform
        (8 bytes a voxel) is kept until its spectrum is known and goes through the workers' disks only while
        it is turned, and ``4 * 128 MB`` per thread. Storing takes ``20 * V`` per thread.
    """
    voxels = math.prod(shape)
    store = 20 * _core(grid)
    if voxels <= large:
        return _memory(BASE + 12 * voxels, store, threads)
    if n_workers is None:
        cluster = workers()
        n_workers = 1 if cluster is None else cluster.number
    return _memory(BASE + 12 * voxels // n_workers, max(store, 4 * _PENCIL), threads)


def segment(
    architecture: Architecture,
    runtime: str,
    core: Shape,
    halo: Shape,
    itemsize: int,
    threads: int | None = None,
    *,
    in_boxes: bool = False,
) -> Memory:
    """Bound the memory of a worker that segments.

    Parameters
    ----------
    architecture : Architecture
        Of the network.
    runtime : {"openvino", "torch"}
        What runs it.
    core, halo : (int, int, int)
        Of a block, (z, y, x) voxels.
    itemsize, threads
        As for `ingest`; while one block is in the network the others' are read and standardized.
    in_boxes : bool
        Whether the network sees one row of the original's boxes at a time instead of a block.

    Returns
    -------
    Memory
        Once ``V * a`` with a the network's activations per voxel; per thread ``V * (i + 8) + 8 * C`` with C the core's
        voxels times the classes, or if that is more ``4 * C`` and what picking takes, for which the block is searched
        before it is let go.
    """
    padded = _padded(core, halo)
    voxels = 64**3 * (core[2] // 40) if in_boxes else padded
    base = BASE_TORCH if runtime == "torch" else BASE
    results = math.prod(core) * architecture.out_classes
    once = base + voxels * architecture.activation_bytes(runtime)
    picking = 4 * results + pick(core, _STORED, 1).per_thread
    return _memory(once, max(padded * (itemsize + 8) + 8 * results, picking), threads)


def shown_bytes(tomogram: Image) -> int:
    """Give the bytes per voxel of a tomogram as it is read: also those of what is shown, and of where voxels are left out."""
    shown = 0 if tomogram.shown is None else Conditioning.shown_dtype(tomogram.dtype).itemsize + 1
    return tomogram.dtype.itemsize + shown


def segment_slices(
    architecture: Architecture,
    runtime: str,
    core: Shape,
    halo: Shape,
    itemsize: int,
    sigma: float,
    threads: int | None = None,
) -> Memory:
    """Bound the memory of a worker that segments slice by slice.

    Parameters
    ----------
    architecture, runtime, core, halo, itemsize, threads
        As for `segment`.
    sigma : float
        Of the smoothing along z, in slices.

    Returns
    -------
    Memory
        Once ``P * a``, P the pixels that go through the network at a time (one slice, or tiles of about a million
        pixels) and a its activations per pixel; and for smoothing ``12 * C``, three blocks of the map. Per thread
        ``V * (i + 8) + 8 * C``, or ``12 * W`` with W the core and what is smoothed around it, or ``4 * C`` and what
        picking takes, where that is more.
    """
    at_once = max(PIXELS, (core[1] + 2 * halo[1]) * (core[2] + 2 * halo[2]))
    results = math.prod(core) * architecture.out_classes
    once = BASE_TORCH if runtime == "torch" else BASE
    once += at_once * architecture.activation_bytes(runtime) + (12 * results if sigma else 0)
    smoothed = _padded(core, (smoothing_radius(sigma), 0, 0)) if sigma else 0
    picking = 4 * results + pick(core, _STORED, 1, foreground=COMPARTMENT).per_thread
    per_thread = max(_padded(core, halo) * (itemsize + 8) + 8 * results, 12 * smoothed, picking)
    return _memory(once, per_thread, threads)


def pick(core: Shape, itemsize: int, threads: int | None = None, *, foreground: float = FOREGROUND) -> Memory:
    """Bound the memory of a worker that picks.

    Parameters
    ----------
    core : (int, int, int)
        Of a block of the map, (z, y, x) voxels.
    itemsize : int
        Bytes per voxel of the map, plus those of the region mask.
    threads : int, optional
        As for `ingest`.
    foreground : float
        Part of the map that is foreground: 1/8, or `COMPARTMENT` for compartments.

    Returns
    -------
    Memory
        Per thread ``V * (i + 6 + 56 * f)``: the block, mask and labels, and what is known of each foreground voxel, f of
        all voxels (60 bytes where everything is foreground).
    """
    return _memory(BASE, int(math.prod(core) * (itemsize + 6 + 56 * foreground)), threads)


def labels(
    grid: BlockGrid, itemsize: int, threads: int | None = None, *, foreground: float = FOREGROUND
) -> Memory:
    """Bound the memory of a worker that writes a label image.

    Parameters
    ----------
    grid : BlockGrid
        Of the map.
    itemsize, threads, foreground
        As for `pick`.

    Returns
    -------
    Memory
        Once ``N * (1 / 8 + 4 * f)``: of all N voxels of the tomogram a bit each, and 4 bytes for those in the foreground, are
        held until all blocks are known; per thread ``V * (i + 14)``.
    """
    held = math.prod(grid.shape) * (1 / 8 + 4 * foreground)
    return _memory(BASE + int(held), _core(grid) * (itemsize + 14), threads)


def masks(grid: BlockGrid, n_classes: int, threads: int | None = None) -> Memory:
    """Bound the memory of a worker that pastes masks: per thread ``V * (9 + 2 * classes)``."""
    return _memory(BASE, _core(grid) * (9 + 2 * n_classes), threads)


def evaluate_voxels(grid: BlockGrid, itemsize: int, threads: int | None = None) -> Memory:
    """Bound the memory of a worker that compares a map with a truth mask.

    Parameters
    ----------
    grid : BlockGrid
        Of both.
    itemsize : int
        Bytes per voxel of the map and of the truth together.
    threads : int, optional
        As for `ingest`.

    Returns
    -------
    Memory
        Per thread ``V * (i + 2)``, and 84 MB for the piece that is counted.
    """
    return _memory(BASE, _core(grid) * (itemsize + 2) + 40 * _SLAB, threads)


def _memory(once: int, per_thread: int, threads: int | None) -> Memory:
    return Memory(once, per_thread, worker_threads() if threads is None else threads)


def _core(grid: BlockGrid) -> int:
    return math.prod(min(n, k) for n, k in zip(grid.shape, grid.core, strict=True))


def _padded(core: Shape, halo: Shape) -> int:
    return math.prod(n + 2 * h for n, h in zip(core, halo, strict=True))
