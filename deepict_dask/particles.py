"""Particles: accepted picks with position, score and size. A noun that everyone shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("label", "z", "y", "x", "score", "score_max", "size", "z_angstrom", "y_angstrom", "x_angstrom")
"""Columns of a particle table, in order."""

Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Particles:
    """Particles of one class in one tomogram.

    Attributes
    ----------
    label : int64 (n,)
        Number of the particle's component among all components of the segmentation, from 1, in
        the order of their first voxels (C order). This is the value that the particle has in a
        label image, so labels of components that the size filter refused are missing here.
    z, y, x : float64 (n,)
        Centroids in voxels; the center of the first voxel is (0, 0, 0).
    score, score_max : float64 (n,)
        Mean and largest probability of the particle's voxels; NaN where unknown.
    size : int64 (n,)
        Voxels of the map that was picked from; 0 where unknown.
    touches_edge : bool (n,), optional
        Whether the particle reaches the edge of the tomogram (of what ``border`` leaves of it)
        and may therefore be cut. Not known of a table read from a file.
    bounding_box : int64 (n, 2, 3), optional
        First voxel and the one after the last, (z, y, x). Not known of a table read from a file.
    voxel_size : (float, float, float), optional
        Edges of a voxel in angstrom, (z, y, x).
    tomogram, class_name : str
        What the particles were found in and what they are; empty where unknown.
    attributes : mapping
        Settings that led to them; plain values only.
    """

    label: np.ndarray
    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    score: np.ndarray
    score_max: np.ndarray
    size: np.ndarray
    touches_edge: np.ndarray | None = None
    bounding_box: np.ndarray | None = None
    voxel_size: Triple | None = None
    tomogram: str = ""
    class_name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("label", "y", "x", "score", "score_max", "size", "touches_edge", "bounding_box"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.z):
                raise InputError(f"column {name} has {len(column)} rows where column z has {len(self.z)}")

    @classmethod
    def from_positions(cls, positions: np.ndarray, **others: Any) -> Particles:
        """Make particles of which only positions are known; other fields by name.

        >>> Particles.from_positions([[1, 2, 3.5]], tomogram="TS_011").x
        array([3.5])
        """
        z, y, x = np.asarray(positions, np.float64).reshape(-1, 3).T
        n = len(z)
        unknown: dict[str, Any] = {
            "label": np.arange(1, n + 1),
            "score": np.full(n, np.nan),
            "score_max": np.full(n, np.nan),
            "size": np.zeros(n, np.int64),
        }
        return cls(z=z, y=y, x=x, **(unknown | others))

    def __len__(self) -> int:
        return len(self.z)

    def __repr__(self) -> str:
        what = self.class_name or "particles"
        return f"<Particles: {len(self)} {what} in {self.tomogram or 'a tomogram'}>"

    @property
    def positions(self) -> np.ndarray:
        """Centroids (z, y, x) in voxels, float64 (n, 3)."""
        return np.stack([self.z, self.y, self.x], axis=1).astype(np.float64)

    def columns(self) -> dict[str, np.ndarray]:
        """Give the columns of the table by name, see :data:`COLUMNS`.

        Positions in angstrom are voxels times the voxel size, NaN where that is unknown.
        """
        edges = self.voxel_size or (np.nan,) * 3
        values = (self.label, self.z, self.y, self.x, self.score, self.score_max, self.size)
        angstrom = (p * e for p, e in zip((self.z, self.y, self.x), edges, strict=True))
        return dict(zip(COLUMNS, (*values, *angstrom), strict=True))

    def to_dataframe(self) -> pd.DataFrame:
        """Give the table as a pandas data frame with the columns of :data:`COLUMNS`."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def scaled(
        self, factor: float | Triple, voxel_size: Triple | None = None, offset: Triple = (0.0, 0.0, 0.0)
    ) -> Particles:
        """Express the positions in the voxels of another grid over the same specimen.

        Parameters
        ----------
        factor : float or (float, float, float)
            Voxels of the other grid per voxel of this one, (z, y, x).
        voxel_size : (float, float, float), optional
            Of the other grid, in angstrom; this one's divided by the factor unless given.
        offset : (float, float, float)
            Where the center of this grid's first voxel lies in the other grid, in its voxels:
            ``(factor - 1) / 2`` where the corners of the grids coincide.

        Returns
        -------
        Particles
            Bounding boxes are rounded outward. Sizes stay in voxels of the map that was picked
            from, since that is what the size limits were compared with.

        Examples
        --------
        >>> Particles.from_positions([[1, 2, 3]]).scaled((2, 1, 0.5)).positions
        array([[2. , 2. , 1.5]])
        """
        f = np.broadcast_to(np.asarray(factor, np.float64), (3,))
        o = np.asarray(offset, np.float64)
        if not (np.isfinite(f).all() and (f > 0).all()):
            raise InputError(f"factor {factor!r} is not positive; positions are scaled by positive factors")
        z, y, x = (self.positions * f + o).T
        box = None
        if self.bounding_box is not None:
            # Index k begins at k - 1/2.
            edges = (self.bounding_box - 0.5) * f + o + 0.5
            box = np.stack([np.floor(edges[:, 0]), np.ceil(edges[:, 1])], axis=1).astype(np.int64)
        if voxel_size is None and self.voxel_size is not None:
            a, b, c = (float(v) for v in np.asarray(self.voxel_size) / f)
            voxel_size = (a, b, c)
        return replace(self, z=z, y=y, x=x, bounding_box=box, voxel_size=voxel_size)

    def write(self, path: str | Path, *, format: str | None = None) -> Path:
        """Write the table; the suffix says how: .csv, _motl.csv, .star or .parquet.

        See :func:`deepict_dask.io.tables.write_particles`.
        """
        # The noun lives below the room that knows files, and stays free of it: this one
        # convenience looks the writer up by name when it is called.
        from importlib import import_module

        written: Path = import_module("deepict_dask.io.tables").write_particles(self, path, format=format)
        return written
