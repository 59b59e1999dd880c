"""What became of one tomogram of a campaign."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from deepict_dask.io.location import Location
from deepict_dask.stages.picking.pick import Picked


@dataclass
class Outcome:
    """What became of one tomogram.

    Attributes
    ----------
    name : str
        Of the tomogram.
    folder : Location
        With everything that was written for it.
    seconds : dict of str to float
        By stage.
    kept : set of str
        Stages whose outputs were there already.
    picked : list of Picked
        One per class.
    error : Exception or None
        Why it failed, if it did.
    contrast : float or None
        Standard deviation of the voxels over their range.
    is_elsewhere : bool
        Whether another process of a shared run has it now, so that it is looked at again.
    """

    name: str
    folder: Location
    seconds: dict[str, float] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    picked: list[Picked] = field(default_factory=list)
    error: Exception | None = None
    contrast: float | None = None
    is_elsewhere: bool = False

    @property
    def state(self) -> Literal["done", "kept", "failed"]:
        """In one word."""
        if self.error is not None:
            return "failed"
        return "kept" if self.kept.issuperset(self.seconds) else "done"
