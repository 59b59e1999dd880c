"""Masks: where something is allowed or labelled. One rule for regions, truth, training masks and maps of other networks.

A mask lies on the tomogram's own voxels, or on those of the map that it is used with; any other shape or
voxel size is an error that says both, or is resampled when asked. Inside is what is above 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.io.source import Source, open_source
from deepict_dask.kernels.thresholding import threshold_block
from deepict_dask.tomogram import Grid, VoxelSize, same_voxel_size


@dataclass(frozen=True)
class Mask:
    """A mask as an array of 0 and 1 on some grid, read by region; small, it travels as its reference.

    Attributes
    ----------
    source : array-like, shape (z, y, x)
        Sliced by region: a `Source`, or a stored map.
    name : str
        What to call it in sentences.
    shape : (int, int, int)
        Of the grid that it is shown on, (z, y, x) voxels.
    factor : (float, float, float)
        Voxel size of that grid over its own; each voxel shows the nearest one of the mask.
    threshold : float or None
        What is above is inside; needed where values lie between 0 and 1.
    scale : float or None
        Probability of one stored level, of maps.
    channel : int or None
        Of a map of several classes.
    values : tuple of int or None
        Of a label image: only these are inside; None for all above 0.
    way_out : str
        What to do about values between 0 and 1.
    option : str or None
        What asks for a mask on another grid to be resampled.
    """

    source: Any
    name: str
    shape: Shape
    factor: VoxelSize = (1.0, 1.0, 1.0)
    threshold: float | None = None
    scale: float | None = None
    channel: int | None = None
    values: tuple[int, ...] | None = None
    way_out: str = "write a mask of 0 and 1"
    option: str | None = None

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
        """Read a region, three slices; 1 is inside.

        Raises
        ------
        InputError
            If there is a NaN in it, or values between 0 and 1 and no threshold.
        """
        if self.factor == (1.0, 1.0, 1.0):
            return self._inside(self._read(tuple(region)))
        stored_shape: Shape = tuple(self.source.shape[-3:])
        shown = [
            np.minimum(np.rint(np.arange(*r.indices(m)) * f).astype(int), n - 1)
            for r, f, m, n in zip(region, self.factor, self.shape, stored_shape, strict=True)
        ]
        read = self._read(tuple(slice(i[0], i[-1] + 1) for i in shown))
        return self._inside(read)[np.ix_(*(i - i[0] for i in shown))]

    def __len__(self) -> int:
        return self.shape[0]

    def __dask_tokenize__(self) -> Any:
        token = self.source.__dask_tokenize__()
        return "mask", token, self.shape, self.factor, self.threshold, self.scale, self.channel, self.values

    def check_values(self, *, has_nan: bool, has_between: bool) -> None:
        """Refuse values that say neither inside nor outside; InputError if there are any."""
        if has_nan:
            raise InputError(
                f"{self.name} holds NaN, which is neither inside nor outside; write 0 where nothing is inside"
            )
        if self.threshold is None and has_between:
            raise InputError(
                f"{self.name} holds values between 0 and 1, such as probabilities; {self.way_out}"
            )

    def _read(self, region: tuple[slice, ...]) -> np.ndarray:
        return np.asarray(self.source[region if self.channel is None else (self.channel, *region)])

    def _inside(self, values: np.ndarray) -> np.ndarray:
        if values.dtype.kind == "f":
            has_between = bool(((values > 0) & (values < 1)).any())
            self.check_values(has_nan=bool(np.isnan(values).any()), has_between=has_between)
        if self.values is not None:
            return np.isin(values, self.values).astype(np.uint8)
        if self.scale is not None:
            return threshold_block(values, self.threshold or 0.0, (0, 0, 0), self.scale).astype(np.uint8)
        return (values > (self.threshold or 0.0)).astype(np.uint8)


def open_mask(
    path: str,
    image_grid: Grid,
    own_grid: Grid,
    *,
    what: str,
    resample: bool = False,
    threshold: float | None = None,
    values: tuple[int, ...] | None = None,
    way_out: str = Mask.way_out,
    option: str | None = None,
) -> tuple[Source, Mask]:
    """Open a mask in a file and bring it onto the grid that it is used on.

    Parameters
    ----------
    path : str
        Any format of tomograms.
    image_grid, own_grid : Grid
        Of the map that it is used with, and of the tomogram as it came.
    what : str
        What it is, for sentences: ``"the region mask"``.
    resample : bool
        Whether a mask on another grid is resampled; its voxel size must be known.
    threshold : float, optional
        What is above is inside; 0 unless given.
    values : tuple of int, optional
        Of a label image: only these are inside.
    way_out : str
        What to do about values between 0 and 1.
    option : str, optional
        What asks for a mask on another grid to be resampled, where the user can.

    Returns
    -------
    source : Source
        The file.
    mask : Mask
        On the grid of the image.

    Raises
    ------
    InputError
        If it cannot be read or lies on another grid.
    """
    source = open_source(path)
    mask = Mask(
        source,
        f"{what} {source.path}",
        image_grid.shape,
        threshold=threshold,
        values=values,
        way_out=way_out,
        option=option,
    )
    return source, on_grid(mask, mask_grid(source), image_grid, own_grid, resample=resample)


def mask_grid(source: Source) -> Grid:
    """Give the grid of a mask; a voxel of exactly 1 A is what programs write that do not know it."""
    size = source.voxel_size
    return Grid(source.shape, None if size == (1.0, 1.0, 1.0) else size)


def on_grid(mask: Mask, grid: Grid, image_grid: Grid, own_grid: Grid, *, resample: bool = False) -> Mask:
    """Show a mask on the grid of an image.

    Parameters
    ----------
    mask : Mask
        On its own grid.
    grid : Grid
        Of it.
    image_grid, own_grid : Grid
        Of the map that it is used with, and of the tomogram as it came.
    resample : bool
        Whether a mask on any other grid is resampled.

    Raises
    ------
    InputError
        If it lies on neither and is not to be resampled, saying both grids.
    """
    if _fits(grid, image_grid):
        return replace(mask, shape=image_grid.shape, factor=(1.0, 1.0, 1.0))
    if _fits(grid, own_grid):
        return _nearest(mask, own_grid, image_grid)
    if resample and grid.voxel_size is not None and image_grid.voxel_size is not None:
        return _nearest(mask, grid, image_grid)
    also = f" (and the map that it is used with {image_grid})" if image_grid != own_grid else ""
    way_out = "give one on the tomogram's voxels"
    if resample:
        way_out += "; to be resampled its voxel size must be known"
    elif grid.voxel_size is not None and mask.option is not None:
        way_out += f", or let it be resampled with {mask.option}"
    raise InputError(f"{mask.name} has {grid}, but the tomogram has {own_grid}{also}; {way_out}")


def _fits(grid: Grid, other: Grid) -> bool:
    if grid.shape != other.shape:
        return False
    return None in (grid.voxel_size, other.voxel_size) or same_voxel_size(grid.voxel_size, other.voxel_size)  # type: ignore[arg-type]


def _nearest(mask: Mask, grid: Grid, image_grid: Grid) -> Mask:
    assert grid.voxel_size is not None and image_grid.voxel_size is not None
    a, b, c = (
        image_edge / edge for image_edge, edge in zip(image_grid.voxel_size, grid.voxel_size, strict=True)
    )
    return replace(mask, shape=image_grid.shape, factor=(a, b, c))
