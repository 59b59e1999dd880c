"""Have the workers get ready while something else is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributed import WorkerPlugin

from deepict_dask.engine.execute import active_client


class Prewarm(WorkerPlugin):
    """Calls a function once on each worker, beside its work; also on workers that come later.

    Nothing depends on it: a task that needs what the function loads loads it itself.
    """

    idempotent = True

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]):
        self.name = f"prewarm-{function.__qualname__}-{hash(arguments)}"
        self.function, self.arguments = function, arguments

    def setup(self, worker: Any) -> None:
        """Start the function in a thread of its own."""
        future = worker.io_loop.run_in_executor(None, self.function, *self.arguments)
        # Its error, if any, comes again where the work is done; here nobody waits for it.
        future.add_done_callback(lambda f: None if f.cancelled() else f.exception())


def prewarm(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function on all workers of the active client, without waiting; without a client do nothing.

    Parameters
    ----------
    function : callable
        Importable on the workers; what it returns is dropped, what it keeps is the gain.
    *arguments
        Hashable and small.
    """
    client = active_client()
    if client is not None:
        client.register_plugin(Prewarm(function, arguments))
