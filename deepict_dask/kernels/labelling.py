"""Connected components of one block, and what one block knows about them.

A block alone cannot say what a component is: it may go on next door. So a block reports, per
local component, sums that add up (voxels, coordinates, scores) and extremes that compare (first
voxel, bounding box, largest score), and besides them only the voxels that face another block.
:func:`deepict_dask.kernels.merging.merge_components` puts the reports together.

Everything reported is an integer. Integer sums are associative, so the answer has the same bits
whatever the blocks were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.kernels.thresholding import score_levels, score_unit

CONNECTIVITIES = {6: 1, 18: 2, 26: 3}
"""Neighbors that count as connected, and scipy's name for them (axes that may differ at once)."""

LOW, HIGH = (1, 2, 4), (8, 16, 32)
"""Bits that say on which side of its block, per axis z, y, x, a shell voxel faces another block."""

# Foreground voxels handled at once: bounds the memory for index arrays, and keeps the float64
# sums of numpy.bincount exact: 2**24 voxels * 2**24 levels is well below 2**53.
_SLICE = 1 << 24


@dataclass(frozen=True)
class BlockComponents:
    """What one block tells about its components; row k is local label k + 1.

    Attributes
    ----------
    size : int64 (n,)
        Voxels.
    sums : int64 (n, 3)
        Sums of the voxels' coordinates (z, y, x) in the tomogram.
    first : int64 (n,)
        Linear index (C order, in the tomogram) of the first voxel.
    lower, upper : int32 (n, 3)
        Bounding box in the tomogram, upper end exclusive.
    score_sum, score_max : int64 (n,)
        Sum and largest of the voxels' probability, in units of ``score_unit``.
    score_unit : float
        Probability of one level.
    shell_index : int64 (m,)
        Linear indices, ascending, of the foreground voxels that face another block.
    shell_label : int32 (m,)
        Their local labels, from 1.
    shell_side : uint8 (m,)
        Sides on which they do, see :data:`LOW` and :data:`HIGH`.
    """

    size: np.ndarray
    sums: np.ndarray
    first: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    score_sum: np.ndarray
    score_max: np.ndarray
    score_unit: float
    shell_index: np.ndarray
    shell_label: np.ndarray
    shell_side: np.ndarray

    @property
    def n(self) -> int:
        """Number of local components."""
        return len(self.size)


def check_connectivity(connectivity: int) -> None:
    """Refuse anything but 6, 18 and 26.

    Raises
    ------
    InputError
        If it is another number.
    """
    if connectivity not in CONNECTIVITIES:
        raise InputError(
            f"connectivity {connectivity!r} is not one of 6 (faces), 18 (and edges) and 26 (and corners)"
        )


def label_block(mask: np.ndarray, connectivity: int = 26) -> tuple[np.ndarray, int]:
    """Number the connected components of one block, in the order of their first voxel.

    Parameters
    ----------
    mask : bool, shape (z, y, x)
        Foreground.
    connectivity : {6, 18, 26}
        Which neighbors belong together: across faces, also edges, also corners.

    Returns
    -------
    labels : int32, shape (z, y, x)
        0 is background.
    n : int
        Number of components.

    Raises
    ------
    InputError
        If the connectivity is another number.

    Examples
    --------
    >>> label_block(np.array([[[1, 1, 0, 1]]], bool))
    (array([[[1, 1, 0, 2]]], dtype=int32), 2)
    """
    check_connectivity(connectivity)
    mask = np.ascontiguousarray(mask, dtype=bool)
    # cc3d 4.1.1 counts the labels it may need too low in thin blocks (1 x 1 x 3, 3 x 3 x 3) and
    # raises RuntimeError; scipy, which numbers alike, is fast enough for those.
    if min(mask.shape) > 3:
        import cc3d

        try:
            labels, n = cc3d.connected_components(  # type: ignore[call-overload]
                mask, connectivity=connectivity, return_N=True, binary_image=True, out_dtype=np.uint32
            )
            return labels.view(np.int32), int(n)
        except RuntimeError:
            pass
    from scipy import ndimage

    structure = ndimage.generate_binary_structure(3, CONNECTIVITIES[connectivity])
    labels = np.zeros(mask.shape, np.int32)
    return labels, int(ndimage.label(mask, structure, output=labels)) if mask.size else 0


def block_components(
    mask: np.ndarray,
    probability: np.ndarray | None,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    *,
    connectivity: int = 26,
    scale: float | None = None,
    labels: np.ndarray | None = None,
) -> BlockComponents:
    """Label one block and reduce it to what the other blocks need to know.

    Parameters
    ----------
    mask : bool, shape (z, y, x)
        Foreground of the block; a core, without halo.
    probability : shape (z, y, x), or None
        Unsigned integers are stored levels and are summed as they are; floating-point values are
        rounded to whole 2**-24 first, see :data:`deepict_dask.kernels.thresholding.FLOAT_LEVELS`. Without it all scores are 0.
    start : (int, int, int)
        Position of the block's first voxel in the tomogram.
    shape : (int, int, int)
        The tomogram.
    connectivity : {6, 18, 26}
        Which neighbors belong together.
    scale : float, optional
        Probability of one stored level; 1 / 255 for uint8 unless given.
    labels : int32, shape (z, y, x), optional
        What :func:`label_block` gives, where the caller has it already.

    Returns
    -------
    BlockComponents
        Its memory goes with the components and the shell, not with the block.

    Raises
    ------
    InputError
        If the connectivity is another number.
    """
    mask = np.ascontiguousarray(mask, dtype=bool)
    if labels is None:
        labels, n = label_block(mask, connectivity)
    else:
        n = int(labels.max(initial=0))
    flat_labels = labels.ravel()
    levels = None if probability is None else np.ascontiguousarray(probability).ravel()

    size, score_sum, score_max = (np.zeros(n, np.int64) for _ in range(3))
    sums = np.zeros((n, 3), np.int64)
    first = np.zeros(n, np.int64)
    lower = np.full((n, 3), np.iinfo(np.int32).max, np.int32)
    upper = np.zeros((n, 3), np.int32)
    shell: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    foreground = np.flatnonzero(mask)
    for begin in range(0, len(foreground), _SLICE):
        index = foreground[begin : begin + _SLICE]
        label = flat_labels[index] - 1
        where = _coordinates(index, mask.shape)
        fresh = size == 0
        size += np.bincount(label, minlength=n)
        place = np.zeros(len(index), np.int64)
        side = np.zeros(len(index), np.uint8)
        for axis, (c, s, full, thick) in enumerate(zip(where, start, shape, mask.shape, strict=True)):
            sums[:, axis] += np.bincount(label, c, n).astype(np.int64)
            np.minimum.at(lower[:, axis], label, c)
            np.maximum.at(upper[:, axis], label, c)
            place *= full
            place += c
            place += s
            if s > 0:
                side[c == 0] |= LOW[axis]
            if s + thick < full:
                side[c == thick - 1] |= HIGH[axis]
        # The indices ascend and the last assignment stands, so backwards the first voxel wins.
        earliest = np.zeros(n, np.int64)
        earliest[label[::-1]] = place[::-1]
        first[fresh] = earliest[fresh]
        if levels is not None:
            score = score_levels(levels[index])
            score_sum += np.bincount(label, score, n).astype(np.int64)
            np.maximum.at(score_max, label, score)
        outside = np.flatnonzero(side)
        shell.append((place[outside], label[outside] + np.int32(1), side[outside]))

    offset = np.array(start, np.int64)
    sums += size[:, None] * offset
    lower += offset.astype(np.int32)
    upper += offset.astype(np.int32) + 1
    return BlockComponents(
        size, sums, first, lower, upper, score_sum, score_max,
        1.0 if probability is None else score_unit(probability.dtype, scale),
        np.concatenate([s[0] for s in shell] or [np.zeros(0, np.int64)]),
        np.concatenate([s[1] for s in shell] or [np.zeros(0, np.int32)]),
        np.concatenate([s[2] for s in shell] or [np.zeros(0, np.uint8)]),
    )  # fmt: skip


def _coordinates(index: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split ascending linear indices into z, y, x (int32)."""
    row, x = np.divmod(
        index.astype(np.uint32 if np.prod(shape, dtype=np.int64) < 1 << 32 else np.int64), shape[2]
    )
    z, y = np.divmod(row, shape[1])
    return z.astype(np.int32), y.astype(np.int32), x.astype(np.int32)
