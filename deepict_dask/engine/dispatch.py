"""Long pieces of work, one per worker at a time, in an order that may depend on what others gave."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from deepict_dask.engine.execute import active_client
from deepict_dask.engine.watch import LOOK_SECONDS, check_cluster, cluster_errors, watch_of
from deepict_dask.errors import WorkError

Work = TypeVar("Work")
Result = TypeVar("Result")

# A piece of work that took its worker with it so often is given up.
ATTEMPTS = 3


@dataclass(frozen=True)
class Post:
    """Where a piece of work is done, as it sees it.

    Attributes
    ----------
    threads : int or None
        That it may use; None for all there are.
    send : callable
        Send a small message to the one who dispatched the work.
    is_wanted : callable
        False as soon as nobody waits for the result any more.
    """

    threads: int | None = None
    send: Callable[[Any], None] = lambda message: None
    is_wanted: Callable[[], bool] = lambda: True


def dispatch(
    function: Callable[[Work, Post], Result],
    take: Callable[[], Work | None],
    done: Callable[[Work, Result | None, BaseException | None], None],
    *,
    on_message: Callable[[Any], None] = lambda message: None,
    at_once: int | None = None,
) -> None:
    """Have work done until there is no more of it.

    Parameters
    ----------
    function : callable
        ``function(work, post)``; a function of a module.
    take : callable
        Gives the next piece, small and picklable; None if there is none now. It is asked again after each piece that
        is done, so what it gives may depend on results; it has ended when it gives None while nothing is under way.
    done : callable
        ``done(work, result, None)``, or ``done(work, None, error)`` where it failed.
    on_message : callable
        Called with each message of the work under way. All three are called in the calling thread.
    at_once : int, optional
        Most pieces under way at a time; as many as there are workers unless given.

    Raises
    ------
    ClusterError
        If the scheduler or all workers are gone for good; a piece's own error goes to ``done``.

    Notes
    -----
    Runs on the active distributed client, else here, one after the other. Each worker has one piece at a time, since a
    piece uses all its threads (and its GPU): Dask's own choice would put several on a worker with several threads.
    Workers may come and go; what a lost worker had is given to another, up to three times.
    """
    client = active_client()
    if client is not None:
        with cluster_errors(client):
            _Dispatcher(client, function, take, done, on_message, at_once).run()
        return
    while (work := take()) is not None:
        result, error = None, None
        try:
            result = function(work, Post(send=on_message))
        except Exception as failure:
            error = failure
        done(work, result, error)


@dataclass
class _UnderWay(Generic[Work]):
    work: Work
    future: Any
    address: str
    attempt: int


@dataclass
class _Dispatcher(Generic[Work, Result]):
    client: Any
    function: Callable[[Work, Post], Result]
    take: Callable[[], Work | None]
    done: Callable[[Work, Result | None, BaseException | None], None]
    on_message: Callable[[Any], None]
    at_once: int | None
    under_way: dict[str, _UnderWay[Work]] = field(default_factory=dict)
    again: deque[tuple[Work, int]] = field(default_factory=deque)
    news: SimpleQueue[tuple[str, Any]] = field(default_factory=SimpleQueue)
    topic: str = field(default_factory=lambda: f"deepict-dask-{uuid.uuid4().hex}")

    def run(self) -> None:
        self.client.subscribe_topic(self.topic, lambda event: self.news.put(("message", event[1])))
        try:
            workers: dict[str, Any] = {}
            looked = -LOOK_SECONDS
            while True:
                if time.monotonic() - looked >= LOOK_SECONDS:
                    check_cluster(self.client)
                    workers = self.client.scheduler_info(n_workers=-1)["workers"]
                    looked = time.monotonic()
                    self._miss(workers)
                if workers and not self._submit(workers):
                    return
                try:
                    kind, content = self.news.get(timeout=LOOK_SECONDS)
                except Empty:
                    continue
                if kind == "message":
                    self.on_message(content)
                else:
                    self._finish(content)
        finally:
            # Of no use where the scheduler is gone, and then it may not be raised over the error that says so.
            with contextlib.suppress(Exception):
                self.client.cancel([u.future for u in self.under_way.values()])
                self.client.unsubscribe_topic(self.topic)

    def _submit(self, workers: dict[str, Any]) -> bool:
        """Give work to workers that have none; say whether anything is under way."""
        busy = {u.address for u in self.under_way.values()}
        for address in workers:
            if address in busy or (self.at_once and len(self.under_way) >= self.at_once):
                continue
            work, attempt = self.again.popleft() if self.again else (self.take(), 1)
            if work is None:
                break
            key = f"train-{uuid.uuid4().hex}"
            future = self.client.submit(
                _enter, self.function, work, self.topic, key=key, pure=False, workers=[address]
            )
            self.under_way[key] = _UnderWay(work, future, address, attempt)
            future.add_done_callback(lambda f: self.news.put(("end", f.key)))
        return bool(self.under_way)

    def _miss(self, workers: dict[str, Any]) -> None:
        """Take back the work of workers that are gone."""
        for key, lost in list(self.under_way.items()):
            if lost.address not in workers and not lost.future.done():
                self._take_back(key)

    def _take_back(self, key: str) -> None:
        lost = self.under_way.pop(key)
        self.client.cancel([lost.future])
        if lost.attempt < ATTEMPTS:
            self.again.append((lost.work, lost.attempt + 1))
            return
        death = watch_of(self.client).last_death
        cause = f"the last one {death}" if death else "most likely out of memory"
        error = WorkError(
            f"the workers that had it died {ATTEMPTS} times ({cause}); use fewer --workers, or smaller patches or "
            "batches"
        )
        self.done(lost.work, None, error)

    def _finish(self, key: str) -> None:
        if key not in self.under_way:
            return
        ended = self.under_way[key]
        if ended.future.status == "error":
            del self.under_way[key]
            self.done(ended.work, None, ended.future.exception())
            return
        if ended.future.status == "finished":
            try:
                result = ended.future.result(timeout=60)
            except TimeoutError:
                # Lost with its worker before it could be fetched.
                self._take_back(key)
                return
            del self.under_way[key]
            self.done(ended.work, result, None)
            return
        self._take_back(key)


def _enter(function: Callable[[Work, Post], Result], work: Work, topic: str) -> Result:
    """Do a piece of work on a worker."""
    import dask
    from distributed import get_worker, secede

    worker = get_worker()
    key = worker.get_current_task()
    threads = worker.state.nthreads
    post = Post(threads, partial(worker.log_event, topic), partial(_is_wanted, worker, key))
    if active_client() is not None:
        # A worker within the client's own process: blocks go to the cluster, and need this thread's place.
        secede()
        return function(work, post)
    with dask.config.set(scheduler="threads", num_workers=threads):
        return function(work, post)


def _is_wanted(worker: Any, key: str) -> bool:
    state = worker.state.tasks.get(key)
    return state is not None and state.state in ("executing", "long-running")
