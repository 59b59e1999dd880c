"""What a stage says while it works; the command line decides how it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Reporter:
    """Says nothing; the base of those that do."""

    def say(self, sentence: str) -> None:
        """Tell something that is worth a line."""

    def warn(self, sentence: str) -> None:
        """Tell something that the user may want to change."""

    @contextmanager
    def progress(
        self, stage: str, tomogram: str, n_blocks: int, unit: str = "block"
    ) -> Iterator[Callable[[int], None]]:
        """Follow the blocks (or what the unit says) of a stage; yields a function to call with those just done."""
        yield lambda n: None

    def tomogram(self, number: int, total: int, name: str) -> None:
        """Tell which tomogram the stages that follow are of."""
