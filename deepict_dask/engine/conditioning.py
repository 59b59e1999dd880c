"""Mean and standard deviation of the voxels that count, and what they say about how all are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from deepict_dask.engine.execute import per_block
from deepict_dask.engine.gather import gathered_lazily
from deepict_dask.engine.overlap import map_overlap
from deepict_dask.engine.passes import again
from deepict_dask.engine.stored import readable
from deepict_dask.geometry import Shape, block_grid
from deepict_dask.kernels.conditioning import ROUNDS, Conditioning, counted
from deepict_dask.kernels.occurrences import Occurrences, block_occurrences, combine_occurrences
from deepict_dask.kernels.statistics import BlockStatistics, Statistics, block_statistics, combine

Measure = Callable[[da.Array], Sequence["Counted"]]
Counted = tuple[BlockStatistics, Occurrences]


def counted_parts(
    source: Any, ignore_value: float | None = None, low: float = -math.inf, high: float = math.inf
) -> da.Array:
    """Sum up the voxels that count, block by block, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x), any real dtype.
    ignore_value : float, optional
        Voxels of this value are left out.
    low, high : float or Delayed
        Voxels beyond are left out.

    Returns
    -------
    dask.array.Array of object
        One (`BlockStatistics`, `Occurrences`) per block; blocks follow from the shape only, so what is combined of them
        is the same to the last bit for every chunking.
    """
    shape: Shape = tuple(source.shape)  # type: ignore[assignment]
    blocks = map_overlap(np.asarray, source, block_grid(shape, 128), (0, 0, 0), dtype=source.dtype)
    return per_block(_count, blocks, ignore_value=ignore_value, low=low, high=high)


def limits(statistics: Statistics, clip: float, low: float, high: float) -> tuple[float, float]:
    """Give the limits of the next round, never wider than those before."""
    reach = clip * statistics.std
    return max(low, statistics.mean - reach), min(high, statistics.mean + reach)


def conditioning_of(
    first: Statistics,
    rounds: Sequence[Statistics],
    dtype: Any,
    *,
    clip: float | None,
    ignore_value: float | None,
    invert: bool,
) -> tuple[Conditioning, Statistics]:
    """Say how voxels are shown, and what statistics those have that count.

    Parameters
    ----------
    first : Statistics
        Of all voxels but the ignored ones.
    rounds : sequence of Statistics
        Of those within the limits, round by round; empty without ``clip``.
    dtype : dtype
        Of the voxels.
    clip, ignore_value, invert
        What is asked for.

    Returns
    -------
    conditioning : Conditioning
        Its mean is rounded to what is shown, so that voxels that are left out are exactly 0 once it is subtracted.
    statistics : Statistics
        Mean and standard deviation of what is shown of the voxels within the limits; range of all that count.
    """
    last = rounds[-1] if rounds else first
    mean = float(Conditioning.shown_dtype(dtype).type(last.mean))
    low, high = -math.inf, math.inf
    if clip is not None:
        low, high = last.mean - clip * last.std, last.mean + clip * last.std
    shown = Conditioning(mean, ignore_value, low, high, invert)
    ends = np.clip([first.minimum, first.maximum], low, high)
    if invert:
        ends = -ends[::-1]
    statistics = Statistics(
        last.count, shown.shown_mean, last.std, float(ends[0]), float(ends[1]), first.n_nan
    )
    return shown, statistics


def counted_lazily(source: Any) -> Any:
    """Sum up all voxels, lazily: a Delayed of a pair (`Statistics`, `Occurrences`); one pass over the tomogram."""
    return gathered_lazily(counted_parts(readable(source)), _counted)


def condition_lazily(
    source: Any, *, clip: float | None = None, ignore_value: float | None = None, invert: bool = False
) -> Any:
    """Measure a tomogram, lazily.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x), any real dtype.
    clip, ignore_value, invert
        As in `deepict_dask.config.IngestSettings`.

    Returns
    -------
    dask.delayed.Delayed
        Of a pair (`Conditioning`, `Statistics`). One pass over the tomogram, four with ``clip``.
    """
    source = readable(source)
    first = gathered_lazily(counted_parts(source, ignore_value), _combined)
    low, high, last = -math.inf, math.inf, first
    rounds: list[Any] = []
    for _ in range(0 if clip is None else ROUNDS):
        bounds = delayed(limits)(last, clip, low, high)
        low, high = bounds[0], bounds[1]
        last = gathered_lazily(counted_parts(again(source, bounds), ignore_value, low, high), _combined)
        rounds.append(last)
    return delayed(conditioning_of)(
        first, rounds, source.dtype, clip=clip, ignore_value=ignore_value, invert=invert
    )


def measure(
    source: Any,
    run: Measure,
    *,
    clip: float | None = None,
    ignore_value: float | None = None,
    invert: bool = False,
    first: Statistics | None = None,
) -> tuple[Conditioning, Statistics, tuple[Statistics, Occurrences | None]]:
    """Measure a tomogram now, pass by pass.

    Parameters
    ----------
    source : stored array
        Shape (z, y, x), any real dtype.
    run : callable
        Computes the parts of a pass: ``run(parts)``, such as `deepict_dask.engine.execute.execute`.
    clip, ignore_value, invert
        As in `deepict_dask.config.IngestSettings`.
    first : Statistics, optional
        Of all voxels, where they are known: saves the first pass if none is left out.

    Returns
    -------
    conditioning : Conditioning
    statistics : Statistics
        As from `conditioning_of`.
    all_counted : (Statistics, Occurrences or None)
        Of all voxels but the ignored ones; occurrences are None where the first pass was saved.
    """
    occurrences: Occurrences | None = None
    if first is None or ignore_value is not None:
        parts = run(counted_parts(source, ignore_value))
        first = combine(p[0] for p in parts)
        occurrences = combine_occurrences(p[1] for p in parts)
    low, high, last = -math.inf, math.inf, first
    rounds = []
    for _ in range(0 if clip is None else ROUNDS):
        low, high = limits(last, clip or 0.0, low, high)
        last = combine(p[0] for p in run(counted_parts(source, ignore_value, low, high)))
        rounds.append(last)
    shown, statistics = conditioning_of(
        first, rounds, source.dtype, clip=clip, ignore_value=ignore_value, invert=invert
    )
    return shown, statistics, (first, occurrences)


def _count(
    block: np.ndarray, index: tuple[int, ...], ignore_value: float | None, low: float, high: float
) -> Counted:
    voxels = counted(np.ascontiguousarray(block), ignore_value, low, high)
    return block_statistics(voxels), block_occurrences(voxels)


def _combined(parts: np.ndarray) -> Statistics:
    return combine(p[0] for p in parts.flat)


def _counted(parts: np.ndarray) -> tuple[Statistics, Occurrences]:
    return _combined(parts), combine_occurrences(p[1] for p in parts.flat)
