"""Progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from deepict_dask.campaign.listeners import line_of
from deepict_dask.campaign.summary import Summary
from deepict_dask.stages.report import Reporter

QUIET_SECONDS = 10.0


class TerminalReporter(Reporter):
    """Says what happens on standard error: bars if it is a terminal, else a line now and then."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.warned: set[str] = set()
        self.place = ""
        # Of many tomograms at a time `CampaignDisplay` shows the stages.
        self.shows_stages = True

    def tomogram(self, number: int, total: int, name: str) -> None:
        """Have what follows say which of how many tomograms it is of."""
        self.place = f"{number}/{total} " if total > 1 else ""

    def say(self, sentence: str) -> None:
        """Print a line."""
        if not self.quiet:
            self.console.print(sentence, markup=False, emoji=False)

    def warn(self, sentence: str) -> None:
        """Print a warning, each once."""
        if sentence not in self.warned:
            self.warned.add(sentence)
            self.console.print("[yellow]warning:[/yellow] ", end="")
            self.console.print(sentence, markup=False, emoji=False)

    @contextmanager
    def progress(
        self, stage: str, tomogram: str, n_blocks: int, unit: str = "block"
    ) -> Iterator[Callable[[int], None]]:
        """Follow a stage: a bar, or a line when it begins to take long and one when it is done."""
        if self.quiet or not self.shows_stages:
            yield lambda n: None
            return
        if self.console.is_terminal:
            columns = (
                # Names are shown as they are: [red] and :bug: are no markup.
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(f"{unit}s"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self.console) as bar:
                task = bar.add_task(f"{self.place}{tomogram}: {stage}", total=n_blocks)
                yield lambda n: bar.advance(task, n)
            return
        began = last = time.monotonic()
        done = 0

        def advance(n: int) -> None:
            nonlocal last, done
            done += n
            if time.monotonic() - last > QUIET_SECONDS:
                last = time.monotonic()
                self.say(f"{self.place}{tomogram}: {stage} {done} of {n_blocks} {unit}s")

        yield advance
        # A training may end before its last epoch.
        part = f" {done} of" if 0 < done < n_blocks else ""
        units = f"{n_blocks} {unit}{'s' * (n_blocks != 1)}"
        self.say(f"{self.place}{tomogram}: {stage} done,{part} {units} in {time.monotonic() - began:.1f} s")


class CampaignDisplay:
    """Shows a run while it goes on, on standard error.

    A terminal gets a line over all tomograms (how many, blocks per second, time left) and one for each in flight; where
    nobody looks at a screen each tomogram is a line when it has ended, and how far the run is now and then.
    """

    def __init__(self, reporter: TerminalReporter):
        self._reporter = reporter
        reporter.shows_stages = False
        self._progress: Progress | None = None
        self._rows: dict[str, TaskID] = {}
        self._ended: set[str] = set()
        self._last = time.monotonic()
        self._stages: dict[str, str] = {}

    def update(self, summary: Summary) -> None:
        """Show a snapshot."""
        if self._reporter.quiet:
            return
        if self._reporter.console.is_terminal:
            self._draw(summary)
        else:
            self._write(summary)

    def _draw(self, summary: Summary) -> None:
        if self._progress is None:
            columns = (
                # Names are shown as they are: [red] and :bug: are no markup.
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[note]}", markup=False),
            )
            self._progress = Progress(*columns, console=self._reporter.console, transient=True)
            self._progress.start()
            self._rows[""] = self._progress.add_task("", total=1.0, note="")
        bars = self._progress
        bars.update(
            self._rows[""], description=_overall(summary), completed=summary.share_done, note=_left(summary)
        )
        running = {t.name: t for t in summary.tomograms if t.state == "running"}
        for name in self._rows.keys() - running.keys() - {""}:
            bars.remove_task(self._rows.pop(name))
        # More lines than a screen has would scroll.
        for name, tomogram in list(running.items())[: max(1, self._reporter.console.height - 6)]:
            if name not in self._rows:
                self._rows[name] = bars.add_task("", total=1, note="")
            bars.update(
                self._rows[name],
                description=f"  {name}: {tomogram.stage or 'begins'}",
                total=max(1, tomogram.n_blocks),
                completed=tomogram.n_blocks_done,
                note=f"{tomogram.n_blocks_done} of {tomogram.n_blocks} blocks" if tomogram.n_blocks else "",
            )
        if summary.state != "running":
            bars.stop()
            self._progress = None

    def _write(self, summary: Summary) -> None:
        total = len(summary.tomograms)
        for number, tomogram in enumerate(summary.tomograms, start=1):
            # What failed is said as an error.
            if tomogram.is_over and tomogram.name not in self._ended:
                self._ended.add(tomogram.name)
                if tomogram.state not in ("failed", "stopped"):
                    self._reporter.say(f"{number}/{total} {line_of(tomogram)}")
                    self._last = time.monotonic()
        if summary.state == "running" and time.monotonic() - self._last > QUIET_SECONDS:
            self._last = time.monotonic()
            at_work = ", ".join(
                f"{t.name} {t.stage} {t.n_blocks_done} of {t.n_blocks} blocks"
                for t in summary.tomograms
                if t.state == "running" and t.n_blocks
            )
            self._reporter.say(
                f"{_overall(summary)}; {at_work or 'begins'}{'; ' * bool(left := _left(summary))}{left}"
            )


def _overall(summary: Summary) -> str:
    over = sum(t.is_over for t in summary.tomograms)
    failed = summary.count("failed")
    return f"{over}/{len(summary.tomograms)} tomograms" + (f", {failed} failed" if failed else "")


def _left(summary: Summary) -> str:
    left = summary.seconds_left
    blocks = sum(t.n_computed for t in summary.tomograms) / max(summary.now - summary.began, 1e-9)
    rate = f"{blocks:.3g} blocks/s" if summary.now - summary.began > 2 else ""
    if left is None:
        return rate
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{rate}, {f'{hours} h {minutes:02d} min' if hours else f'{minutes} min {seconds:02d} s'} left"


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; numbers to the right, never folded where nobody looks at a screen."""
    console = Console(highlight=False)
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    needed = sum(max(map(cell_len, column)) for column in zip(*cells, strict=True)) + 3 * len(header) + 1
    if not console.is_terminal or needed > console.width:
        # Lines that are too long are broken by the terminal where they end; words and numbers never.
        console = Console(highlight=False, width=max(needed, cell_len(title) + 1), soft_wrap=True)
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for i, name in enumerate(header):
        table.add_column(Text(name), justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
