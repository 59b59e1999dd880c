"""Particles as soft ellipsoids in angstrom, so that they can be drawn at any voxel size.

They imitate the size and the look of the two complexes at 30 A and are drawn from no map: the
80S ribosome as two lobes of RNA and protein with a groove between them and a few stalks, the yeast
fatty acid synthase (FAS) as a hollow barrel with a wheel across its middle. Density is the
mean inner potential above that of vitreous ice, in volts, and stands for a hydrated complex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from deepict_dask.geometry import Shape


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid in the frame of its particle: center and radii (z, y, x), angstrom."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]

    def inside(self, points: np.ndarray, edge: float) -> np.ndarray:
        """Give how far each point (n, 3) is inside: 1 deep in, 0 outside, soft over ``edge`` angstrom."""
        radii = np.asarray(self.radii)
        distance = np.sqrt((((points - np.asarray(self.center)) / radii) ** 2).sum(axis=1))
        return expit((1 - distance) * radii.min() / edge)


@dataclass(frozen=True)
class Solid:
    """A union of ellipsoids, less some others.

    Attributes
    ----------
    potential : float
        Density of the filled parts, volts above ice.
    radius : float
        Of the smallest sphere about the origin that holds the particle, angstrom.
    filled, hollow, kept : tuple of Ellipsoid
        What is filled, what is taken away from that, and what stays of it all the same.
    """

    potential: float
    radius: float
    filled: tuple[Ellipsoid, ...]
    hollow: tuple[Ellipsoid, ...] = ()
    kept: tuple[Ellipsoid, ...] = ()

    def evaluate(self, points: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray]:
        """Give density (volts) and envelope (0 to 1, holes filled) at points (n, 3), angstrom."""
        envelope = np.max([e.inside(points, edge) for e in self.filled], axis=0)
        density = envelope
        for e in self.hollow:
            density = density * (1 - e.inside(points, edge))
        for e in self.kept:
            density = np.maximum(density, e.inside(points, edge) * envelope)
        return density * self.potential, envelope


RIBOSOME = Solid(
    potential=1.6,
    radius=148.0,
    filled=(
        Ellipsoid((-38, 0, 0), (88, 115, 105)),  # large subunit
        Ellipsoid((72, -8, 10), (45, 60, 92)),  # body of the small one
        Ellipsoid((78, 62, -18), (42, 42, 48)),  # its head
        Ellipsoid((-20, 112, 40), (22, 26, 20)),  # stalks
        Ellipsoid((-30, -95, -72), (24, 24, 24)),
    ),
    hollow=(
        Ellipsoid((33, 40, 0), (11, 75, 62)),  # groove where the tRNAs sit
        Ellipsoid((-60, 0, 10), (75, 9, 9)),  # exit tunnel
    ),
)

FAS = Solid(
    potential=1.2,
    radius=140.0,
    filled=(Ellipsoid((0, 0, 0), (135, 122, 122)),),
    hollow=(
        Ellipsoid((0, 0, 0), (103, 92, 92)),  # the reaction chambers
        *(
            # side windows of the two domes, three each, staggered
            Ellipsoid((z, 115 * np.sin(a), 115 * np.cos(a)), (26, 26, 26))
            for z, turn in ((58, 0.0), (-58, np.pi / 3))
            for a in turn + np.arange(3) * 2 * np.pi / 3
        ),
    ),
    kept=(Ellipsoid((0, 0, 0), (20, 125, 125)),),  # the wheel
)

SOLIDS = {"ribosome": RIBOSOME, "fas": FAS}


def draw(
    solid: Solid,
    center_zyx: np.ndarray,
    to_reference: np.ndarray,
    shape: Shape,
    voxel_size: float,
) -> tuple[tuple[slice, slice, slice], np.ndarray, np.ndarray]:
    """Draw one particle into the part of a tomogram that it touches.

    Parameters
    ----------
    solid : Solid
        What to draw.
    center_zyx : numpy.ndarray, shape (3,)
        Position of its origin, voxels.
    to_reference : numpy.ndarray, shape (3, 3)
        Takes (x, y, z) offsets in the tomogram to the frame of the solid.
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    voxel_size : float
        Angstrom.

    Returns
    -------
    region : tuple of slice
        The part, clipped to the tomogram.
    density, envelope : numpy.ndarray of float32
        Volts, and 0 to 1, on that part.
    """
    # An edge softer than a third of a voxel would alias; 4 A stand for flexible surfaces.
    edge = 4.0 + 0.3 * voxel_size
    reach = (solid.radius + 4 * edge) / voxel_size
    low = np.maximum(np.floor(center_zyx - reach).astype(int), 0)
    high = np.minimum(np.ceil(center_zyx + reach).astype(int) + 1, shape)
    region = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    size = tuple(np.maximum(high - low, 0))
    grid = np.indices(size).reshape(3, -1).T + low
    offsets_xyz = ((grid - center_zyx) * voxel_size)[:, ::-1]
    points = (offsets_xyz @ to_reference.T)[:, ::-1]
    density, envelope = solid.evaluate(points, edge)
    return region, density.reshape(size).astype(np.float32), envelope.reshape(size).astype(np.float32)
