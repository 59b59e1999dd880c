"""Progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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

from deepict_dask.stages.report import Reporter

QUIET_SECONDS = 10.0


class TerminalReporter(Reporter):
    """Says what happens on standard error: bars if it is a terminal, else a line now and then."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.warned: set[str] = set()

    def say(self, sentence: str) -> None:
        """Print a line."""
        if not self.quiet:
            self.console.print(sentence, markup=False)

    def warn(self, sentence: str) -> None:
        """Print a warning, each once."""
        if sentence not in self.warned:
            self.warned.add(sentence)
            self.console.print("[yellow]warning:[/yellow] ", end="")
            self.console.print(sentence, markup=False)

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
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(f"{unit}s"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self.console) as bar:
                task = bar.add_task(f"{tomogram}: {stage}", total=n_blocks)
                yield lambda n: bar.advance(task, n)
            return
        began = last = time.monotonic()
        done = 0

        def advance(n: int) -> None:
            nonlocal last, done
            done += n
            if time.monotonic() - last > QUIET_SECONDS:
                last = time.monotonic()
                self.say(f"{tomogram}: {stage} {done} of {n_blocks} {unit}s")

        yield advance
        # A training may end before its last epoch.
        part = f" {done} of" if 0 < done < n_blocks else ""
        units = f"{n_blocks} {unit}{'s' * (n_blocks != 1)}"
        self.say(f"{tomogram}: {stage} done,{part} {units} in {time.monotonic() - began:.1f} s")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; numbers to the right, never folded where nobody looks at a screen."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(120, sum(map(len, header)) + 40))
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
