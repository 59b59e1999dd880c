"""Markers: one small file per block of an image that is being written, so that a later command goes on from there.

They lie in a folder inside the image, which goes with it wherever it goes, and is removed when it is finished. The
folder's name says what the image is made of and how: markers of anything else are never looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.encoding import decode, encode
from deepict_dask.io.location import Location
from deepict_dask.io.manifest import Shard

PREFIX = ".blocks-"
"""How the folders of markers begin; readers of Zarr pass them by."""
_NAME = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class Markers:
    """The markers of an image; small, it travels with the tasks that write its blocks.

    Attributes
    ----------
    image : Location
        The group.
    edition : str
        Digest of all that decides on the bytes of the image.
    """

    image: Location
    edition: str

    @property
    def folder(self) -> Location:
        """Where they lie."""
        return self.image / f"{PREFIX}{self.edition[:16]}"

    def begin(self) -> None:
        """Make the folder; without it no marker is written."""
        self.folder.make_folder()

    def write(self, index: tuple[int, ...], part: Any, shards: tuple[Shard, ...]) -> None:
        """Note that a block is written; nothing if the image was finished or made anew meanwhile.

        Parameters
        ----------
        index : tuple of int
            Number of the block.
        part : object
            What its reduction gave; see `encode` for what it may hold.
        shards : tuple of Shard
            What was written.
        """
        data = encode((self.edition, index, part, shards))
        self.folder.join(".".join(map(str, index))).write_beside(data)

    def indices(self) -> list[tuple[int, ...]]:
        """List the blocks that have one, in order."""
        names = [child.name for child in self.folder.children()]
        return sorted(tuple(map(int, name.split("."))) for name in names if _NAME.fullmatch(name))

    def read(self, index: tuple[int, ...]) -> tuple[Any, tuple[Shard, ...]] | None:
        """Give what was noted of a block, if its shards still hold every byte that was written.

        Returns
        -------
        part, shards
            As they were written; None if marker or shards are missing, torn, or not what was written.
        """
        try:
            edition, place, part, shards = decode(self.folder.join(".".join(map(str, index))).read_bytes())
            if edition != self.edition or place != index:
                return None
            for shard in shards:
                # After a power cut a file may be there with other bytes, so its size says nothing.
                if Shard.of(shard.key, self.image.join(shard.key).read_bytes()) != shard:
                    return None
        except (InputError, FormatError, OSError):
            return None
        return part, shards


def remove_markers(image: Location) -> None:
    """Remove the markers of an image that is finished; those that a killed process left too."""
    for child in image.children():
        if child.name.startswith(PREFIX):
            child.remove()
