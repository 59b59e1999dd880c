"""What an export is made of: tomograms in their order, each read when it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.exchange.frame import Frame, Geometry
from deepict_dask.particles import Particles

ANY_CLASS = "particle"
"""What a class is called of which nobody says more."""


@dataclass(frozen=True)
class Details:
    """What single programs want to know besides.

    Attributes
    ----------
    user, session : str
        Of copick's picks, or who made the annotations of the CryoET Data Portal.
    tomogram_path : str
        Where Dynamo finds a tomogram; ``{name}`` stands for its name.
    diameter : float or None
        Of the particles in A: box of EMAN2, radius of copick.
    angles_as_priors : bool
        Whether RELION's tilt and psi priors are the tilt and psi of the table.
    tomograms_star : str
        RELION's own list of tomograms, for the optimisation set; empty for the one that is written.
    """

    user: str = "deepict-dask"
    session: str = "1"
    tomogram_path: str = "{name}.mrc"
    diameter: float | None = None
    angles_as_priors: bool = False
    tomograms_star: str = ""


@dataclass(frozen=True)
class Export:
    """Particles of many tomograms on their way to another program.

    Attributes
    ----------
    frames : tuple of Frame
        In the order of their names; numbers are the program's.
    classes : tuple of str
        All classes, in the order of their numbers; empty where no table names one.
    columns : frozenset of str
        Columns besides our own that any table has.
    has_scores : bool
        Whether any particle has one; see `scores`.
    geometry : Geometry
        What the user said of pixels and origins.
    details : Details
        What single programs want to know besides.
    load : callable
        Gives the particles of a frame.
    place : str
        Folder that it will lie in, for programs whose files say it.
    """

    frames: tuple[Frame, ...]
    classes: tuple[str, ...]
    columns: frozenset[str]
    has_scores: bool
    geometry: Geometry
    details: Details
    load: Callable[[Frame], Particles]
    place: str = ""

    @property
    def n(self) -> int:
        """All particles."""
        return sum(frame.n for frame in self.frames)

    @property
    def has_angles(self) -> bool:
        """Whether rot, tilt and psi are there."""
        return {"rot", "tilt", "psi"} <= self.columns

    def parts(self) -> Iterator[tuple[Frame, Particles]]:
        """Give tomogram after tomogram; one is in memory at a time. Offsets are added already."""
        offset = np.asarray(self.geometry.offset, np.float64)
        for frame in self.frames:
            particles = self.load(frame)
            if offset.any():
                z, y, x = (particles.positions + offset / frame.voxel_size).T
                particles = replace(particles, z=z, y=y, x=x)
            yield frame, particles

    def scores(self, particles: Particles) -> np.ndarray:
        """Give a score for each row to a program that has no word for an unknown one, float64 (n,).

        Where no table has scores they are all 0, which every such program takes for "not scored".

        Raises
        ------
        InputError
            If some particles have a score and others none: 0 would make these the worst, and another number anything else.
        """
        if not self.has_scores:
            return np.zeros(len(particles))
        if np.isnan(particles.score).any():
            raise InputError(
                f"particles of {particles.tomogram or 'a tomogram'} have no score and others have, and this program knows no unknown "
                "score; export them apart (by table or --class), or use a format that does (relion5, copick, csv, parquet)"
            )
        return particles.score

    def numbers_of_classes(self, particles: Particles) -> np.ndarray:
        """Give the number of each row's class, int64 (n,): 1 where there is but one without a name."""
        if not self.classes:
            return np.ones(len(particles), np.int64)
        number = dict(zip(self.classes, numbers_of(self.classes), strict=True))
        return np.array([number[name] for name in particles["class"].tolist()], np.int64)

    def by_class(self, particles: Particles) -> Iterator[tuple[str, int, Particles]]:
        """Give name, number and particles of each class that is there."""
        if not self.classes:
            yield ANY_CLASS, 1, particles
            return
        for name, number in zip(self.classes, numbers_of(self.classes), strict=True):
            chosen = particles.of_class(name)
            if len(chosen):
                yield name, number, chosen


def numbers_of(names: Sequence[str]) -> list[int]:
    """Give the number of each name: itself where all are whole numbers, else its place from 1.

    >>> numbers_of(["3", "7"]), numbers_of(["a", "b"])
    ([3, 7], [1, 2])
    """
    if names and all(
        name.isdecimal() and 0 < int(name) < 1 << 31 and str(int(name)) == name for name in names
    ):
        return [int(name) for name in names]
    return list(range(1, len(names) + 1))


def sorted_names(names: Sequence[str]) -> list[str]:
    """Sort names, by value where all are whole numbers.

    >>> sorted_names(["10", "9"]), sorted_names(["b10", "b9"])
    (['9', '10'], ['b10', 'b9'])
    """
    numeric = all(name.isdecimal() for name in names)
    return sorted(set(names), key=(lambda name: (int(name), name)) if numeric else None)


def decimals(values: np.ndarray, digits: int = 6) -> list[str]:
    """Write numbers with a fixed number of decimals, without -0; what is read back is written the same again.

    >>> decimals(np.array([1.5, -1e-9]))
    ['1.500000', '0.000000']
    """
    rounded = np.round(np.asarray(values, np.float64), digits) + 0.0
    return [f"{value:.{digits}f}" for value in rounded.tolist()]


def plain_number(value: float, digits: int = 6) -> float:
    """Round for JSON, without -0."""
    return round(float(value), digits) + 0.0


def number_map(text: str, path: object) -> dict[int, str]:
    """Read lines of a number and a name.

    Raises
    ------
    InputError
        If a line is something else.
    """
    names_by_number: dict[int, str] = {}
    for k, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        number, _, name = line.strip().partition(" ")
        if not number.isdecimal() or not name.strip():
            raise InputError(f"{path} holds {line!r:.80} in line {k}, where a number and a name belong")
        names_by_number[int(number)] = name.strip()
    return names_by_number
