"""From what files of other programs hold to particles on the voxels of their tomograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.exchange.frame import Frame
from deepict_dask.io.exchange.reading import Reading
from deepict_dask.particles import Particles, VoxelGrid

# Voxel sizes that differ by less are one, written with other digits.
_SAME_EDGE = 1e-4


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
        (z, y, x) voxels as the files count them; the center of the first one is 0. They are converted where the user says that
        the tomogram has others.
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
    positions = np.array(positions, np.float64)
    frames = {}
    for name in dict.fromkeys(tomograms.tolist()):
        frames[name], factor = frame_of(name, stated.get(name, VoxelGrid()), reading)
        positions[tomograms == name] *= factor
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


def frame_of(name: str, stated: VoxelGrid, reading: Reading) -> tuple[Frame, np.ndarray]:
    """Put together what is known of a tomogram, and what turns positions as a file counts them into its voxels.

    Parameters
    ----------
    name : str
        Of the tomogram.
    stated : VoxelGrid
        What the file says of the voxels that it counts.
    reading : Reading
        What the user says; is told of a conversion.

    Returns
    -------
    frame : Frame
        On the voxels that the user says, else on those of the file.
    factor : float64 (3,)
        Voxels of the frame per voxel of the file, (z, y, x); the center of the first one is 0 in both.
    """
    frame = reading.geometry.frame(name, stated)
    counted, wanted = stated.voxel_size, frame.grid.voxel_size
    if counted is None or wanted is None or np.allclose(counted, wanted, rtol=_SAME_EDGE, atol=0):
        return frame, np.ones(3)
    # A shape in voxels of another size is not the tomogram's.
    frame = reading.geometry.frame(name, VoxelGrid(None, None, stated.origin))
    reading.say(
        f"positions of {name or 'the tomogram'} are counted in voxels of {_edges(counted)} A and were converted to voxels of "
        f"{_edges(wanted)} A, as --voxel-size says"
    )
    return frame, np.asarray(counted, np.float64) / np.asarray(wanted, np.float64)


def stated_edge(path: object, name: str, edges: np.ndarray) -> VoxelGrid:
    """Give the voxels that rows of one tomogram say; exactly 1 A, or 0, is what programs write that do not know it.

    Parameters
    ----------
    path : path
        The table, for sentences.
    name : str
        Of the tomogram.
    edges : float64 (n,)
        In A, row by row.

    Raises
    ------
    InputError
        If rows say different ones.
    """
    sizes = sorted(set(edges[edges > 0].tolist()) - {1.0})
    if not sizes:
        return VoxelGrid()
    if not np.allclose(sizes, sizes[0], rtol=_SAME_EDGE, atol=0):
        raise InputError(
            f"{path} counts positions of {name or 'one tomogram'} in voxels of {sizes[0]:g} and {sizes[-1]:g} A; split it"
        )
    return VoxelGrid((float(sizes[0]),) * 3)


def _edges(size: tuple[float, float, float]) -> str:
    return " x ".join(dict.fromkeys(f"{e:.6g}" for e in size))
