"""What reading all voxels of a file gave."""

from __future__ import annotations

from dataclasses import dataclass

from deepict_dask.provenance import FileInput


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes
    ----------
    file : FileInput
        With the checksum of its voxels.
    n_inside, n_nan, n_between, n_of_values
        Voxels above the threshold, that are NaN, between 0 and 1, and of each value that was asked for.
    """

    file: FileInput
    n_inside: int
    n_nan: int
    n_between: int
    n_of_values: tuple[int, ...] = ()
