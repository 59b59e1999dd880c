"""How blocks meet in one amplitude spectrum: partial sums of windows, added up in a fixed order."""

from __future__ import annotations

import itertools
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from deepict_dask.engine.execute import per_block
from deepict_dask.engine.gather import boxed, gathered_lazily
from deepict_dask.engine.overlap import map_overlap
from deepict_dask.engine.passes import again
from deepict_dask.engine.pencils import LARGE, is_large, pencils, shell_sums
from deepict_dask.engine.stored import Stored, readable
from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape, block_grid
from deepict_dask.kernels.periodogram import WINDOW, WindowGrid, periodogram_sums, physical_spectrum
from deepict_dask.kernels.spectrum import deepict_means, deepict_spectrum
from deepict_dask.kernels.statistics import BlockStatistics, Statistics, block_statistics, combine
from deepict_dask.spectrum import Convention, Spectrum
from deepict_dask.tomogram import VoxelSize, per_axis


def extract_spectrum(
    source: Any,
    voxel_size: float | VoxelSize | None,
    convention: Convention = "physical",
    *,
    mean: Any = None,
    minimum: Any = None,
    maximum: Any = None,
    large: int = LARGE,
    window: int = WINDOW,
    has_holes: bool = False,
) -> Any:
    """Extract the amplitude spectrum of a tomogram, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x), any real dtype. Anything that is no Dask array is read by the
        tasks, region by region.
    voxel_size : float or (float, float, float) or None
        In A, (z, y, x); ``physical`` needs one.
    convention : {"physical", "deepict"}
        See `deepict_dask.spectrum.Spectrum`.
    mean : float, Delayed or 0-d array, optional
        Of the tomogram, for ``physical``; one more pass over the tomogram if left out.
    minimum, maximum : float, Delayed or 0-d array, optional
        Of the tomogram, for ``deepict``; likewise.
    large : int
        ``deepict``: tomograms with more voxels are transformed as pencils, others by one task.
    window : int
        ``physical``: edge of the windows in voxels.
    has_holes : bool
        ``physical``: whether voxels that are exactly the mean were left out, and windows count by what is left in
        them. ``deepict`` takes them as they are: the mean has no amplitude, so all amplitudes fall alike, by the root of
        the share of the voxels that are left.

    Returns
    -------
    dask.delayed.Delayed
        Of a `Spectrum`; ``.compute()`` gives it, and `equalize_physical` takes what is made of it.

    Notes
    -----
    Independent of chunking and workers to the last bit. ``physical``: one task per 4 x 4 x 4 windows
    of 64 voxels, about 40 MB each. ``deepict``: 12 bytes a voxel in one task. A Dask array is computed once for each
    pass, see `deepict_dask.engine.passes`.
    """
    source = readable(source)
    shape: Shape = tuple(source.shape)  # type: ignore[assignment]
    size = None if voxel_size is None else per_axis(voxel_size)
    if convention == "deepict":
        sums = _deepict_sums(source, shape, minimum, maximum, large)
        return delayed(_deepict_finalize)(sums, size, shape)
    if convention != "physical":
        raise InputError(f'a spectrum is "physical" or "deepict", not "{convention}"; choose one of the two')
    if size is None:
        raise InputError("a physical spectrum needs the tomogram's voxel size in A; give it, or use deepict")
    if mean is None:
        mean = global_statistics(source).mean
    source = again(source, mean)
    grid = WindowGrid(shape, window)
    groups = [grid.groups(axis) for axis in range(3)]
    settings = {"window": grid.window, "mean": mean, "voxel_size": size, "has_holes": has_holes}
    if isinstance(source, da.Array):
        parts = da.concatenate([_lazy_group(source, group, settings) for group in itertools.product(*groups)])
    else:
        parts = da.map_blocks(
            _stored_group,
            source=Stored(source),
            groups=groups,
            settings=settings,
            chunks=tuple((1,) * len(g) for g in groups),
            dtype=object,
            meta=np.empty((0, 0, 0), object),
        )
    return delayed(_physical_finalize)(gathered_lazily(parts, _total), shape, grid.window, size)


def global_statistics(source: Any) -> Any:
    """Compute mean, standard deviation and range of a tomogram, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x).

    Returns
    -------
    dask.delayed.Delayed
        Of `deepict_dask.kernels.statistics.Statistics`, from blocks that depend on the shape only; its
        attributes are lazy too.
    """
    shape: Shape = tuple(source.shape)  # type: ignore[assignment]
    blocks = map_overlap(np.asarray, source, block_grid(shape, 128), (0, 0, 0), dtype=source.dtype)
    return gathered_lazily(per_block(_block_statistics, blocks), _combined)


def _deepict_sums(source: Any, shape: Shape, minimum: Any, maximum: Any, large: int) -> Any:
    if is_large(shape, large):
        if minimum is None or maximum is None:
            statistics = global_statistics(source)
            minimum, maximum = statistics.minimum, statistics.maximum
        transform = pencils(again(source, maximum), minimum, maximum)
        return delayed(deepict_means)(shell_sums(transform))
    if isinstance(source, da.Array):
        whole = per_block(_deepict_whole, source.rechunk(shape), minimum=minimum, maximum=maximum)
        return gathered_lazily(whole, _only)
    stored = delayed(Stored(source), traverse=False)
    return delayed(_read_deepict)(stored, minimum, maximum)


Group = tuple[list[int], ...]


def _lazy_group(source: da.Array, group: Group, settings: dict[str, Any]) -> da.Array:
    """Sum up neighboring windows of a Dask array: an array of one object."""
    region = _region(group, settings["window"])
    voxels = source[region].rechunk(tuple(r.stop - r.start for r in region))
    return per_block(_group_sums, voxels, group=group, settings=settings)


def _stored_group(
    source: Stored, groups: list[list[list[int]]], settings: dict[str, Any], block_id: tuple[int, ...] = ()
) -> np.ndarray:
    group = tuple(g[i] for g, i in zip(groups, block_id, strict=True))
    voxels = np.asarray(source.array[_region(group, settings["window"])])
    return boxed(_group_sums(voxels, block_id, group, settings))


def _region(group: Group, window: Shape) -> tuple[slice, ...]:
    return tuple(slice(s[0], s[-1] + w) for s, w in zip(group, window, strict=True))


def _group_sums(
    voxels: np.ndarray, index: tuple[int, ...], group: Group, settings: dict[str, Any]
) -> np.ndarray:
    z, y, x = ([start - s[0] for start in s] for s in group)
    return periodogram_sums(voxels, (z, y, x), **settings)


def _total(parts: np.ndarray) -> np.ndarray:
    # One after the other in the windows' order, which the tomogram's shape alone decides.
    total = np.zeros_like(parts.flat[0])
    for part in parts.flat:
        total += part
    return total


def _combined(parts: np.ndarray) -> Statistics:
    return combine(list(parts.flat))


def _block_statistics(block: np.ndarray, index: tuple[int, ...]) -> BlockStatistics:
    # Sums depend on the order of the voxels in memory, which must not depend on who delivers them.
    return block_statistics(np.ascontiguousarray(block))


def _deepict_whole(volume: np.ndarray, index: tuple[int, ...], minimum: Any, maximum: Any) -> np.ndarray:
    return deepict_spectrum(volume, minimum, maximum)


def _only(parts: np.ndarray) -> np.ndarray:
    return parts.item()


def _read_deepict(stored: Stored, minimum: float | None, maximum: float | None) -> np.ndarray:
    return deepict_spectrum(stored.array, minimum, maximum)


def _physical_finalize(sums: np.ndarray, shape: Shape, window: Shape, voxel_size: VoxelSize) -> Spectrum:
    return physical_spectrum(sums, tuple(shape), tuple(window), tuple(voxel_size))  # type: ignore[arg-type]


def _deepict_finalize(amplitude: np.ndarray, voxel_size: VoxelSize | None, shape: Shape) -> Spectrum:
    size = None if voxel_size is None else per_axis(tuple(voxel_size))  # type: ignore[arg-type]
    index = np.arange(len(amplitude), dtype=np.float64)
    return Spectrum("deepict", index, amplitude, size, tuple(shape))  # type: ignore[arg-type]
