"""Block grids, halos and reflection: integers only.

A *block grid* cuts a tomogram into cores of one size (the last one of an axis may be smaller).
It depends on the tomogram's shape and on settings, never on how the tomogram happens to be
stored or on who computes it; that is what makes results independent of the chunking.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, int, int]


def align_up(n: int, step: int) -> int:
    """Round up to a multiple of ``step``.

    >>> align_up(37, 4)
    40
    """
    return -(-n // step) * step


def reflect_indices(start: int, stop: int, n: int, *, repeat_edge: bool = False) -> np.ndarray:
    """Give the voxel that each position of a range shows when an axis is mirrored at its ends.

    The mirror goes on for as long as the range asks, so an axis thinner than a halo is no special case.

    Parameters
    ----------
    start, stop : int
        Range of positions, in voxels; may be negative or beyond ``n``.
    n : int
        Length of the axis in voxels, at least 1.
    repeat_edge : bool
        Whether the edge voxel is shown twice (numpy's ``symmetric``, which Dask and SciPy call ``reflect``), or
        once (numpy's ``reflect``).

    Returns
    -------
    numpy.ndarray of int64, shape (stop - start,)
        Indices in [0, n).

    Examples
    --------
    >>> reflect_indices(-2, 6, 4)
    array([2, 1, 0, 1, 2, 3, 2, 1])
    >>> reflect_indices(-2, 6, 4, repeat_edge=True)
    array([1, 0, 0, 1, 2, 3, 3, 2])
    """
    i = np.arange(start, stop, dtype=np.int64)
    if n == 1:
        return np.zeros_like(i)
    period = 2 * n if repeat_edge else 2 * (n - 1)
    i %= period
    return np.where(i < n, i, period - repeat_edge - i)


@dataclass(frozen=True)
class BlockGrid:
    """Cores that tile a tomogram.

    Attributes
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    core : (int, int, int)
        Size of a core, (z, y, x) voxels; the last core of an axis holds what is left.
    align : int or (int, int, int)
        Cores are multiples of this many voxels; the last one is filled up to one where it must be.
    """

    shape: Shape
    core: Shape
    align: int | Shape = 1

    @property
    def align_zyx(self) -> Shape:
        """`align` along each axis."""
        return _triple(self.align)

    @property
    def counts(self) -> Shape:
        """Number of blocks along z, y and x."""
        a, b, c = (max(1, -(-n // k)) for n, k in zip(self.shape, self.core, strict=True))
        return a, b, c

    @property
    def n_blocks(self) -> int:
        """Number of blocks in all."""
        return math.prod(self.counts)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the cores along each axis, as Dask writes chunks."""
        return tuple(
            tuple(min(k, n - i * k) for i in range(count))
            for n, k, count in zip(self.shape, self.core, self.counts, strict=True)
        )

    def region(self, index: Shape) -> tuple[slice, slice, slice]:
        """Voxels of the core with the given block index, clipped to the tomogram."""
        z, y, x = (
            slice(i * k, min((i + 1) * k, n)) for i, k, n in zip(index, self.core, self.shape, strict=True)
        )
        return z, y, x

    def __iter__(self) -> Iterator[Shape]:
        return itertools.product(*map(range, self.counts))  # type: ignore[return-value]


def block_grid(
    shape: Shape, target: int | Shape, *, align: int | Shape = 1, at_least: int | Shape = 1
) -> BlockGrid:
    """Cut a tomogram into equal cores of about a wanted size.

    Parameters
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    target : int or (int, int, int)
        Largest wanted core edge in voxels.
    align : int or (int, int, int)
        Cores are multiples of this (2**depth of a U-Net, 40 for the original's boxes).
    at_least : int or (int, int, int)
        Smallest size of any core, the last one included, where an axis has several: the halo,
        since a halo must not reach beyond the neighboring block. Wins over ``target``.

    Returns
    -------
    BlockGrid
        With as few blocks as ``target`` allows, as equal as ``align`` allows.

    Examples
    --------
    >>> block_grid((500, 960, 928), 256, align=4).chunks[0]
    (252, 248)
    """
    cores = []
    for n, t, smallest, step in zip(shape, _triple(target), _triple(at_least), _triple(align), strict=True):
        least = align_up(max(1, smallest), step)
        core = max(t // step * step, least)
        count = -(-n // core)
        core = max(align_up(-(-n // count), step), least)
        # A last core thinner than `at_least` is avoided with fewer, larger cores.
        while (rest := n % core) and rest < least and n > core:
            count = max(1, n // core)
            core = align_up(max(-(-n // count), core + 1), step)
        cores.append(core)
    return BlockGrid(shape, (cores[0], cores[1], cores[2]), align)


# What one task reads, writes or filters: 36 MB of float32. Three halvings make the pyramid, and no core
# is thinner than the largest halo of an equalization.
STORAGE_CORE, STORAGE_ALIGN, STORAGE_LEAST = 208, 8, 64


def storage_grid(shape: Shape) -> BlockGrid:
    """Cut a tomogram into what one task stores; what is computed on it depends on the shape alone.

    >>> storage_grid((500, 960, 928)).core
    (168, 192, 192)
    """
    return block_grid(shape, STORAGE_CORE, align=STORAGE_ALIGN, at_least=STORAGE_LEAST)


def divisor_chunk(core: int, largest: int = 64, multiple_of: int = 1) -> int:
    """Give the largest divisor of a core's edge that is at most ``largest``.

    Storage chunks that divide the cores are never shared by two tasks.

    >>> divisor_chunk(200), divisor_chunk(128), divisor_chunk(252)
    (50, 64, 63)
    """
    fits = [d for d in range(1, core + 1) if core % d == 0 and d <= largest and d % multiple_of == 0]
    return fits[-1] if fits else core


def _triple(value: int | Shape) -> Shape:
    return (value, value, value) if isinstance(value, int) else value
