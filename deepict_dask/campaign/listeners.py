"""Who is told how a run goes: the summary file, the log, and the scheduler, whose dashboard shows it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deepict_dask.campaign.summary import Summary, TomogramState, now, read_summary
from deepict_dask.engine.execute import active_client
from deepict_dask.io.claim import turn
from deepict_dask.io.location import Location

if TYPE_CHECKING:
    from deepict_dask.campaign.dashboard.sender import Sender

LOG = "run.log"
_WRITE_SECONDS = 5.0


class SummaryFile:
    """Keeps ``summary.json`` of a run folder up to date, every few seconds and at the end.

    Parameters
    ----------
    folder : Location
        The run folder.
    is_shared : bool
        Whether other processes write it, too: then what they know of their tomograms is kept.
    """

    def __init__(self, folder: Location, is_shared: bool = False):
        self._folder = folder
        self._is_shared = is_shared
        self._earlier = read_summary(folder)
        self._written = 0.0

    def update(self, summary: Summary) -> None:
        """Write it if it is time."""
        if summary.state != "running" or summary.now - self._written >= _WRITE_SECONDS:
            self._written = summary.now
            if self._is_shared:
                with turn(self._folder, "summary", summary.command):
                    summary.together_with(read_summary(self._folder)).write(self._folder)
                return
            summary.beside(self._earlier).write(self._folder)


class Events:
    """Sends snapshots to the scheduler, whose dashboard and metrics show them; without one it does nothing.

    Parameters
    ----------
    say : callable
        Told where the page is, or why there is none.
    """

    def __init__(self, say: Callable[[str], None] = lambda sentence: None):
        # In the caller's thread, whose client it is.
        client = active_client()
        self._sender: Sender | None = None
        if client is not None and client.status == "running":
            from deepict_dask.campaign.dashboard.sender import bring_plugin

            self._sender, sentence = bring_plugin(client)
            say(sentence)

    def update(self, summary: Summary) -> None:
        """Send it if it is time."""
        if self._sender is not None:
            self._sender.update(summary)


class RunLog:
    """A log in the run folder: what was said, and a line for each tomogram that ended.

    Of use to people only; where it cannot be written the run goes on without.
    """

    def __init__(self, folder: Location):
        self._file = folder / LOG
        self._lock = threading.Lock()
        self._ended: set[str] = set()

    def write(self, sentence: str) -> None:
        """Add a line with the time."""
        stamp = datetime.fromtimestamp(now(), UTC).strftime("%Y-%m-%d %H:%M:%S")
        with self._lock, contextlib.suppress(OSError):
            self._file.append(f"{stamp} {sentence}\n")

    def update(self, summary: Summary) -> None:
        """Add what ended since the last time."""
        for number, tomogram in enumerate(summary.tomograms, start=1):
            if tomogram.is_over and tomogram.name not in self._ended:
                self._ended.add(tomogram.name)
                if tomogram.state != "stopped":
                    self.write(f"{number}/{len(summary.tomograms)} {line_of(tomogram)}")
        if summary.state != "running":
            self.write(
                f"{summary.command} {summary.state}{': ' * bool(summary.reason)}{summary.reason} "
                f"({summary.now - summary.began:.1f} s)"
            )


def line_of(tomogram: TomogramState) -> str:
    """Say in a line what became of a tomogram.

    >>> line_of(TomogramState("TS_01", "done", particles={"fas": 3}, seconds={"segment": 2.04}))
    'TS_01: done, fas 3 (segment 2.0 s)'
    """
    parts = [f"{tomogram.name}: {tomogram.state}"]
    if tomogram.reason:
        parts.append(tomogram.reason)
    parts += [f"{name} {n}" for name, n in tomogram.particles.items()]
    times = ", ".join(f"{stage} {s:.1f} s" for stage, s in tomogram.seconds.items() if s)
    return ", ".join(parts) + (f" ({times})" if times else "")
