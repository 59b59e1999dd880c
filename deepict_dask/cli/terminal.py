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
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from deepict_dask.stages.report import Reporter

QUIET_SECONDS = 10.0


class TerminalReporter(Reporter):
    """Says what happens on standard error: bars if it is a terminal, else a line now and then."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.warned: set[str] = set()
        self.place = ""

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
        if self.quiet:
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
