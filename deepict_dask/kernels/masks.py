"""What a network is to learn: shapes at particle positions, one block at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape

Radius = float | tuple[float, float, float]


def paste_shapes(
    positions: np.ndarray,
    start: Sequence[int],
    shape: Shape,
    radius: Radius | None = None,
    stamp: np.ndarray | None = None,
) -> np.ndarray:
    """Paste a sphere, or a given shape, at every position that reaches into a block.

    Parameters
    ----------
    positions : numpy.ndarray of float, shape (n, 3)
        Centers in voxels of the tomogram, (z, y, x); may lie outside the block and the tomogram.
    start : (int, int, int)
        First voxel of the block in the tomogram.
    shape : (int, int, int)
        The block, in voxels.
    radius : float or (float, float, float), optional
        In voxels, one or one per axis (z, y, x); a voxel belongs to the sphere if its center is no farther
        than this from the position, which is not rounded.
    stamp : numpy.ndarray, shape (z, y, x), optional
        Instead of a radius: a small mask, pasted where it is not 0. Its voxel ``n // 2`` on each axis comes
        to lie on the voxel next to the position (halves go up).

    Returns
    -------
    numpy.ndarray of uint8
        1 where something was pasted, else 0. Blocks of a tomogram put side by side are the whole.

    Raises
    ------
    InputError
        If not exactly one of radius and stamp is given, or the radius is not above 0.

    Examples
    --------
    >>> paste_shapes(np.array([[0, 0, 2.0]]), (0, 0, 0), (1, 1, 5), radius=1)[0, 0]
    array([0, 1, 1, 1, 0], dtype=uint8)
    >>> paste_shapes(np.array([[0, 0, 2.0]]), (0, 0, 2), (1, 1, 3), radius=1)[0, 0]
    array([1, 1, 0], dtype=uint8)
    """
    if (radius is None) == (stamp is None):
        raise InputError(
            "a mask is made of spheres or of a shape; give a radius or a shape, not both or none"
        )
    # Whole-tomogram coordinates all along: every block rounds as the whole does.
    centers, first = np.asarray(positions, np.float64).reshape(-1, 3), np.asarray(start, np.int64)
    block = np.zeros(shape, np.uint8)
    if stamp is not None:
        _paste_stamp(block, first, centers, np.asarray(stamp) != 0)
        return block
    radii = np.broadcast_to(np.asarray(radius, np.float64), 3)
    if not (np.isfinite(radii) & (radii > 0)).all():
        raise InputError(f"radius {radius} of a sphere is not above 0 voxels; give another")
    _paste_spheres(block, first, centers, radii)
    return block


def _paste_spheres(block: np.ndarray, first: np.ndarray, centers: np.ndarray, radii: np.ndarray) -> None:
    low = np.maximum(np.ceil(centers - radii), first).astype(np.int64)
    high = np.minimum(np.floor(centers + radii) + 1, first + block.shape).astype(np.int64)
    # Stretched to a sphere of the first radius, so that a sphere stays exact.
    stretch = radii[0] / radii
    for k in np.flatnonzero((low < high).all(axis=1)):
        z, y, x = (
            ((np.arange(a, b) - c) * s) ** 2
            for a, b, c, s in zip(low[k], high[k], centers[k], stretch, strict=True)
        )
        near = z[:, None, None] + y[:, None] + x <= radii[0] ** 2
        block[_slices(low[k] - first, high[k] - first)][near] = 1


def _paste_stamp(block: np.ndarray, first: np.ndarray, centers: np.ndarray, stamp: np.ndarray) -> None:
    size = np.array(stamp.shape)
    corner = np.floor(centers + 0.5).astype(np.int64) - size // 2
    low, high = np.maximum(corner, first), np.minimum(corner + size, first + block.shape)
    for k in np.flatnonzero((low < high).all(axis=1)):
        inside = block[_slices(low[k] - first, high[k] - first)]
        inside[stamp[_slices(low[k] - corner[k], high[k] - corner[k])]] = 1


def _slices(low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))
