"""Training patches: where they lie, what they hold, which are kept, and how one is read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape, reflect_indices

Box = tuple[slice, slice, slice]
PATCH, OVERLAP = 64, 12
# The labelled voxels are counted in pieces of this edge.
_PIECE = 128


@dataclass(frozen=True)
class PatchIndex:
    """One training patch.

    Attributes
    ----------
    start : (int, int, int)
        First voxel in the tomogram, (z, y, x); below 0 where the patch begins in the mirrored margin.
    labelled : tuple of int
        Labelled voxels of each class in the patch.
    tomogram : str
        Name of the tomogram.
    """

    start: Shape
    labelled: tuple[int, ...] = ()
    tomogram: str = ""


def patch_grid(
    shape: Shape, patch: int = PATCH, overlap: int = OVERLAP, box: Box | None = None
) -> list[Shape]:
    """Give the first voxels of the patches that cover a tomogram, as the original lays them.

    Parameters
    ----------
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    patch : int
        Edge of a patch in voxels.
    overlap : int
        Voxels on each side that a patch shares with its neighbor, or that are mirrored at the edge.
    box : tuple of three slices, optional
        Part of the tomogram to cover instead.

    Returns
    -------
    list of (int, int, int)
        In C order. Cores of ``patch - 2 * overlap`` voxels begin at 0; a rest of less than half a core is
        left to the overlap of the last patch. At least one patch on each axis.

    Raises
    ------
    InputError
        If the overlap leaves no core.

    Examples
    --------
    >>> patch_grid((128, 64, 40))[:2], len(patch_grid((128, 64, 40)))
    ([(-12, -12, -12), (-12, 28, -12)], 6)
    """
    return list(itertools.product(*_starts(shape, patch, overlap, box)))  # type: ignore[arg-type]


def select_patches(
    target: Any,
    patch: int = PATCH,
    overlap: int = OVERLAP,
    min_label_fraction: float | None = 0.002,
    *,
    max_label_fraction: float = 1.0,
    box: Box | None = None,
    tomogram: str = "",
) -> list[PatchIndex]:
    """Choose the patches that hold enough labelled voxels, by the original's rule.

    Parameters
    ----------
    target : array-like, shape (class, z, y, x) or (z, y, x)
        Labelled where it is above 0; sliced piece by piece.
    patch, overlap, box
        As in `patch_grid`.
    min_label_fraction, max_label_fraction : float
        A patch is kept if the largest of its classes' labelled fractions lies between these, neither
        included. None as the first keeps all patches, empty ones too.
    tomogram : str
        Name for the patches.

    Returns
    -------
    list of PatchIndex
        In C order.

    Raises
    ------
    InputError
        If the target has not 3 or 4 axes.

    Notes
    -----
    Reads every voxel once. Mirrored voxels count as often as a patch shows them.
    """
    if len(target.shape) not in (3, 4):
        raise InputError(f"a target is (class, z, y, x) or (z, y, x), not of shape {tuple(target.shape)}")
    starts = _starts(tuple(target.shape[-3:]), patch, overlap, box)  # type: ignore[arg-type]
    counts = _counts(target, starts, patch, box).reshape(len(_lead(target)), -1)
    volume = patch**3
    patches = []
    for start, labelled in zip(itertools.product(*starts), counts.T.tolist(), strict=True):
        fraction = max(labelled) / volume
        if min_label_fraction is None or min_label_fraction < fraction < max_label_fraction:
            patches.append(PatchIndex(start, tuple(labelled), tomogram))  # type: ignore[arg-type]
    return patches


def particle_patches(
    target: Any,
    positions: np.ndarray,
    patch: int = PATCH,
    *,
    box: Box | None = None,
    tomogram: str = "",
) -> list[PatchIndex]:
    """Center a patch on each particle.

    Parameters
    ----------
    target : array-like, shape (class, z, y, x) or (z, y, x)
        For the numbers of labelled voxels.
    positions : numpy.ndarray of float, shape (n, 3)
        Voxels (z, y, x); those outside the tomogram (or the box) are left out.
    patch, box, tomogram
        As in `select_patches`.
    """
    places = _box(tuple(target.shape[-3:]), box)  # type: ignore[arg-type]
    patches = []
    for center in np.floor(np.asarray(positions, np.float64).reshape(-1, 3) + 0.5).astype(int).tolist():
        if all(b.start <= c < b.stop for c, b in zip(center, places, strict=True)):
            z, y, x = (c - patch // 2 for c in center)
            labels = read_patch(target, (z, y, x), (patch,) * 3, box) > 0
            labelled = labels.reshape(len(_lead(target)), -1).sum(axis=1)
            patches.append(PatchIndex((z, y, x), tuple(labelled.tolist()), tomogram))
    return patches


def read_patch(source: Any, start: Shape, size: Shape, box: Box | None = None) -> np.ndarray:
    """Read a part of a stored array, mirrored at its edges; reads only what is shown.

    Parameters
    ----------
    source : array-like, shape (..., z, y, x)
        Sliced once.
    start, size : (int, int, int)
        First voxel, may be below 0, and voxels to read, on (z, y, x).
    box : tuple of three slices, optional
        Part of the array at whose edges to mirror instead; nothing beyond it is read.

    Returns
    -------
    numpy.ndarray
        Shape (..., *size), dtype of the source, C-contiguous.

    Examples
    --------
    >>> read_patch(np.arange(5).reshape(1, 1, 5), (0, 0, -2), (1, 1, 4))
    array([[[2, 1, 0, 1]]])
    """
    n_lead = len(source.shape) - 3
    shown = [
        reflect_indices(s - b.start, s + n - b.start, b.stop - b.start) + b.start
        for s, n, b in zip(start, size, _box(tuple(source.shape[-3:]), box), strict=True)  # type: ignore[arg-type]
    ]
    region = tuple(slice(int(i.min()), int(i.max()) + 1) for i in shown)
    block = np.asarray(source[(slice(None),) * n_lead + region])
    for axis, (index, r) in enumerate(zip(shown, region, strict=True), n_lead):
        if index.size != r.stop - r.start or (np.diff(index) != 1).any():
            block = np.take(block, index - r.start, axis=axis)
    return np.ascontiguousarray(block)


def _box(shape: Shape, box: Box | None) -> Box:
    z, y, x = (slice(*b.indices(n)[:2]) for b, n in zip(box or (slice(None),) * 3, shape, strict=True))
    for axis, b in zip("zyx", (z, y, x), strict=True):
        if b.stop <= b.start:
            raise InputError(f"the region leaves nothing of axis {axis}; give one inside {shape} voxels")
    return z, y, x


def _starts(shape: Shape, patch: int, overlap: int, box: Box | None) -> list[list[int]]:
    core = patch - 2 * overlap
    if overlap < 0 or core < 1:
        raise InputError(
            f"an overlap of {overlap} leaves no core of a patch of {patch} voxels; choose a smaller one"
        )
    starts = []
    for b in _box(shape, box):
        n = b.stop - b.start
        # The original pads by n % core and then cuts: a rest of half a core or more gets its own patch.
        count = max(1, (n + n % core) // core)
        starts.append([b.start + k * core - overlap for k in range(count)])
    return starts


def _lead(target: Any) -> range:
    return range(target.shape[0] if len(target.shape) == 4 else 1)


def _counts(target: Any, starts: list[list[int]], patch: int, box: Box | None) -> np.ndarray:
    """Count the labelled voxels of all patches: (class, patch z, patch y, patch x), exact."""
    places = _box(tuple(target.shape[-3:]), box)  # type: ignore[arg-type]
    # How often each patch of an axis shows each voxel; a count is the product over the axes.
    weights = []
    for first, b in zip(starts, places, strict=True):
        n = b.stop - b.start
        shown = [reflect_indices(s - b.start, s - b.start + patch, n) for s in first]
        weights.append(np.stack([np.bincount(i, minlength=n) for i in shown]).astype(np.float64))
    counts = np.zeros((len(_lead(target)), *(len(s) for s in starts)))
    pieces = [range(0, b.stop - b.start, _PIECE) for b in places]
    for corner in itertools.product(*pieces):
        ends = [min(c + _PIECE, b.stop - b.start) for c, b in zip(corner, places, strict=True)]
        region = tuple(slice(b.start + c, b.start + e) for c, e, b in zip(corner, ends, places, strict=True))
        wz, wy, wx = (w[:, c:e] for w, c, e in zip(weights, corner, ends, strict=True))
        for c in _lead(target):
            key = (c, *region) if len(target.shape) == 4 else region
            labelled = np.asarray(target[key]) > 0
            if labelled.any():
                # One plane at a time in floating point: sums below 2**24 are exact in float32.
                planes = np.stack([wy @ (plane.astype(np.float32) @ wx.T) for plane in labelled])
                counts[c] += np.tensordot(wz, planes, axes=1)
    return np.rint(counts).astype(np.int64)
