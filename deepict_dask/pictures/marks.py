"""Where particles are on a slice, and how large they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepict_dask.particles import Particles
from deepict_dask.tomogram import VoxelSize

UNKNOWN_DIAMETER = 270.0
"""In A: what is drawn where a table does not say sizes; that of a ribosome."""
UNKNOWN_DIAMETER_VOXELS = 20.0
"""The same in voxels, of a tomogram whose voxel size is not known."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Particles over the voxels that are drawn.

    Attributes
    ----------
    positions : float64 (n, 3)
        (z, y, x) in voxels of what is drawn.
    radii : float64 (n,)
        In A.
    classes : object (n,)
        Names.
    scores : float64 (n,)
        NaN where unknown.
    """

    positions: np.ndarray
    radii: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.radii)

    def of_classes(self, names: Sequence[str]) -> Marks:
        """Give those of some classes."""
        rows = np.isin(self.classes.astype(str), list(names))
        return Marks(self.positions[rows], self.radii[rows], self.classes[rows], self.scores[rows])

    def count(self, name: str) -> int:
        """Give how many there are of a class."""
        return int(np.count_nonzero(self.classes == name))

    def cut(
        self, axis: int, center: float, thickness: float, voxel_size: VoxelSize
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the particles that a slab cuts.

        Parameters
        ----------
        axis : {0, 1, 2}
            Normal to the slab.
        center : float
            Of the slab, in voxels along the axis.
        thickness, voxel_size
            In A.

        Returns
        -------
        rows : int (m,)
            Which.
        radii : float64 (m,)
            Of the largest circle in A that the slab cuts from a sphere.
        """
        away = np.abs(self.positions[:, axis] - center) * voxel_size[axis] - thickness / 2
        away = np.maximum(away, 0.0)
        rows = np.flatnonzero(away < self.radii)
        return rows, np.sqrt(self.radii[rows] ** 2 - away[rows] ** 2)

    def fullest(self, axis: int, n: int, voxel_size: VoxelSize) -> float:
        """Give the plane along an axis that cuts most of all particles, by area; the middle without any."""
        middle = (n - 1) / 2
        if not len(self):
            return float(middle // 1)
        at, edge = self.positions[:, axis], voxel_size[axis]
        area = np.zeros(n)
        reach = int(np.ceil((self.radii / edge).max()))
        nearest = np.rint(at).astype(int)
        for step in range(-reach, reach + 1):
            plane = nearest + step
            cut = self.radii**2 - ((plane - at) * edge) ** 2
            inside = (cut > 0) & (plane >= 0) & (plane < n)
            area += np.bincount(plane[inside], cut[inside], n)
        best = np.flatnonzero(area >= area.max() * (1 - 1e-9))
        return float(best[np.argmin(np.abs(best - middle))])

    def spread(self, axis: int, n: int, count: int) -> list[float]:
        """Give planes in equal steps over where the particles are; over the middle half without any."""
        low, high = (n / 4, 3 * n / 4)
        if len(self):
            low, high = np.percentile(self.positions[:, axis], (10, 90))
        return [float(v) for v in np.clip(np.rint(np.linspace(low, high, count)), 0, n - 1)]


def marks_of(particles: Particles, radii: np.ndarray, factor: VoxelSize = (1.0, 1.0, 1.0)) -> Marks:
    """Make marks of a table.

    Parameters
    ----------
    particles : Particles
        Of one tomogram.
    radii : float64 (n,)
        In A.
    factor : (float, float, float)
        Voxels of what is drawn per voxel of the table, (z, y, x).
    """
    columns = particles.columns()
    names = np.array([str(name) or "particle" for name in columns["class"]], object)
    return Marks(
        particles.positions * np.asarray(factor),
        np.asarray(radii, np.float64),
        names,
        np.asarray(columns["score"], np.float64),
    )


def radii_of(particles: Particles, map_voxel_size: VoxelSize) -> np.ndarray:
    """Give the radii in A of spheres as large as the particles; NaN where a size is not known.

    Parameters
    ----------
    particles : Particles
        Sizes in voxels of the map that was picked from.
    map_voxel_size : (float, float, float)
        Of that map, in A.

    Examples
    --------
    >>> radii_of(Particles.from_positions([[0, 0, 0]], size=np.array([524])), (10.0, 10.0, 10.0)).round()
    array([50.])
    """
    volumes = np.where(particles.size > 0, particles.size, np.nan) * np.prod(map_voxel_size)
    return np.asarray(np.cbrt(volumes * 3 / (4 * np.pi)))


def known_radii(radii: np.ndarray, classes: np.ndarray, usual: float) -> np.ndarray:
    """Put the median of its class where a radius is not known, or the usual one where none is."""
    filled = np.array(radii, np.float64)
    for name in set(classes.tolist()):
        rows = classes == name
        finite = filled[rows & np.isfinite(filled)]
        filled[rows & ~np.isfinite(filled)] = np.median(finite) if len(finite) else usual
    return filled
