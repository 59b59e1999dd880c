"""Several processes in one run folder: who writes the settings, who has failed on what, who waits for whom.

Each process takes tomograms by claims; nothing else is between them but the folder. The first writes the run's
settings, the others must have the same. A tomogram that one of them set aside is set aside for those that were
at work then; a command that begins later tries it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepict_dask.campaign.summary import read_summary
from deepict_dask.config import Settings
from deepict_dask.errors import InputError
from deepict_dask.io.claim import Claim, turn
from deepict_dask.io.location import Location
from deepict_dask.stages.run_folder import FILE, add_tomograms, check_settings, difference_of, read_settings

POLL_SECONDS = 1.0
_FAILED = ".failed"


@dataclass(frozen=True)
class Sharing:
    """What one of several processes knows of the folder that they share.

    Attributes
    ----------
    folder : Location
        The run folder.
    command : str
        For sentences.
    claim : Claim
        Its own; it knows when the process began by the file system's clock.
    """

    folder: Location
    command: str
    claim: Claim

    def agree(self, settings: Settings, names: Sequence[str]) -> None:
        """Write the run's settings, or make sure that they are these.

        Raises
        ------
        InputError
            If the run in the folder has others, with the first that differs.
        """
        with turn(self.folder, "settings", self.command):
            check_settings(self.folder, overwrite=False)
            before, summary = read_settings(self.folder / FILE), read_summary(self.folder)
            # Of a tomogram that the run knows already the settings that it has there count.
            met = set() if summary is None else {t.name for t in summary.tomograms}
            if before is not None and (difference := difference_of(before, settings, names, met)) is not None:
                raise InputError(
                    f"the run in {self.folder} that is to be shared has {difference}; give the same settings, or another "
                    "output folder"
                )
            add_tomograms(self.folder, before, settings)

    def set_aside(self, tomogram: str, reason: str) -> None:
        """Note for the others that a tomogram failed, and why."""
        (self.folder / _FAILED).make_folder()
        (self.folder / _FAILED / tomogram).write(reason)

    def reason_of(self, tomogram: str) -> str | None:
        """Say why another process set a tomogram aside while this one was at work; None if none did."""
        note = self.folder / _FAILED / tomogram
        written = note.modified()
        return None if written is None or written < self.claim.began else note.read_text()

    def forget(self, tomogram: str) -> None:
        """Note that a tomogram did not fail after all."""
        if (note := self.folder / _FAILED / tomogram).exists():
            note.remove()
