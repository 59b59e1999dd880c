"""Bring a tomogram's amplitude spectrum to a target's: block by block, or by one global FFT."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import delayed

from deepict_dask.engine.overlap import map_overlap
from deepict_dask.engine.passes import again
from deepict_dask.engine.pencils import LARGE, apply_to_pencils, is_large, pencils, shell_sums
from deepict_dask.engine.spectrum import global_statistics
from deepict_dask.engine.stored import Stored, readable
from deepict_dask.geometry import STORAGE_CORE, BlockGrid, Shape, block_grid, storage_grid
from deepict_dask.kernels.fir import HALO, filter_block, halo_voxels
from deepict_dask.kernels.gain import deepict_apply, deepict_gain
from deepict_dask.kernels.physical_gain import Gain
from deepict_dask.kernels.spectrum import deepict_means, deepict_shell_sums, deepict_transform
from deepict_dask.spectrum import Spectrum


def equalize_physical(
    source: Any,
    gain: Gain | Any,
    mean: Any = None,
    *,
    grid: BlockGrid | None = None,
    halo: int | Shape | None = None,
) -> da.Array:
    """Filter a tomogram block by block with a gain in 1/A, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x), any real dtype.
    gain : Gain, or Delayed of one
        From `deepict_dask.kernels.physical_gain.physical_gain`.
    mean : float, Delayed or 0-d array, optional
        Of the tomogram; one more pass over it if left out. The result has the same mean.
    grid : BlockGrid, optional
        Blocks; by default those of `storage_grid`, from the tomogram's shape only, so that results
        are the same to the last bit on every chunking. Other grids differ by rounding.
    halo : int or (int, int, int), optional
        Voxels: one number for the axis of the largest voxel size, or (z, y, x). 24 by default;
        `deepict_dask.kernels.fir.choose_halo` says what a gain needs, and what it costs. With a
        Delayed gain of anisotropic voxels give three.

    Returns
    -------
    dask.array.Array of float32, shape (z, y, x)
        Chunked as the grid. The tomogram is mirrored at its edges.

    Notes
    -----
    One task per block for a stored array, about 20 bytes per voxel of core and halo. A Dask array is computed once more,
    after the mean and a Delayed gain.
    """
    source = readable(source)
    shape: Shape = tuple(source.shape)  # type: ignore[assignment]
    if halo is None or isinstance(halo, int):
        size = gain.voxel_size if isinstance(gain, Gain) else (1.0, 1.0, 1.0)
        halo = halo_voxels(size, HALO if halo is None else halo)
    if grid is None:
        grid = storage_grid(shape)
        if any(len(sizes) > 1 and min(sizes) < h for sizes, h in zip(grid.chunks, halo, strict=True)):
            grid = block_grid(shape, STORAGE_CORE, at_least=halo)
    if mean is None:
        mean = global_statistics(source).mean
    kwargs = {"gain": gain, "halo": halo, "mean": mean}
    source = again(source, delayed(_both)(mean, gain) if is_dask_collection(gain) else mean)
    return map_overlap(filter_block, source, grid, halo, dtype=np.float32, kwargs=kwargs)


def equalize_deepict(
    source: Any,
    target: Spectrum | Any,
    cutoff: float | None = None,
    smooth: float | None = None,
    *,
    minimum: Any = None,
    maximum: Any = None,
    exact: bool = True,
    threads: int = 1,
    large: int = LARGE,
) -> da.Array:
    """Filter a tomogram as the original does, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        The tomogram, shape (z, y, x), any real dtype.
    target : Spectrum, or Delayed of one
        Convention ``deepict``; compared by index, not by frequency.
    cutoff, smooth : float, optional
        Low-pass in the original's index units (shells), not in A; see
        `deepict_dask.kernels.gain.deepict_gain`.
    minimum, maximum : float, Delayed or 0-d array, optional
        Of the tomogram; looked up if left out.
    exact : bool
        The original's last bits (numpy's FFT); otherwise within 1e-6 of them and somewhat faster, as
        are tomograms that are transformed in pieces.
    threads : int
        Of the task that holds the tomogram.
    large : int
        Tomograms with more voxels are transformed in pieces.

    Returns
    -------
    dask.array.Array of float32, shape (z, y, x)
        Never negative. One chunk, or slabs along z if large.

    Raises
    ------
    InputError
        If the target is in the other convention, or cutoff or smooth is out of range.

    Notes
    -----
    One task with about 15 bytes a voxel beside a Dask array, all in all for a stored one; large tomograms see
    `deepict_dask.engine.pencils.pencils`.
    """
    if isinstance(target, Spectrum):
        target.require("deepict", "target spectrum")
    deepict_gain(np.ones(2), np.ones(2), cutoff, smooth)  # refuses bad settings now and not in a task
    source = readable(source)
    shape: Shape = tuple(source.shape)  # type: ignore[assignment]
    settings = {"target": target.amplitude, "cutoff": cutoff, "smooth": smooth}
    if is_large(shape, large):
        if minimum is None or maximum is None:
            statistics = global_statistics(source)
            minimum, maximum = statistics.minimum, statistics.maximum
        transform = pencils(again(source, maximum), minimum, maximum)
        gain = delayed(_gain)(shell_sums(transform), **settings)
        return apply_to_pencils(transform, gain)
    common = {
        **settings,
        "minimum": minimum,
        "maximum": maximum,
        "exact": exact,
        "threads": threads,
        "dtype": np.float32,
        "meta": np.empty((0, 0, 0), np.float32),
    }
    if isinstance(source, da.Array):
        return da.map_blocks(_whole, source.rechunk(shape), **common)
    return da.map_blocks(_read_whole, source=Stored(source), chunks=tuple((n,) for n in shape), **common)


def _both(mean: float, gain: Gain) -> None:
    """Stand for two results that a pass waits for."""


def _gain(sums: np.ndarray, target: np.ndarray, cutoff: float | None, smooth: float | None) -> np.ndarray:
    return deepict_gain(deepict_means(sums), target, cutoff, smooth)


def _whole(
    volume: Any,
    *,
    target: np.ndarray,
    cutoff: float | None,
    smooth: float | None,
    minimum: float | None,
    maximum: float | None,
    exact: bool,
    threads: int,
) -> np.ndarray:
    transform = deepict_transform(volume, minimum, maximum, exact=exact, threads=threads)
    gain = _gain(deepict_shell_sums(transform, transform.shape), target, cutoff, smooth)
    return deepict_apply(transform, gain, exact=exact, threads=threads)


def _read_whole(source: Stored, **settings: Any) -> np.ndarray:
    return _whole(source.array, **settings)
