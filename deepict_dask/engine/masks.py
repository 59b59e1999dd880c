"""Masks of a whole tomogram, lazily, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dask.array as da
import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid
from deepict_dask.kernels.masks import Radius, paste_shapes

# Labels are stored as uint8.
MOST_CLASSES = 255


@dataclass(frozen=True, eq=False)
class Shapes:
    """What one class puts into a mask: positions (n, 3) in voxels, and a radius in voxels or a stamp."""

    positions: np.ndarray
    radius: Radius | None = None
    stamp: np.ndarray | None = None


def paste(classes: Sequence[Shapes], grid: BlockGrid, layout: str = "channels") -> da.Array:
    """Paste the shapes of all classes into an empty tomogram, lazily.

    Parameters
    ----------
    classes : sequence of Shapes
        In the order of the channels, or of the labels 1, 2, ...
    grid : BlockGrid
        The tomogram and its blocks; what is pasted does not depend on the blocks.
    layout : {"channels", "labels"}
        One channel of 0 and 1 per class, or one label image in which a later class wins.

    Returns
    -------
    dask.array.Array of uint8
        Shape (class, z, y, x), or (z, y, x) for labels or a single class; chunked as the grid.

    Raises
    ------
    InputError
        If there is no class, or more than labels can tell apart.

    Notes
    -----
    One task per block, which holds the block once per class. No halo: every block looks at all positions.
    """
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise InputError(f"a mask has 1 to {MOST_CLASSES} classes, not {len(classes)}")
    channels = layout == "channels" and len(classes) > 1
    chunks = ((len(classes),), *grid.chunks) if channels else grid.chunks
    return da.map_blocks(
        _paste_block,
        classes=tuple(classes),
        grid=grid,
        channels=channels,
        chunks=chunks,
        dtype=np.uint8,
        meta=np.empty((0,) * len(chunks), np.uint8),
    )


def _paste_block(
    classes: Sequence[Shapes], grid: BlockGrid, channels: bool, block_id: tuple[int, ...] = ()
) -> np.ndarray:
    z, y, x = grid.region(block_id[-3:])  # type: ignore[arg-type]
    start, shape = (z.start, y.start, x.start), (z.stop - z.start, y.stop - y.start, x.stop - x.start)
    pasted = [paste_shapes(c.positions, start, shape, c.radius, c.stamp) for c in classes]
    if channels:
        return np.stack(pasted)
    labels = pasted[0]
    for value, mask in enumerate(pasted[1:], start=2):
        labels[mask != 0] = value
    return labels
