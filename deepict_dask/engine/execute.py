"""Compute one value per block, and stores beside them, while saying how far it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import dask
import dask.array as da
import numpy as np
from dask.base import flatten

from deepict_dask.engine.gather import boxed
from deepict_dask.engine.watch import LOOK_SECONDS, check_cluster, cluster_errors, watch_of
from deepict_dask.errors import InputError, WorkersDiedError

Advance = Callable[[int], None]


def _forget_threads() -> None:
    """Have a forked process not wait for threads that only its parent has; Dask makes new ones."""
    from dask import threaded

    threaded.default_pool = None
    threaded.pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


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


class Target(Protocol):
    """Where blocks are written; small, opened by the task that writes."""

    def write(self, region: tuple[slice, ...], block: np.ndarray) -> tuple[Any, ...]:
        """Write a block and say what was written."""


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
    function, **kwargs
        As for `per_block`.

    Returns
    -------
    dask.array.Array of object
        One `Written` per block, in the grid's order; for `execute`.
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
    return boxed(Written(function(block, index=block_id, **function_kwargs), receipt), block.ndim)


def execute_one(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in one task, on a worker where there are any, with the care of `execute`.

    Parameters
    ----------
    function : callable
        Importable on the workers; what it does may be done twice, where a worker dies.
    *arguments
        For it; small.
    """
    part = dask.delayed(_boxed_call, pure=False)(function, arguments)
    return execute(da.from_delayed(part, (1,), object))[0]


def _boxed_call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> np.ndarray:
    return boxed(function(*arguments), 1)


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
    WorkersDiedError
        If workers died under a block too often.
    ClusterError
        If the scheduler or all workers are gone for good.
    """
    client = active_client()
    if client is None:
        computed = dask.compute(_counted(parts, advance), *stores, scheduler="threads")[0]
        return list(computed.ravel())
    from distributed import KilledWorker

    try:
        with cluster_errors(client):
            return _on_cluster(client, parts, stores, advance)
    except KilledWorker as error:
        death = watch_of(client).last_death
        cause = f"the last one {death}" if death else "most likely out of memory"
        raise WorkersDiedError(
            f"the workers that computed {_block_name(error)} died {error.allowed_failures + 1} times ({cause}); "
            "use a smaller --block, fewer --workers or a higher --memory-limit"
        ) from error


def _on_cluster(client: Any, parts: da.Array, stores: Sequence[da.Array], advance: Advance) -> list[Any]:
    persisted = dask.persist(parts, *stores, retries=2)
    # One future per block; what a collection's graph holds now are its futures, in no set order.
    graphs = [dict(p.__dask_graph__()) for p in persisted]
    results = [graphs[0][key] for key in flatten(persisted[0].__dask_keys__())]
    everything = [future for graph in graphs for future in graph.values()]
    blocks = {future.key for future in results}
    try:
        for future in _completed(client, everything):
            if future.status in ("error", "cancelled"):
                future.result()
            if future.key in blocks:
                advance(1)
        return [np.asarray(value, object).ravel()[0] for value in client.gather(results)]
    finally:
        # Of no use where the scheduler is gone, and then it may not be raised over the error that says so.
        with contextlib.suppress(Exception):
            client.cancel(everything)


def _completed(client: Any, futures: Sequence[Any]) -> Iterator[Any]:
    """Give futures as they end; ClusterError if they cannot end any more."""
    ended: SimpleQueue[Any] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    for _ in futures:
        while True:
            try:
                yield ended.get(timeout=LOOK_SECONDS)
                break
            except Empty:
                check_cluster(client)


@dataclass(frozen=True)
class Workers:
    """The workers of the active cluster.

    Attributes
    ----------
    number : int
        How many there are, at least 1.
    threads : int
        Most that one of them has.
    memory : int or None
        Limit in bytes of the smallest; None if none has a limit.
    total_threads : int
        That all have together.
    """

    number: int
    threads: int
    memory: int | None
    total_threads: int = 1


def workers() -> Workers | None:
    """Look at the workers of the active cluster; None without one, or as long as it has no worker."""
    client = active_client()
    known = [] if client is None else list(client.scheduler_info(n_workers=-1)["workers"].values())
    if not known:
        return None
    limits = [w["memory_limit"] for w in known if w["memory_limit"]]
    threads = [w["nthreads"] for w in known]
    return Workers(len(known), max(threads), min(limits, default=None), sum(threads))


def active_client() -> Any:
    """Give the distributed client that computations go to; None if there is none.

    Raises
    ------
    InputError
        If it is one of coroutines, with which nothing can be waited for.
    """
    try:
        from distributed import default_client

        client = default_client()
    except (ImportError, ValueError):
        return None
    if client.asynchronous:
        raise InputError(
            "the active Dask client is asynchronous, and this waits for results; make it without asynchronous=True, or call "
            "this in a thread: await asyncio.to_thread(...)"
        )
    return client


def _block_name(error: Exception) -> str:
    """Name the block of a task that failed by its number in the grid, where its key says it."""
    key = getattr(error, "task", None)
    if isinstance(key, tuple) and len(key) > 1 and all(isinstance(n, int) for n in key[1:]):
        return f"block {key[1:]}"
    return f"task {key}"


def _counted(parts: da.Array, advance: Advance) -> da.Array:
    """Have every block of parts report itself; for schedulers in this process only."""

    def count(part: np.ndarray) -> np.ndarray:
        advance(1)
        return part

    return parts.map_blocks(count, dtype=object, meta=parts._meta, name=f"counted-{parts.name}")
