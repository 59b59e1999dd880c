"""Compute one value per block, while saying how far it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import dask
import dask.array as da
import numpy as np

from deepict_dask.engine.blocks import Blocks
from deepict_dask.engine.gather import boxed
from deepict_dask.engine.watch import LOOK_SECONDS, check_cluster, check_verdict, cluster_errors, watch_of
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
        One element per block, in the grid's order; for `execute`.
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


def execute_one(function: Callable[..., Any], *arguments: Any, name: str = "", priority: int = 0) -> Any:
    """Call a function in one task, on a worker where there are any, with the care of `execute`.

    Parameters
    ----------
    function : callable
        Importable on the workers; what it does may be done twice, where a worker dies.
    *arguments
        For it; small.
    name, priority
        As for `execute`.
    """
    part = dask.delayed(_boxed_call, pure=False)(function, arguments)
    return execute(
        da.from_delayed(part, (1,), object), name=name or f"{function.__name__}", priority=priority
    )[0]


def execute_lazy(value: Any, *, name: str = "", priority: int = 0) -> Any:
    """Compute a ``Delayed`` object with the care of `execute`."""
    part = dask.delayed(boxed)(value, 1)
    return execute(da.from_delayed(part, (1,), object), name=name, priority=priority)[0]


def _boxed_call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> np.ndarray:
    return boxed(function(*arguments), 1)


def execute(
    parts: da.Array,
    advance: Advance = lambda n: None,
    *,
    blocks: Sequence[tuple[int, ...]] | None = None,
    name: str = "",
    priority: int = 0,
) -> list[Any]:
    """Compute the parts of all blocks.

    Runs on the active distributed client if there is one, else on threads. When a block fails the
    others that wait are given up, and the block's own error is raised. Several threads may call it at once.

    Parameters
    ----------
    parts : dask.array.Array of object
        From `per_block`.
    advance : callable
        Called with how many blocks' parts have just come.
    blocks : sequence of tuple of int, optional
        Numbers of the blocks to compute; nothing that only others need is computed.
    name : str
        What the tasks are called, as in ``"segment-TS_014"``; Dask's dashboard shows it.
    priority : int
        Tasks with higher numbers are done first.

    Returns
    -------
    list
        The parts, in the order of ``blocks``, or in C order of all.

    Raises
    ------
    WorkersDiedError
        If workers died under a block too often.
    ClusterError
        If the scheduler or all workers are gone for good.
    """
    some = Blocks.of(parts, blocks, name or "block")
    if not some.keys:
        return []
    client = active_client()
    if client is None:
        return _on_threads(some, advance)
    from distributed import KilledWorker

    try:
        with cluster_errors(client):
            return _on_cluster(client, some, advance, priority)
    except KilledWorker as error:
        death = watch_of(client).last_death
        cause = f"the last one {death}" if death else "most likely out of memory"
        raise WorkersDiedError(
            f"the workers that computed {_block_name(error)} died {error.allowed_failures + 1} times ({cause}); "
            "use a smaller --block, fewer --workers or a higher --memory-limit"
        ) from error


def _on_threads(some: Blocks, advance: Advance) -> list[Any]:
    def count(part: np.ndarray) -> np.ndarray:
        advance(1)
        return part

    counted = some.array.map_blocks(
        count, dtype=object, meta=some.array._meta, name=f"counted-{some.array.name}"
    )
    chosen = Blocks(counted, [(counted.name, *key[1:]) for key in some.keys])
    (computed,) = dask.compute(chosen, scheduler="threads")
    return [part.item() for part in computed]


def _on_cluster(client: Any, some: Blocks, advance: Advance, priority: int) -> list[Any]:
    futures = client.persist([some], retries=2, priority=priority)[0]
    waiting = {future.key: future for future in futures}
    parts: dict[Any, Any] = {}
    try:
        for ended in _ended(client, futures):
            for future in ended:
                if future.status in ("error", "cancelled"):
                    future.result()
            # Each part is fetched as soon as it is there: a worker that dies takes none with it that was finished.
            for future, part in zip(ended, client.gather(ended), strict=True):
                parts[future.key] = part.item()
                waiting.pop(future.key).release()
            watch_of(client).note_progress()
            advance(len(ended))
        return [parts[future.key] for future in futures]
    finally:
        # Of no use where the scheduler is gone, and then it may not be raised over the error that says so. The names
        # of the tasks are of this call alone, so that nobody else waits for them.
        with contextlib.suppress(Exception):
            client.cancel(list(waiting.values()))


def _ended(client: Any, futures: Sequence[Any]) -> Iterator[list[Any]]:
    """Give futures as they end, those that did meanwhile at once; ClusterError if they cannot end any more."""
    ended: SimpleQueue[Any] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    left = len(futures)
    while left:
        check_verdict(client)
        try:
            some = [ended.get(timeout=LOOK_SECONDS)]
        except Empty:
            check_cluster(client)
            continue
        while not ended.empty():
            some.append(ended.get())
        left -= len(some)
        yield some


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
