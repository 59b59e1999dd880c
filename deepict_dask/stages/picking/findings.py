"""What is known of a class before its particles are picked: its region, and what the pass over the map gave already."""

from __future__ import annotations

from dataclasses import dataclass

from deepict_dask.engine.searches import Search
from deepict_dask.kernels.labelling import BlockComponents
from deepict_dask.provenance import FileInput
from deepict_dask.stages.mask import Mask


@dataclass(frozen=True)
class Region:
    """Where particles of a class are allowed.

    Attributes
    ----------
    file : FileInput or None
        With the checksum; None where they are allowed everywhere.
    mask : Mask or None
        On the grid of the map.
    share : float or None
        Of the tomogram that lies inside, 0 to 1; None where it is not known, or everything does.
    """

    file: FileInput | None = None
    mask: Mask | None = None
    share: float | None = None


@dataclass(frozen=True)
class Ahead:
    """What of the picking of a class is done while its map is computed.

    Attributes
    ----------
    name : str
        Of the search: a digest of all that decides on what it finds in a given map.
    search : Search
        What each block is searched for.
    region : Region
        Read and described.
    parts : tuple of BlockComponents, or None
        What all blocks gave; None where some were computed by an earlier command that looked for something else.
    """

    name: str
    search: Search
    region: Region
    parts: tuple[BlockComponents, ...] | None = None
