"""Have the workers get ready while something else is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dask.base import tokenize
from distributed import WorkerPlugin

from deepict_dask.engine.execute import active_client


class Prewarm(WorkerPlugin):
    """Calls a function once on each worker, beside its work; also on workers that come later.

    Nothing depends on it: a task that needs what the function loads loads it itself.
    """

    idempotent = True

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]):
        self.name = f"prewarm-{tokenize(function, arguments)}"
        self.function, self.arguments = function, arguments

    def setup(self, worker: Any) -> None:
        """Start the function in a thread of its own."""
        future = worker.io_loop.run_in_executor(None, self.function, *self.arguments)
        # Its error, if any, comes again where the work is done; here nobody waits for it.
        future.add_done_callback(lambda f: None if f.cancelled() else f.exception())


@contextmanager
def prewarmed(function: Callable[..., Any], *arguments: Any) -> Iterator[None]:
    """Have all workers of the active client call a function, without waiting; without a client do nothing.

    Workers that join while the context lasts call it too.

    Parameters
    ----------
    function : callable
        Importable on the workers; what it returns is dropped, what it keeps is the gain.
    *arguments
        Small.
    """
    client = active_client()
    if client is None:
        yield
        return
    plugin = Prewarm(function, arguments)
    # Both ask every worker, and fail where one goes away meanwhile; nothing depends on them.
    with suppress(Exception):
        client.register_plugin(plugin)
    try:
        yield
    finally:
        # A scheduler that goes on must not call it for workers of other people's work.
        with suppress(Exception):
            client.unregister_worker_plugin(plugin.name)
