"""From one object per block to one object: the last step of every reduction."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da

_OBJECT = np.empty((0, 0, 0), object)


def gathered(parts: da.Array, function: Callable[[np.ndarray], Any]) -> da.Array:
    """Apply a function to the array of all blocks' objects, in one task, with one object as result.

    This is a layer of its own and not ``map_blocks``, since blockwise layers are fused: a merge
    that every block depends on would then run once per block.
    """
    import dask.array as da
    from dask.base import tokenize
    from dask.core import flatten
    from dask.highlevelgraph import HighLevelGraph

    name = "gathered-" + tokenize(parts.name, function)
    keys = list(flatten(parts.__dask_keys__()))
    task = (functools.partial(_gather, function=function, numblocks=parts.numblocks), keys)
    graph = HighLevelGraph.from_collections(name, {(name, 0, 0, 0): task}, [parts])  # type: ignore[list-item]
    return da.Array(graph, name, chunks=((1,), (1,), (1,)), dtype=object, meta=_OBJECT)


def gathered_lazily(parts: da.Array, function: Callable[[np.ndarray], Any]) -> Any:
    """Do the same and give a ``Delayed`` of the object, to be an argument of other graphs.

    The graph stays as it is: a ``Delayed`` made of an optimized one would compute the blocks again
    in every graph that it becomes part of.
    """
    from dask import delayed

    (box,) = gathered(parts, function).to_delayed(optimize_graph=False).ravel()
    return delayed(_unboxed, pure=True)(box)


def _unboxed(box: np.ndarray) -> Any:
    return box.item()


def boxed(value: Any, ndim: int = 3) -> np.ndarray:
    """Put one object into an array of one element per axis, which is a block for dask."""
    box = np.empty((1,) * ndim, object)
    box.flat[0] = value
    return box


def _gather(blocks: list[np.ndarray], function: Any, numblocks: tuple[int, int, int]) -> np.ndarray:
    values = np.empty(numblocks, object)
    for place, block in zip(np.ndindex(numblocks), blocks, strict=True):
        values[place] = block.item()
    return boxed(function(values))
