"""Compare a probability map or a mask with a truth mask, block by block, lazily."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask.engine.gather import boxed
from deepict_dask.engine.labelling import as_blocks
from deepict_dask.errors import InputError
from deepict_dask.kernels.thresholding import score_unit
from deepict_dask.kernels.voxel_counts import VoxelCounts, count_voxels


def voxel_count_parts(
    predicted: da.Array | np.ndarray,
    truth: da.Array | np.ndarray,
    *,
    threshold: float = 0.5,
    scale: float | None = None,
    is_mask: bool = False,
    truth_value: int | None = None,
) -> da.Array:
    """Count the voxels of every block by probability and truth, lazily.

    Parameters
    ----------
    predicted : array, shape (z, y, x)
        Probabilities, unsigned levels with their ``scale``, or a mask.
    truth : array, shape (z, y, x)
        Truth mask; what is not 0 belongs to the class.
    threshold : float
        A voxel is predicted if its probability is strictly above.
    scale : float, optional
        Probability of one level of an integer map.
    is_mask : bool
        Whether what is predicted is a mask: what is not 0 is predicted, and there is no curve.
    truth_value : int, optional
        Only this value of the truth belongs to the class, for label volumes.

    Returns
    -------
    dask.array.Array of object
        One `VoxelCounts` per block of ``predicted``, at most 64 kB each; add them up with
        `add_counts`. The sum is the same for every chunking.

    Raises
    ------
    InputError
        If the shapes differ, the threshold is no probability, or the map's type holds none.
    """
    if tuple(predicted.shape) != tuple(truth.shape):
        raise InputError(
            f"the truth mask has shape {tuple(truth.shape)} and the map {tuple(predicted.shape)}; "
            "give a mask of the same shape (z, y, x)"
        )
    if not 0 <= threshold < 1:
        raise InputError(f"threshold {threshold!r} is not a probability in [0, 1)")
    if not is_mask:
        score_unit(np.dtype(predicted.dtype), scale)
    blocks = as_blocks(predicted)
    return da.map_blocks(
        _part,
        blocks,
        as_blocks(truth, like=blocks),
        chunks=tuple((1,) * n for n in blocks.numblocks),
        dtype=object,
        meta=np.empty((0, 0, 0), object),
        truth_value=truth_value,
        options={"threshold": threshold, "scale": scale, "is_mask": is_mask},
    )


def add_counts(parts: Sequence[VoxelCounts]) -> VoxelCounts:
    """Add up the counts of all blocks of one map."""
    return functools.reduce(operator.add, parts)


def _part(
    predicted: np.ndarray,
    truth: np.ndarray,
    truth_value: int | None,
    options: dict[str, Any],
    block_info: Any = None,
) -> np.ndarray:
    z, y, x = (a for a, _ in block_info[0]["array-location"])
    belongs = truth != 0 if truth_value is None else truth == truth_value
    return boxed(count_voxels(predicted, belongs, start=(z, y, x), **options))
