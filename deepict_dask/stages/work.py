"""Work: what a command gives every stage besides its input: who is told, what may be replaced, who writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepict_dask.io.claim import Claim
from deepict_dask.io.location import Location
from deepict_dask.stages.report import Reporter

if TYPE_CHECKING:
    from deepict_dask.stages.file_contents import Contents
    from deepict_dask.stages.picking.findings import Ahead


@dataclass(frozen=True)
class Work:
    """What all stages of a command share.

    Attributes
    ----------
    reporter : Reporter
        Follows the work.
    overwrite : bool
        Whether outputs that were made with other settings, or are damaged, may be replaced.
    threads : int or None
        Threads of one forward pass, and of one task that holds a whole tomogram.
    claim : Claim or None
        On the folder that is written to; looked at again before an output is marked as finished.
    kept : set of str
        Stages whose outputs were there already; stages add themselves.
    priority : int
        Of its tasks; those with higher numbers go first.
    ahead : dict of Location to Ahead
        What was picked already while maps were computed, by the side files of the tables; for the stage that writes
        these.
    regions : dict of (str, float) to Contents
        Region masks that were read already, by path and threshold.
    """

    reporter: Reporter = field(default_factory=Reporter)
    overwrite: bool = False
    threads: int | None = None
    claim: Claim | None = None
    kept: set[str] = field(default_factory=set)
    priority: int = 0
    ahead: dict[Location, Ahead] = field(default_factory=dict)
    regions: dict[tuple[str, float], Contents] = field(default_factory=dict)

    def check_claim(self) -> None:
        """Make sure that this command still holds what it writes to; WorkError if not."""
        if self.claim is not None:
            self.claim.check()

    def keep(self, stage: str) -> None:
        """Note that the output of a stage was there already."""
        self.kept.add(stage)
