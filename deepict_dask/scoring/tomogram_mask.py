"""Masks that positions are looked up in, tomogram by tomogram."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.source import open_source
from deepict_dask.particles import Particles
from deepict_dask.provenance import FileInput
from deepict_dask.stages.contents import file_of
from deepict_dask.stages.mask import Mask, mask_grid, open_mask
from deepict_dask.tomogram import Grid, same_voxel_size

# Voxels of a mask that are read together.
_TILE = (32, 256, 256)


@dataclass(frozen=True)
class TomogramMask:
    """A mask of one tomogram.

    Attributes
    ----------
    file : FileInput
        What it is, with the checksum of what is inside.
    inside : callable
        Tells of positions (n, 3), (z, y, x) voxels of the tomogram, which lie in it, bool (n,).
    """

    file: FileInput
    inside: Callable[[np.ndarray], np.ndarray]


def open_tomogram_mask(path: str, name: str, particles: Particles) -> TomogramMask:
    """Open a mask of a tomogram and read it once.

    Parameters
    ----------
    path : str
        Any format of tomograms; ``{name}`` stands for the tomogram's name.
    name : str
        Of the tomogram.
    particles : Particles
        Of it: what they say of its voxels is compared with those of the mask. Where they say no shape, the mask's is
        taken if the voxel sizes are known and agree, and no position may then lie beyond it.

    Raises
    ------
    InputError
        If it lies on another grid than the tomogram, or nothing says that it does not.
    """
    grid = particles.grid_of(name)
    place = path.replace("{name}", name)
    shape = grid.shape
    if shape is None:
        of_mask = mask_grid(open_source(place))
        if None in (grid.voxel_size, of_mask.voxel_size) or not same_voxel_size(
            grid.voxel_size,  # type: ignore[arg-type]
            of_mask.voxel_size,  # type: ignore[arg-type]
        ):
            raise InputError(
                f"the mask {place} has {of_mask}, and nothing says that the positions of {name} are counted in these voxels; give the "
                "tomogram's size with --shape Z,Y,X"
            )
        shape = of_mask.shape
    own = Grid(shape, grid.voxel_size)
    source, mask = open_mask(place, own, own, what="the mask")
    file = replace(file_of(source), checksum=_checksum(mask))

    def inside(positions: np.ndarray) -> np.ndarray:
        if grid.shape is None:
            _check_within(mask, name, positions)
        return inside_mask(mask, positions)

    return TomogramMask(file, inside)


def _checksum(mask: Mask) -> str:
    """Give the digest of what is inside, slab by slab: how the file stores it decides nothing."""
    digest = hashlib.sha256(repr(mask.shape).encode())
    for z in range(0, mask.shape[0], _TILE[0]):
        slab = mask[slice(z, min(z + _TILE[0], mask.shape[0])), slice(None), slice(None)]
        digest.update(np.ascontiguousarray(slab).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _check_within(mask: Mask, name: str, positions: np.ndarray) -> None:
    """Refuse positions beyond a mask whose voxels were taken for those of the tomogram."""
    voxels = np.floor(positions + 0.5)
    beyond = ((voxels < 0) | (voxels >= np.asarray(mask.shape))).any(axis=1)
    if beyond.any():
        worst = ", ".join(f"{v:g}" for v in positions[int(np.argmax(beyond))])
        raise InputError(
            f"{mask.name} has {' x '.join(map(str, mask.shape))} voxels, and {int(beyond.sum())} particles of {name} lie beyond it "
            f"(z, y, x: {worst}), so it is of another grid; give the tomogram's size with --shape Z,Y,X"
        )


def inside_mask(mask: Mask, positions: np.ndarray) -> np.ndarray:
    """Tell which positions lie in a mask.

    Parameters
    ----------
    mask : Mask
        Read tile by tile, only where there are positions.
    positions : float64 (n, 3)
        (z, y, x) voxels; the voxel that a position lies in counts. Beyond the tomogram is outside.

    Returns
    -------
    bool (n,)
    """
    voxels = np.floor(positions + 0.5).astype(np.int64)
    found = np.zeros(len(voxels), bool)
    there = ((voxels >= 0) & (voxels < np.asarray(mask.shape))).all(axis=1)
    tiles: dict[tuple[int, ...], list[int]] = {}
    for k in np.flatnonzero(there).tolist():
        tiles.setdefault(tuple((voxels[k] // _TILE).tolist()), []).append(k)
    for _, rows in sorted(tiles.items()):
        points = voxels[rows]
        low, high = points.min(axis=0), points.max(axis=0) + 1
        block = mask[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
        z, y, x = (points - low).T
        found[rows] = block[z, y, x] > 0
    return found
