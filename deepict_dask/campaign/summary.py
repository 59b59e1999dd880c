"""What is known of every tomogram of a run folder, for people and for programs: ``summary.json``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from deepict_dask import __version__
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location

FILE = "summary.json"
State = Literal["waiting", "running", "done", "kept", "failed", "elsewhere", "stopped"]
STATES: tuple[State, ...] = ("waiting", "running", "done", "kept", "failed", "elsewhere", "stopped")
"""``kept``: everything was there already. ``elsewhere``: another process of a shared run has it now. ``stopped``: the run
ended before it was its turn, or while it was at work; the same command goes on."""

Plain = str | float | int | bool | None


@dataclass(frozen=True)
class TomogramState:
    """Where one tomogram stands.

    Attributes
    ----------
    name : str
        Of the tomogram.
    state : str
        One of `STATES`.
    stage : str
        What is at work; empty where nothing is.
    n_blocks, n_blocks_done : int
        Of that stage.
    n_voxels : int
        Of the tomogram.
    voxel_size : (float, float, float) or None
        (z, y, x) in A.
    shape : (int, int, int) or None
        (z, y, x) voxels.
    seconds : mapping of str to float
        By stage, of the command that made it.
    n_computed : int
        Blocks that were computed by this command, of all stages.
    particles : mapping of str to int
        How many of each class.
    contrast : float or None
        Standard deviation of its voxels over their range: what is far from that of the others is worth a look.
    reason : str
        Why it failed.
    began, ended : float or None
        Seconds since 1970 (UTC).
    metadata : mapping
        What the table of tomograms says of it besides settings.
    """

    # For what is read back.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False)

    name: str
    state: State = "waiting"
    stage: str = ""
    n_blocks: int = 0
    n_blocks_done: int = 0
    n_voxels: int = 0
    voxel_size: tuple[float, float, float] | None = None
    shape: tuple[int, int, int] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    n_computed: int = 0
    particles: Mapping[str, int] = field(default_factory=dict)
    contrast: float | None = None
    reason: str = ""
    began: float | None = None
    ended: float | None = None
    metadata: Mapping[str, Plain] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it in this command."""
        return self.state not in ("waiting", "running", "elsewhere")


@dataclass(frozen=True)
class Summary:
    """Where a run stands.

    Attributes
    ----------
    folder : str
        The run folder.
    command : str
        What runs.
    tomograms : tuple of TomogramState
        In the order in which they are taken.
    state : {"running", "done", "failed", "stopped"}
        ``failed``: it ended, and some tomograms failed. ``stopped``: it ended before all had their turn.
    reason : str
        Why it stopped.
    began, now : float
        Seconds since 1970 (UTC): when the command began, and when this was written.
    warnings : tuple of str
        What was warned of.
    version : str
        Of the program.
    versions : mapping of str to str
        Of Python and the packages that it stands on, where the command ran.
    """

    # For what is read back.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False)

    folder: str
    command: str
    tomograms: tuple[TomogramState, ...]
    state: Literal["running", "done", "failed", "stopped"] = "running"
    reason: str = ""
    began: float = 0.0
    now: float = 0.0
    warnings: tuple[str, ...] = ()
    version: str = __version__
    versions: Mapping[str, str] = field(default_factory=dict)

    def count(self, *states: State) -> int:
        """Count the tomograms in some states."""
        return sum(t.state in states for t in self.tomograms)

    @property
    def particles(self) -> dict[str, int]:
        """Particles found so far, by class."""
        total: dict[str, int] = {}
        for tomogram in self.tomograms:
            for name, n in tomogram.particles.items():
                total[name] = total.get(name, 0) + n
        return total

    @property
    def metadata(self) -> dict[str, dict[str, Plain]]:
        """What tables of tomograms say besides settings, by tomogram."""
        return {t.name: dict(t.metadata) for t in self.tomograms if t.metadata}

    @property
    def share_done(self) -> float:
        """How much of the work is done, by voxels, between 0 and 1; of a tomogram at work the blocks of its stage count."""
        weights = [max(1, t.n_voxels) for t in self.tomograms]
        done: float = sum(w for w, t in zip(weights, self.tomograms, strict=True) if t.is_over)
        done += sum(
            w * _WEIGHTS.get(t.stage, (0.0, 0.0))[0]
            + w * _WEIGHTS.get(t.stage, (0.0, 0.0))[1] * t.n_blocks_done / max(1, t.n_blocks)
            for w, t in zip(weights, self.tomograms, strict=True)
            if t.state == "running"
        )
        return done / sum(weights) if weights else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end if it goes on as it did; None before that can be said."""
        computed = sum(max(1, t.n_voxels) for t in self.tomograms if t.state != "kept")
        kept = sum(max(1, t.n_voxels) for t in self.tomograms if t.state == "kept")
        total = computed + kept
        done = self.share_done * total - kept
        elapsed = self.now - self.began
        if self.state != "running" or done <= 0.01 * computed or elapsed < 2:
            return None
        return elapsed * (computed - done) / done

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {**asdict(self), "particles": self.particles}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Summary:
        """Read what `to_json` gave; ValueError where it is something else. What later versions add is passed over."""
        return _reader().validate_python(content)

    def beside(self, earlier: Summary | None) -> Summary:
        """Give it with the tomograms that an earlier command left in the folder and this one has nothing to do with."""
        if earlier is None:
            return self
        mine = {t.name for t in self.tomograms}
        others = tuple(t for t in earlier.tomograms if t.name not in mine)
        # What a stopped command had at work is at work no more.
        others = tuple(t if t.is_over else replace(t, state="stopped", stage="") for t in others)
        before = {t.name: t for t in earlier.tomograms}
        own = tuple(
            replace(t, seconds=before[t.name].seconds, contrast=t.contrast or before[t.name].contrast)
            if t.state == "kept" and t.name in before
            else t
            for t in self.tomograms
        )
        return replace(self, tomograms=own + others)

    def together_with(self, other: Summary | None) -> Summary:
        """Give it with what another process that shares the folder wrote of the tomograms that it has."""
        if other is None:
            return self
        theirs = {t.name: t for t in other.tomograms if t.state in ("running", "done", "kept", "failed")}
        mine = tuple(
            theirs.get(t.name, t) if t.state in ("elsewhere", "waiting", "kept") else t
            for t in self.tomograms
        )
        names = {t.name for t in mine}
        return replace(self, tomograms=mine + tuple(t for t in other.tomograms if t.name not in names))

    def write(self, folder: Location) -> None:
        """Write it into the run folder, whole or not at all."""
        (folder / FILE).write_json(self.to_json())


# Where a stage begins and how long it takes, as shares of a tomogram's time; measured on runs with one network.
_WEIGHTS = {
    "read": (0.0, 0.05),
    "ingest": (0.0, 0.1),
    "rescale": (0.1, 0.05),
    "equalize": (0.1, 0.1),
    "segment": (0.2, 0.78),
    "pick": (0.98, 0.02),
    "labels": (0.98, 0.02),
}


@cache
def _reader() -> TypeAdapter[Summary]:
    return TypeAdapter(Summary)


def read_summary(folder: Location) -> Summary | None:
    """Read the summary of a run folder; None if there is none, or it is damaged, as nothing depends on it."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return Summary.from_json(file.read_json())
    except (InputError, ValueError):
        return None


def now() -> float:
    """Give the time in seconds since 1970 (UTC)."""
    return time.time()
