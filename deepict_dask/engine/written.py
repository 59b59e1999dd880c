"""Blocks that are written where they are computed, each with a note that a later command finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import dask.array as da
import numpy as np

from deepict_dask.engine.gather import boxed


class Target(Protocol):
    """Where blocks are written; small, opened by the task that writes."""

    def write(self, region: tuple[slice, ...], block: np.ndarray) -> tuple[Any, ...]:
        """Write a block and say what was written."""

    def note(self, index: tuple[int, ...], part: Any, receipt: tuple[Any, ...]) -> None:
        """Note that a block is written and reduced, so that it need not be computed again."""


@dataclass(frozen=True)
class Written:
    """One block that was written.

    Attributes
    ----------
    part : object
        What the reduction of the block gave.
    receipt : tuple
        What its target says was written.
    """

    part: Any
    receipt: tuple[Any, ...]


def written(array: da.Array, target: Target, function: Callable[..., Any], **kwargs: Any) -> da.Array:
    """Write every block and reduce it to one Python object, lazily, in the task that computes it.

    Parameters
    ----------
    array : dask.array.Array
        Chunked as the target's blocks; a leading channel axis must be in one piece.
    target : Target
        Travels with the graph.
    function : callable
        ``function(block, index=(i, j, k), **kwargs)``, ``index`` being the block's number.
    **kwargs
        For the function.

    Returns
    -------
    dask.array.Array of object
        One `Written` per block, in the grid's order; for `deepict_dask.engine.execute.execute`.
    """
    ends = [np.cumsum((0, *sizes)).tolist() for sizes in array.chunks]
    ones = tuple((1,) * n for n in array.numblocks)
    return da.map_blocks(
        _written,
        array,
        target=target,
        ends=ends,
        function=function,
        function_kwargs=kwargs,
        chunks=ones,
        dtype=object,
        meta=np.empty((0,) * array.ndim, object),
    )


def _written(
    block: np.ndarray,
    target: Target,
    ends: list[list[int]],
    function: Callable[..., Any],
    function_kwargs: dict[str, Any],
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    region = tuple(slice(e[i], e[i + 1]) for e, i in zip(ends, block_id, strict=True))
    receipt = target.write(region, block)
    part = function(block, index=block_id, **function_kwargs)
    # The note comes last: who finds it finds the block.
    target.note(block_id, part, receipt)
    return boxed(Written(part, receipt), block.ndim)


def recalled(recall: Callable[..., Any], indices: list[tuple[int, ...]], **kwargs: Any) -> da.Array:
    """Look at noted blocks, lazily, one task for each.

    Parameters
    ----------
    recall : callable
        ``recall(index, **kwargs)`` gives part and receipt of a block, or None where it has to be computed.
    indices : list of tuple of int
        Numbers of the blocks.
    **kwargs
        For the function.

    Returns
    -------
    dask.array.Array of object, shape (n,)
        A `Written` for each of them, or None.
    """
    return da.map_blocks(
        _recalled,
        recall=recall,
        indices=indices,
        recall_kwargs=kwargs,
        chunks=((1,) * len(indices),),
        dtype=object,
        meta=np.empty((0,), object),
    )


def _recalled(
    recall: Callable[..., Any],
    indices: list[tuple[int, ...]],
    recall_kwargs: dict[str, Any],
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    found = recall(indices[block_id[0]], **recall_kwargs)
    return boxed(None if found is None else Written(*found), 1)
