"""The ledger: what happens to each tomogram while it happens, for all who look at the run.

Stages report to it from as many threads as there are tomograms in flight. Listeners (terminal, log, dashboard,
``summary.json``) are given snapshots, from one thread, so that none of them has to care for the others.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Protocol

from deepict_dask.campaign.summary import Plain, State, Summary, TomogramState, now
from deepict_dask.campaign.versions import versions_here
from deepict_dask.errors import WorkError
from deepict_dask.stages.report import Reporter

LOOK_SECONDS, MOST_FAILURES = 0.25, 5


class Listener(Protocol):
    """Somebody who is told how the run goes, in one thread at a time."""

    def update(self, summary: Summary) -> None:
        """Take a snapshot; called a few times a second, and once at the end."""


class Ledger(Reporter):
    """Keeps the states of all tomograms of a command.

    Parameters
    ----------
    folder, command : str
        Of the run.
    tomograms : sequence of TomogramState
        All that there will be.
    reporter : Reporter
        Sentences and stages are passed on to it, from several threads.
    log : callable
        Called with each sentence, too.
    """

    def __init__(
        self,
        folder: str,
        command: str,
        tomograms: Sequence[TomogramState],
        reporter: Reporter,
        log: Callable[[str], None] = lambda sentence: None,
    ):
        self._lock = threading.Lock()
        self._speaking = threading.Lock()
        self._stop = threading.Event()
        self._states = {t.name: t for t in tomograms}
        self._summary = Summary(folder, command, (), began=now(), versions=versions_here())
        self._warnings: dict[str, None] = {}
        self._reporter = reporter
        self._log = log

    def snapshot(self) -> Summary:
        """Give what is known now."""
        with self._lock:
            return replace(
                self._summary,
                tomograms=tuple(self._states.values()),
                warnings=tuple(self._warnings),
                now=now(),
            )

    def say(self, sentence: str) -> None:
        """Pass a sentence on."""
        # A lock of its own: a reporter that has to wait must not keep the states from changing.
        with self._speaking:
            self._reporter.say(sentence)
        self._log(sentence)

    def warn(self, sentence: str) -> None:
        """Pass a warning on, and keep it."""
        with self._lock:
            self._warnings[sentence] = None
        with self._speaking:
            self._reporter.warn(sentence)
        self._log(f"warning: {sentence}")

    @contextmanager
    def progress(
        self, stage: str, tomogram: str, n_blocks: int, unit: str = "block"
    ) -> Iterator[Callable[[int], None]]:
        """Follow the blocks of a stage of a tomogram."""
        self.change(tomogram, stage=stage, n_blocks=n_blocks, n_blocks_done=0)

        def advance(n: int) -> None:
            self.check_stop()
            with self._lock:
                if (state := self._states.get(tomogram)) is not None:
                    self._states[tomogram] = replace(
                        state, n_blocks_done=state.n_blocks_done + n, n_computed=state.n_computed + n
                    )
            inner(n)

        with self._reporter.progress(stage, tomogram, n_blocks, unit) as inner:
            yield advance

    def stop(self) -> None:
        """Have all that is at work end at its next block."""
        self._stop.set()

    def check_stop(self) -> None:
        """Raise WorkError if the run was stopped."""
        if self._stop.is_set():
            raise WorkError("the run was stopped; the same command goes on from there")

    def change(self, tomogram: str, **changes: Any) -> None:
        """Set some of what is known of a tomogram; of one that is not of this run nothing is kept."""
        with self._lock:
            if (state := self._states.get(tomogram)) is not None:
                self._states[tomogram] = replace(state, **changes)

    def begin(self, tomogram: str) -> None:
        """Note that a tomogram is at work."""
        self.change(tomogram, state="running", began=now())

    def end(
        self,
        tomogram: str,
        state: State,
        *,
        reason: str = "",
        seconds: Mapping[str, float] | None = None,
        particles: Mapping[str, int] | None = None,
        contrast: float | None = None,
    ) -> None:
        """Note what became of a tomogram."""
        self.change(
            tomogram,
            state=state,
            stage="",
            n_blocks=0,
            n_blocks_done=0,
            reason=reason,
            seconds=dict(seconds or {}),
            particles=dict(particles or {}),
            contrast=contrast,
            ended=now(),
        )

    def close(self, state: Literal["done", "failed", "stopped"], reason: str = "") -> None:
        """Note how the command ended; what was not its turn, or was at work, is stopped."""
        with self._lock:
            self._summary = replace(self._summary, state=state, reason=reason)
            for name, t in self._states.items():
                if not t.is_over:
                    self._states[name] = replace(t, state="stopped", stage="", n_blocks=0, n_blocks_done=0)


def as_metadata(cells: Mapping[str, str]) -> dict[str, Plain]:
    """Make numbers of those cells of a table that are some."""
    values: dict[str, Plain] = {}
    for name, cell in cells.items():
        values[name] = cell
        with contextlib.suppress(ValueError):
            number = float(cell) if not cell.lstrip("-").isdigit() else int(cell)
            # JSON has no word for what is not finite.
            values[name] = number if math.isfinite(number) else cell
    return values


@contextmanager
def listening(ledger: Ledger, listeners: Sequence[Listener]) -> Iterator[None]:
    """Give the listeners snapshots while the block lasts, and a last one after it.

    A listener that fails again and again (a full disk, a closed terminal) costs nobody the work: it is left out, and that
    is said once.
    """
    if not listeners:
        yield
        return
    stop = threading.Event()
    failures = [0] * len(listeners)

    def update_all(*, is_last: bool = False) -> None:
        summary = ledger.snapshot()
        for i, listener in enumerate(listeners):
            # What fails once may pass, such as a scheduler that is busy; and how it ended everybody is to know.
            if failures[i] < MOST_FAILURES or is_last:
                try:
                    listener.update(summary)
                    failures[i] = 0
                except Exception as error:
                    failures[i] += 1
                    if failures[i] == MOST_FAILURES:
                        ledger.warn(
                            f"{type(listener).__name__} is left out from here on: {' '.join(str(error).split())}"
                        )

    def keep_updating() -> None:
        while not stop.wait(LOOK_SECONDS):
            update_all()

    thread = threading.Thread(target=keep_updating, name="listeners", daemon=True)
    update_all()
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        update_all(is_last=True)
