"""Slices of a stored tomogram: mean planes, read from the level of its pyramid that the picture can show.

What is read is bounded by the pixels drawn and the thickness asked for, never by the tomogram.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepict_dask.geometry import Shape
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.source import Source
from deepict_dask.io.stored_array import OneChannel
from deepict_dask.tomogram import VoxelSize

# Planes are added up in pieces of so many bytes.
_PIECE = 64 << 20
# A coarser level is taken while its voxels, smoothly enlarged, are no larger on the picture.
_PIXELS_PER_VOXEL = 1.6


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Voxels to slice, at several resolutions; (z, y, x) everywhere, in voxels of the finest level.

    Attributes
    ----------
    levels : tuple of array-like, shape (z, y, x)
        Finest first; level i has ``ceil(n / 2**i)`` voxels along an axis, each the mean of 2**i.
    voxel_size : (float, float, float)
        Of the finest level in A.
    """

    levels: tuple[Any, ...]
    voxel_size: VoxelSize

    @classmethod
    def of(cls, image: Image, channel: int | None = None) -> Pyramid:
        """Take an image of the run, or one channel of it; of others' images the finest level only."""
        n = 1 if image.is_foreign else len(image.level_paths)
        levels = [image.level(i) for i in range(n)]
        voxel_size = image.voxel_size or (1.0, 1.0, 1.0)
        if len(image.shape) == 4:
            return cls(tuple(OneChannel(level, channel or 0) for level in levels), voxel_size)
        return cls(tuple(levels), voxel_size)

    @classmethod
    def of_source(cls, source: Source) -> Pyramid:
        """Take a file."""
        return cls((source,), source.voxel_size or (1.0, 1.0, 1.0))

    @property
    def shape(self) -> Shape:
        """Of the finest level."""
        z, y, x = self.levels[0].shape[-3:]
        return z, y, x

    @property
    def extent(self) -> VoxelSize:
        """Edges (z, y, x) of the whole in A."""
        z, y, x = (n * v for n, v in zip(self.shape, self.voxel_size, strict=True))
        return z, y, x

    def plane(
        self,
        axis: int,
        center: float,
        thickness: float,
        size: tuple[int, int],
        *,
        window: tuple[tuple[float, float], tuple[float, float]] | None = None,
        gaussian: float = 0.0,
    ) -> np.ndarray:
        """Give the mean of planes, resampled to pixels.

        Parameters
        ----------
        axis : {0, 1, 2}
            That is averaged over: 0 gives an x-y slice, 1 an x-z slice.
        center : float
            Middle of the slab along it, in voxels.
        thickness : float
            Of the slab in A; at least one plane is taken.
        size : (int, int)
            Rows and columns to give, in pixels.
        window : ((float, float), (float, float)), optional
            Begin and end along rows and columns that is shown, in voxels, where voxel k covers k - 1/2 to k + 1/2; all of
            it unless given. What lies outside of the tomogram is NaN.
        gaussian : float
            Sigma in A of a smoothing within the plane.

        Returns
        -------
        float32 (rows, columns)
        """
        across = [a for a in range(3) if a != axis]
        whole = tuple((-0.5, self.shape[a] - 0.5) for a in across)
        spans = window or whole
        planes = max(1, round(thickness / self.voxel_size[axis]))
        i = self._level([n / (e - b) for n, (b, e) in zip(size, spans, strict=True)], planes)
        factor = 2**i
        level = self.levels[i]
        keys: list[slice] = [slice(None)] * 3
        first = round(center - (planes - 1) / 2)
        keys[axis] = _within(first / factor, (first + planes) / factor, level.shape[axis])
        # In voxels of the level, whose voxel k covers k to k + 1 here.
        in_level = [((b + 0.5) / factor, (e + 0.5) / factor) for b, e in spans]
        margin = 2 + math.ceil(3 * gaussian / min(self.voxel_size[a] * factor for a in across))
        for a, (b, e) in zip(across, in_level, strict=True):
            keys[a] = _within(b - margin, e + margin, level.shape[a])
        values = _mean(level, tuple(keys), axis)
        if gaussian > 0:
            from scipy import ndimage

            sigmas = [gaussian / (self.voxel_size[a] * factor) for a in across]
            values = ndimage.gaussian_filter(values, sigmas)
        ends = [self.shape[a] / factor for a in across]
        boxes = [
            (b - keys[a].start, e - keys[a].start, end - keys[a].start)
            for a, (b, e), end in zip(across, in_level, ends, strict=True)
        ]
        return _resampled(values, size, boxes)

    def _level(self, pixels_per_voxel: list[float], planes: int) -> int:
        """Choose the coarsest level that still has a voxel per pixel and is no thicker than the slab."""
        i = 0
        while (
            i + 1 < len(self.levels) and max(pixels_per_voxel) * 2 ** (i + 1) < 1.1 and 2 ** (i + 1) <= planes
        ):
            i += 1
        return i


def _within(begin: float, end: float, n: int) -> slice:
    """Give whole voxels that hold a range, at least one of those there are."""
    first = min(max(math.floor(begin + 1e-9), 0), n - 1)
    return slice(first, max(min(math.ceil(end - 1e-9), n), first + 1))


def _mean(level: Any, keys: tuple[slice, ...], axis: int) -> np.ndarray:
    spans = [key.stop - key.start for key in keys]
    plane_bytes = math.prod(spans) // spans[axis] * level.dtype.itemsize
    step = max(1, _PIECE // max(1, plane_bytes))
    total: Any = 0.0
    for start in range(keys[axis].start, keys[axis].stop, step):
        piece = list(keys)
        piece[axis] = slice(start, min(start + step, keys[axis].stop))
        total = total + np.asarray(level[tuple(piece)]).sum(axis=axis, dtype=np.float64)
    return np.asarray(total / spans[axis], np.float32)


def _resampled(
    values: np.ndarray, size: tuple[int, int], boxes: list[tuple[float, float, float]]
) -> np.ndarray:
    """Resample a box of a plane to pixels; begin and end in voxels of the plane, and where the tomogram ends."""
    from PIL import Image

    finite = np.isfinite(values)
    if not finite.all():
        values = np.where(finite, values, values[finite].mean() if finite.any() else 0.0)
    out = np.full(size, np.nan, np.float32)
    target: list[slice] = []
    source: list[tuple[float, float]] = []
    for n, (begin, end, last) in zip(size, boxes, strict=True):
        pixel = (end - begin) / n
        low = max(0, math.ceil((0 - begin) / pixel - 1e-6))
        high = min(n, math.floor((last - begin) / pixel + 1e-6))
        if high <= low:
            return out
        target.append(slice(low, high))
        source.append((max(begin + low * pixel, 0.0), begin + high * pixel))
    (top, bottom), (left, right) = (
        (b, min(e, float(edge))) for (b, e), edge in zip(source, values.shape, strict=True)
    )
    rows, columns = (t.stop - t.start for t in target)
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    out[tuple(target)] = np.asarray(
        image.resize((columns, rows), Image.Resampling.BICUBIC, box=(left, top, right, bottom))
    )
    return out
