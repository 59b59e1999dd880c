"""What a scheduler keeps of the runs that it works for: the last snapshot of each, and how fast it went lately."""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from deepict_dask.campaign.summary import Summary

MOST_RUNS = 8
_MOST_RATES = 600
_RATE_SECONDS = 20.0


@dataclass(frozen=True)
class Picture:
    """The latest finished tomogram: its name, and its slices with picks in WebP."""

    name: str
    content: bytes


@dataclass
class SeenRun:
    """One run. Snapshots come often and are looked at seldom, so they are unpacked where somebody looks.

    Attributes
    ----------
    folder : str
        The run folder, as the client names it.
    packed : bytes
        The last snapshot.
    version : int
        How many there were.
    blocks : deque of (float, int)
        Of the last snapshots: seconds since 1970, and blocks computed until then.
    picture : Picture or None
        Of the tomogram that ended last.
    """

    folder: str
    packed: bytes = b""
    version: int = 0
    blocks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_MOST_RATES))
    picture: Picture | None = None
    _unpacked: tuple[int, Summary] | None = None

    @property
    def summary(self) -> Summary:
        """The last snapshot."""
        if self._unpacked is None or self._unpacked[0] != self.version:
            self._unpacked = (self.version, unpack(self.packed))
        return self._unpacked[1]

    def take(self, packed: bytes, now: float, n_blocks: int, picture: Picture | None) -> None:
        """Keep a snapshot instead of the one before."""
        if self.blocks and (n_blocks < self.blocks[-1][1] or now < self.blocks[-1][0]):
            self.blocks.clear()  # another command in the same folder
        self.blocks.append((now, n_blocks))
        self.packed, self.version = packed, self.version + 1
        self.picture = picture or self.picture

    def rates(self) -> tuple[list[float], list[float]]:
        """Give times in seconds since 1970 and blocks per second, each over about `_RATE_SECONDS` before."""
        times, rates = [], []
        points = list(self.blocks)
        first = 0
        for i, (now, n) in enumerate(points):
            while first < i - 1 and now - points[first][0] > _RATE_SECONDS:
                first += 1
            then, before = points[first]
            if now > then:
                times.append(now)
                rates.append((n - before) / (now - then))
        return times, rates


def keep(runs: dict[str, SeenRun], folder: str) -> SeenRun:
    """Give the run of a folder, newest last; of too many the one that was heard of longest ago is forgotten."""
    run = runs.pop(folder, None) or SeenRun(folder)
    runs[folder] = run
    while len(runs) > MOST_RUNS:
        del runs[next(iter(runs))]
    return run


def pack(summary: Summary) -> bytes:
    """Make a snapshot small enough to be sent every second."""
    return zlib.compress(json.dumps(summary.to_json()).encode(), 1)


def unpack(packed: bytes) -> Summary:
    """Read what `pack` gave."""
    content: Mapping = json.loads(zlib.decompress(packed))
    return Summary.from_json(content)
