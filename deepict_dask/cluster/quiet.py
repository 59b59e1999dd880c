"""Dask's own messages kept off the terminal: what matters of them is said in a sentence."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

_LOGGERS = ("distributed", "tornado", "bokeh", "asyncio")


class ForgivingFile(io.FileIO):
    """A descriptor whose failures to write are remembered and not raised."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or drop what cannot be written."""
        try:
            return super().write(data) or 0
        except OSError as error:
            self.failure = error
            return memoryview(data).nbytes


def forgiving_text(descriptor: int, encoding: str, lines: bool = True) -> io.TextIOWrapper:
    """Make a text stream of a descriptor that never raises; what it cannot encode is escaped."""
    raw = io.BufferedWriter(ForgivingFile(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", line_buffering=lines)


class _Deaths(logging.Handler):
    """Hears from the nannies how workers died."""

    def __init__(self, died: Callable[[str], None]):
        super().__init__(logging.INFO)
        self.died = died

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on what a record says of a death."""
        words = record.getMessage()
        if words.startswith("Worker process ") and " was killed by " in words:
            cause = words.split(" was ", 1)[1]
            hint = ", by the system's memory killer if nobody else did" if cause.endswith("signal 9") else ""
            self.died(f"was {cause}{hint}")
        elif words.startswith("Worker process ") and " exited with status " in words:
            self.died(words.split("Worker process ", 1)[1].split(" ", 1)[1])
        elif "memory budget" in words:
            self.died("exceeded its memory limit")


@contextlib.contextmanager
def quiet(died: Callable[[str], None] = lambda how: None) -> Iterator[Callable[[], str]]:
    """Keep Dask's messages, and what worker processes print on standard error, off the terminal.

    Parameters
    ----------
    died : callable
        Called with how a worker of this process's nannies died, such as "was killed by signal 9".

    Yields
    ------
    callable
        Gives the last line that worker processes printed on standard error, or "".
    """
    deaths = _Deaths(died)
    nannies = logging.getLogger("distributed.nanny")
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    # Records of the nannies are made, for `died`, and then go nowhere.
    before = nannies.level, nannies.propagate
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    nannies.setLevel(logging.INFO)
    nannies.propagate = False
    nannies.addHandler(deaths)
    try:
        with _children_print_to_file() as last_line:
            yield last_line
    finally:
        nannies.removeHandler(deaths)
        nannies.level, nannies.propagate = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _children_print_to_file() -> Iterator[Callable[[], str]]:
    """Have descriptor 2, which children inherit, be a file, while this process's own messages go where they went."""
    try:
        terminal = os.dup(2)
    except OSError:
        yield lambda: ""
        return
    stderr = sys.stderr
    # In memory, where there is such a thing: a disk may be full.
    with (
        open(os.memfd_create("stderr"), "w+b")
        if hasattr(os, "memfd_create")
        else tempfile.TemporaryFile() as file
    ):
        if stderr is not None and getattr(stderr, "name", None) in (2, "<stderr>"):
            stderr.flush()
            sys.stderr = forgiving_text(terminal, stderr.encoding)
        os.dup2(file.fileno(), 2)

        def last_line() -> str:
            size = os.fstat(file.fileno()).st_size
            text = os.pread(file.fileno(), 4000, max(0, size - 4000)).decode(errors="replace")
            return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")

        try:
            yield last_line
        finally:
            os.dup2(terminal, 2)
            sys.stderr = stderr
            os.close(terminal)
