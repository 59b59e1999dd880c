"""What a report says: nouns without files, so that a page can be made of anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deepict_dask.campaign.summary import Plain, Summary, TomogramState

CUBIC_ANGSTROM_PER_CUBIC_MICROMETER = 1e12


@dataclass(frozen=True, eq=False)
class Found:
    """Particles of one class in one tomogram.

    Attributes
    ----------
    name : str
        Of the class.
    n : int
        How many, by the side file of their tables.
    diameters : float64 (n,)
        In nm, of spheres as large as the particles; NaN where not known. Empty where the table could not be read.
    scores : float64 (n,)
        Mean probability; NaN where not known. Empty likewise.
    table : str
        Relative to the run folder; empty where there is none.
    region_share : float or None
        Of the tomogram that its region covers, 0 to 1; None where particles are allowed everywhere, or it is not known.
    has_region : bool
        Whether particles were allowed in a region only.
    """

    name: str
    n: int
    diameters: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    table: str = ""
    region_share: float | None = None
    has_region: bool = False


@dataclass(frozen=True, eq=False)
class TomogramFacts:
    """One tomogram of a run.

    Attributes
    ----------
    state : TomogramState
        Of the summary, or what its folder shows.
    found : tuple of Found
        One per class whose tables are complete; empty before that.
    differs : mapping of str to str
        Settings that it has otherwise than the run, by ``section.key``.
    problems : tuple of str
        What is wrong with its tables.
    version, runtime : str
        Of the program that wrote its tables, and what computed its map; empty where unknown.
    """

    state: TomogramState
    found: tuple[Found, ...] = ()
    differs: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    version: str = ""
    runtime: str = ""

    @property
    def name(self) -> str:
        """Of the tomogram."""
        return self.state.name

    @property
    def is_complete(self) -> bool:
        """Whether its particles are known."""
        return bool(self.found)

    @property
    def n(self) -> int:
        """Particles of all classes."""
        return sum(f.n for f in self.found)

    @property
    def volume(self) -> float | None:
        """In cubic micrometers; None where shape or voxel size are not known."""
        if self.state.shape is None or self.state.voxel_size is None:
            return None
        edges = zip(self.state.shape, self.state.voxel_size, strict=True)
        return float(np.prod([n * size for n, size in edges])) / CUBIC_ANGSTROM_PER_CUBIC_MICROMETER

    def of_class(self, name: str) -> Found | None:
        """Give what was found of a class; None where it was not looked for."""
        return next((f for f in self.found if f.name == name), None)

    def searched(self, found: Found) -> float | None:
        """Give the cubic micrometers in which a class was looked for: its region, else the tomogram; None if unknown."""
        if self.volume is None or (found.has_region and found.region_share is None):
            return None
        return self.volume * (1.0 if found.region_share is None else found.region_share)

    def density(self, name: str) -> float | None:
        """Give the particles of a class per cubic micrometer of where it was looked for; None where that is not known."""
        found = self.of_class(name)
        searched = None if found is None else self.searched(found)
        return None if found is None or not searched else found.n / searched


@dataclass(frozen=True)
class Setting:
    """One setting of a run: its name, its value, what it means, and whether it is the default."""

    section: str
    name: str
    value: str
    meaning: str = ""
    is_default: bool = True


@dataclass(frozen=True, eq=False)
class ReportFacts:
    """All that a report says of a run.

    Attributes
    ----------
    summary : Summary
        Of the run folder; made up of what lies there where there is none.
    tomograms : tuple of TomogramFacts
        In the order of the summary.
    settings : tuple of Setting
        Of the run; secrets are masked.
    versions : mapping of str to str
        Of the program and of what it stands on.
    has_summary : bool
        Whether the folder had a summary.
    """

    summary: Summary
    tomograms: tuple[TomogramFacts, ...]
    settings: tuple[Setting, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    has_summary: bool = True

    @property
    def complete(self) -> tuple[TomogramFacts, ...]:
        """Those whose particles are known."""
        return tuple(t for t in self.tomograms if t.is_complete)

    @property
    def classes(self) -> tuple[str, ...]:
        """Of particles, sorted, as pictures color them."""
        return tuple(sorted({f.name for t in self.tomograms for f in t.found}))

    @property
    def metadata_columns(self) -> tuple[str, ...]:
        """What the table of tomograms says of any of them."""
        return tuple(dict.fromkeys(key for t in self.tomograms for key in t.state.metadata))

    @property
    def stages(self) -> tuple[str, ...]:
        """That took time."""
        return tuple(dict.fromkeys(s for t in self.tomograms for s, v in t.state.seconds.items() if v > 0))

    def total(self, name: str) -> int:
        """Count the particles of a class."""
        return sum(f.n for t in self.tomograms for f in t.found if f.name == name)

    def metadata(self, tomogram: TomogramFacts, column: str) -> Plain:
        """Give a cell of the table of tomograms; empty where it says nothing."""
        return tomogram.state.metadata.get(column, "")
