"""Compute one value per block, and stores beside them, while saying how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import flatten

from deepict_dask.engine.gather import boxed
from deepict_dask.errors import WorkError

Advance = Callable[[int], None]


def per_block(function: Callable[..., Any], array: da.Array, **kwargs: Any) -> da.Array:
    """Reduce every block to one Python object, lazily.

    Parameters
    ----------
    function : callable
        ``function(block, index=(i, j, k), **kwargs)``, ``index`` being the block's number.
    array : dask.array.Array
        Any shape; a leading channel axis must be in one piece.
    **kwargs
        For the function.

    Returns
    -------
    dask.array.Array of object
        One element per block, in the grid's order. Computed together with a store of ``array`` each
        block is computed once.
    """
    ones = tuple((1,) * n for n in array.numblocks)
    meta = np.empty((0,) * array.ndim, object)
    return da.map_blocks(
        _reduced, array, function=function, function_kwargs=kwargs, chunks=ones, dtype=object, meta=meta
    )


def _reduced(
    block: np.ndarray,
    function: Callable[..., Any],
    function_kwargs: dict[str, Any],
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    return boxed(function(block, index=block_id, **function_kwargs), block.ndim)


def execute(parts: da.Array, stores: Sequence[da.Array] = (), advance: Advance = lambda n: None) -> list[Any]:
    """Compute the parts of all blocks, and the stores.

    Runs on the active distributed client if there is one, else on threads. When a block fails the
    others that wait are given up, and the block's own error is raised.

    Parameters
    ----------
    parts : dask.array.Array of object
        From `per_block`.
    stores : sequence of dask.array.Array
        From ``dask.array.store(..., compute=False)``; computed in the same graph.
    advance : callable
        Called with 1 each time a block's part is there.

    Returns
    -------
    list
        The parts, in C order of their blocks.

    Raises
    ------
    WorkError
        If workers died under a block too often.
    """
    client = active_client()
    if client is None:
        computed = dask.compute(_counted(parts, advance), *stores, scheduler="threads")[0]
        return list(computed.ravel())
    from distributed import KilledWorker, as_completed

    persisted = dask.persist(parts, *stores, retries=2)
    # One future per block; what a collection's graph holds now are its futures, in no set order.
    graphs = [dict(p.__dask_graph__()) for p in persisted]
    wanted = [graphs[0][key] for key in flatten(persisted[0].__dask_keys__())]
    everything = [future for graph in graphs for future in graph.values()]
    blocks = {future.key for future in wanted}
    try:
        for future in as_completed(everything):
            if future.status == "error":
                future.result()
            if future.key in blocks:
                advance(1)
        return [np.asarray(value, object).ravel()[0] for value in client.gather(wanted)]
    except KilledWorker as error:
        raise WorkError(
            f"the workers that computed {_block_name(error)} died several times, most likely out of memory; "
            "use a smaller block, fewer workers or a higher memory limit"
        ) from error
    finally:
        client.cancel(everything)


def smallest_worker_memory() -> int | None:
    """Give the memory limit in bytes of the smallest worker; None without a cluster or without limits."""
    client = active_client()
    if client is None:
        return None
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return min((w["memory_limit"] for w in workers if w["memory_limit"]), default=None)


def active_client() -> Any:
    """Give the distributed client that computations go to; None if there is none."""
    try:
        from distributed import default_client

        return default_client()
    except (ImportError, ValueError):
        return None


def _block_name(error: Exception) -> str:
    task = str(getattr(error, "task", error))
    return f"task {task}"


def _counted(parts: da.Array, advance: Advance) -> da.Array:
    """Have every block of parts report itself; for schedulers in this process only."""

    def count(part: np.ndarray) -> np.ndarray:
        advance(1)
        return part

    return parts.map_blocks(count, dtype=object, meta=parts._meta, name=f"counted-{parts.name}")
