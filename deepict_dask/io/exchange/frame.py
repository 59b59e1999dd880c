"""How the voxels of a tomogram lie in what other programs count: A from its center, pixels of the tilt series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from deepict_dask.errors import InputError, NeedsGridError
from deepict_dask.geometry import Shape
from deepict_dask.particles import Triple, VoxelGrid

Center = Literal["half", "half-minus-one"]
# Edges of one voxel that differ by less are the same to a format that knows one size.
_SAME_EDGE = 1e-4
# Pixel sizes and binnings are given with three or four digits.
_SAME_PIXEL = 2e-3
# Logarithm of the ratio of two sizes that are not those of one tomogram.
_OTHER_SIZE = 0.2


@dataclass(frozen=True)
class Series:
    """What another program's project says of a tilt series and its tomogram.

    Attributes
    ----------
    name : str
        Of the tilt series.
    pixel_size : float or None
        Of its images (bin 1), in A.
    unbinned_shape : (float, float, float) or None
        Of the tomogram in such pixels, (z, y, x).
    binning : float or None
        Pixels per voxel of the tomogram.
    hand : float or None
        Handedness, 1 or -1.
    """

    name: str
    pixel_size: float | None = None
    unbinned_shape: Triple | None = None
    binning: float | None = None
    hand: float | None = None


@dataclass(frozen=True)
class Frame:
    """One tomogram as other programs count in it.

    Attributes
    ----------
    name : str
        As the other program calls it.
    number : int
        As programs call it that number tomograms.
    grid : VoxelGrid
        Of the tomogram that positions are in.
    series : Series
        Its tilt series, as far as it is known.
    n : int
        Particles.
    """

    name: str
    number: int = 1
    grid: VoxelGrid = field(default_factory=VoxelGrid)
    series: Series = field(default_factory=lambda: Series(""))
    n: int = 0

    @property
    def voxel_size(self) -> np.ndarray:
        """Edges of a voxel in A, (z, y, x).

        Raises
        ------
        NeedsGridError
            If nothing says them.
        """
        if self.grid.voxel_size is None:
            raise NeedsGridError(
                f"nothing says the voxel size of {self.name or 'the tomogram'}; give it with --voxel-size (in A)"
            )
        return np.asarray(self.grid.voxel_size, np.float64)

    @property
    def shape(self) -> np.ndarray:
        """Voxels of the tomogram, (z, y, x); NeedsGridError if nothing says them."""
        if self.grid.shape is None:
            raise NeedsGridError(
                f"positions are counted from the center of the tomogram, and nothing says the size of {self.name or 'it'}; give "
                "it with --shape Z,Y,X (in voxels)"
            )
        return np.asarray(self.grid.shape, np.float64)

    @property
    def pixel_size(self) -> float:
        """Edge of a pixel of the tilt series (bin 1) in A; NeedsGridError if nothing says it."""
        if self.series.pixel_size is None:
            raise NeedsGridError(
                f"nothing says the pixel size of the tilt series of {self.name or 'the tomogram'} (bin 1); give it with "
                "--pixel-size (in A), --binning (1 if the tomogram is not binned) or --tomograms TOMOGRAMS.star"
            )
        return self.series.pixel_size

    @property
    def unbinned_shape(self) -> np.ndarray:
        """Size of the tomogram in pixels of the tilt series, (z, y, x), as its project says, else computed."""
        if self.series.unbinned_shape is not None:
            return np.asarray(self.series.unbinned_shape, np.float64)
        return self.shape * self.voxel_size / self.pixel_size

    def cubic(self, program: str) -> float:
        """Give the edge of a voxel in A to a program that knows one for all axes; InputError where they differ."""
        edges = self.voxel_size
        if not np.allclose(edges, edges[0], rtol=_SAME_EDGE, atol=0):
            raise InputError(
                f"{self.name} has voxels of {' x '.join(f'{e:g}' for e in edges)} A (z, y, x), and {program} knows one size for all "
                "axes; resample the tomogram, or use a format that counts in A (relion5, copick)"
            )
        return float(edges[0])

    def centered(self, positions: np.ndarray, center: Center = "half") -> np.ndarray:
        """Give positions in A from the center of the tomogram.

        Parameters
        ----------
        positions : float64 (n, 3)
            (z, y, x) voxels, the center of the first one being 0.
        center : {"half", "half-minus-one"}
            The center is index ``n / 2``, or one pixel of the tilt series before it.
        """
        return (positions - self.shape / 2) * self.voxel_size + self._step(center)

    def from_centered(self, angstrom: np.ndarray, center: Center = "half") -> np.ndarray:
        """Give voxels of what `centered` gave.

        Parameters
        ----------
        angstrom : float64 (n, 3)
            (z, y, x) in A from the center of the tomogram.
        center : {"half", "half-minus-one"}
            As for `centered`.

        Returns
        -------
        float64 (n, 3)
            (z, y, x) voxels, the center of the first one being 0.

        Raises
        ------
        NeedsGridError
            If nothing says the voxel size or the shape.
        """
        return (angstrom - self._step(center)) / self.voxel_size + self.shape / 2

    def unbinned(self, positions: np.ndarray) -> np.ndarray:
        """Give positions in pixels of the tilt series, such that the centers (index ``n / 2``) are the same place.

        Where no project says another size, the first voxel and the first pixel are then the same place too.
        """
        ratio = self.voxel_size / self.pixel_size
        if self.series.unbinned_shape is None:
            return positions * ratio
        return (positions - self.shape / 2) * ratio + self.unbinned_shape / 2

    def from_unbinned(self, pixels: np.ndarray) -> np.ndarray:
        """Give voxels of what `unbinned` gave.

        Parameters
        ----------
        pixels : float64 (n, 3)
            (z, y, x) pixels of the tilt series (bin 1), the center of the first one being 0.

        Returns
        -------
        float64 (n, 3)
            (z, y, x) voxels of the tomogram, the center of the first one being 0.

        Raises
        ------
        NeedsGridError
            If nothing says the voxel size or the pixel size; or the shape, where a project says the size in pixels.
        """
        ratio = self.pixel_size / self.voxel_size
        if self.series.unbinned_shape is None:
            return pixels * ratio
        return (pixels - self.unbinned_shape / 2) * ratio + self.shape / 2

    def _step(self, center: Center) -> float:
        return self.pixel_size if center == "half-minus-one" else 0.0


@dataclass(frozen=True)
class Geometry:
    """What a user says of voxels, pixels and origins, for export and import alike.

    Attributes
    ----------
    voxel_size : (float, float, float), optional
        Of the tomograms, in A, (z, y, x); overrides what tables say.
    shape : (int, int, int), optional
        Of the tomograms, (z, y, x) voxels.
    pixel_size : float, optional
        Of the tilt series' images (bin 1), in A.
    binning : float, optional
        Pixels per voxel, instead of `pixel_size`.
    series : mapping of str to Series
        By tomogram, of a project.
    first_voxel : float, optional
        Coordinate of the center of the first voxel, 0 or 1; the program's own unless given.
    center : {"half", "half-minus-one"}
        Where RELION 5's center is.
    offset : (float, float, float)
        Added to positions when they are exported, taken off when they are imported; A, (z, y, x).
    """

    voxel_size: Triple | None = None
    shape: Shape | None = None
    pixel_size: float | None = None
    binning: float | None = None
    series: Mapping[str, Series] = field(default_factory=dict)
    first_voxel: float | None = None
    center: Center = "half"
    offset: Triple = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("pixel_size", "binning"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"--{name.replace('_', '-')} is a positive number, not {value!r}")
        if self.pixel_size is not None and self.binning is not None:
            raise InputError(
                "--pixel-size and --binning say the same thing, since the voxel size is known; give one"
            )

    def first_voxel_or(self, usual: float) -> float:
        """Give the coordinate of the center of the first voxel: what the user says, else what the program takes it for."""
        return usual if self.first_voxel is None else self.first_voxel

    def frame(self, name: str, grid: VoxelGrid, number: int = 1, n: int = 0) -> Frame:
        """Put together what is known of one tomogram.

        Parameters
        ----------
        name : str
            As the other program calls it.
        grid : VoxelGrid
            What the table says.
        number, n : int
            Of the tomogram, and of its particles.

        Raises
        ------
        InputError
            If what the user says of pixels is not what the project says.
        """
        stated = self.series.get(name, Series(name))
        size = self.voxel_size or grid.voxel_size
        if size is None and stated.pixel_size and stated.binning:
            size = (stated.pixel_size * stated.binning,) * 3
        pixel = self.pixel_size or stated.pixel_size
        if pixel is None and self.binning and size is not None:
            if not np.allclose(size, size[0], rtol=_SAME_EDGE, atol=0):
                raise InputError(
                    f"{name} has voxels of {' x '.join(f'{e:g}' for e in size)} A (z, y, x), so one --binning does not say the pixel "
                    "size; give --pixel-size (in A)"
                )
            pixel = size[0] / self.binning
        self._check_pixels(name, stated, size)
        shape = self.shape or grid.shape
        _check_size(name, stated, size, shape, pixel)
        if shape is None and stated.unbinned_shape and size is not None and pixel is not None:
            # As RELION reconstructs: whole voxels, rounded.
            z, y, x = (
                int(n_pixels * pixel / edge + 0.5)
                for n_pixels, edge in zip(stated.unbinned_shape, size, strict=True)
            )
            shape = (z, y, x)
        series = Series(name, pixel, stated.unbinned_shape, stated.binning, stated.hand)
        return Frame(name, number, VoxelGrid(size, shape, grid.origin), series, n)

    def _check_pixels(self, name: str, stated: Series, size: Triple | None) -> None:
        """Refuse a pixel size or binning that the project of the tilt series contradicts."""
        who = name or "the tomogram"
        pixels = self.pixel_size, stated.pixel_size
        if None not in pixels and not np.isclose(*pixels, rtol=_SAME_PIXEL, atol=0):  # type: ignore[arg-type]
            raise InputError(
                f"--pixel-size says {self.pixel_size:g} A, and the project of {who} says {stated.pixel_size:g} A; leave out "
                "--pixel-size, or correct the project's list"
            )
        if self.binning is None:
            return
        of_project = stated.binning
        if stated.pixel_size is not None and size is not None:
            of_project = size[2] / stated.pixel_size
        if of_project is not None and not np.isclose(self.binning, of_project, rtol=_SAME_PIXEL, atol=0):
            raise InputError(
                f"--binning says {self.binning:g} pixels per voxel, and the project of {who} {of_project:g}"
                + (f" (its pixels have {stated.pixel_size:g} A)" if stated.pixel_size is not None else "")
                + "; leave out --binning, or correct the project's list"
            )


def _check_size(
    name: str, stated: Series, size: Triple | None, shape: Shape | None, pixel: float | None
) -> None:
    """Refuse a pixel size that makes the project's bin-1 size another tomogram than the one that is there."""
    if stated.unbinned_shape is None or size is None or shape is None or pixel is None:
        return
    ratio = np.asarray(stated.unbinned_shape) * pixel / (np.asarray(shape) * np.asarray(size))
    # Tomograms are cropped and padded, by far less than a factor of binning and not on all axes alike.
    if (np.abs(np.log(ratio)) > _OTHER_SIZE).all():
        raise InputError(
            f"the project says that {name or 'the tomogram'} has {' x '.join(f'{n:g}' for n in stated.unbinned_shape)} pixels "
            f"(z, y, x), which at {pixel:g} A are {' x '.join(f'{r:.2g}' for r in ratio)} times its {' x '.join(map(str, shape))} "
            f"voxels of {' x '.join(f'{e:g}' for e in size)} A; correct --pixel-size, --binning or --voxel-size"
        )
