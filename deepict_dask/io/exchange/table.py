"""From what files of other programs hold to particles on the voxels of their tomograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepict_dask.io.exchange.export import Reading
from deepict_dask.particles import Particles, VoxelGrid


def on_frames(
    positions: np.ndarray,
    tomograms: np.ndarray,
    classes: np.ndarray,
    score: np.ndarray,
    other_columns: dict[str, np.ndarray],
    reading: Reading,
    grids: Mapping[str, VoxelGrid] | None = None,
) -> Particles:
    """Make particles of voxels, with what the user says of the tomograms.

    Parameters
    ----------
    positions : float64 (n, 3)
        (z, y, x) voxels of their tomogram; the center of the first one is 0.
    tomograms, classes : object (n,)
        Names.
    score : float64 (n,)
        NaN where unknown.
    other_columns : mapping of str to (n,)
        Further columns.
    reading : Reading
        What the user says.
    grids : mapping of str to VoxelGrid, optional
        What the files say of the voxels, by tomogram.
    """
    stated = grids or {}
    frames = {
        name: reading.geometry.frame(name, stated.get(name, VoxelGrid()))
        for name in dict.fromkeys(tomograms.tolist())
    }
    one = next(iter(frames.values()), reading.geometry.frame(reading.tomogram, VoxelGrid())).grid
    return Particles.from_positions(
        positions,
        score=score,
        tomogram=reading.tomogram,
        class_name=reading.class_name,
        tomograms=tomograms,
        classes=classes,
        voxel_size=one.voxel_size,
        shape=one.shape,
        origin=one.origin,
        grids={name: frame.grid for name, frame in frames.items()} if len(frames) > 1 else {},
        others=other_columns,
    )
