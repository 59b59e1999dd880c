"""Zarr groups and arrays as tomograms to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError, MissingFileError
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.io.raw import Region, checked_voxel_size
from deepict_dask.io.zarr_store import open_array

_METADATA = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


@dataclass(frozen=True)
class ZarrVolume:
    """Level 0 of an OME-Zarr image, or a bare Zarr array, opened anew for each read.

    Attributes
    ----------
    path, level : str
        The group (or the array itself) and the array within it (or nothing).
    shape : (int, int, int)
        (z, y, x) voxels; leading axes of length 1 are left away.
    stored_dtype : str
        numpy's name of the dtype in the store.
    n_leading : int
        Number of the axes left away.
    voxel_size : (float, float, float) or None
        (z, y, x) in A.
    details, warnings : dict, list of str
        As in ``RawVolume``.
    """

    path: str
    level: str
    shape: tuple[int, int, int]
    stored_dtype: str
    n_leading: int = 0
    voxel_size: tuple[float, float, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    format: str = "ome-zarr"

    @property
    def dtype(self) -> np.dtype:
        """Dtype of what ``read`` gives, in the byte order of this machine."""
        return np.dtype(self.stored_dtype).newbyteorder("=")

    def read(self, region: Region) -> np.ndarray:
        """Read one region, a tuple of (z, y, x) slices, as a C-contiguous array."""
        array = open_array(Path(self.path, self.level), "r")
        values = array[(0,) * self.n_leading + tuple(region)]
        return np.ascontiguousarray(values, dtype=self.dtype)

    def n_bytes(self) -> int:
        """Size of the files of level 0."""
        return sum(file.stat().st_size for file in self._files(Path(self.path, self.level)))

    def checksum(self) -> str:
        """Hash the metadata, and the names and sizes (not the contents) of the files of level 0.

        Cheap for terabytes and the same on every machine; a voxel changed in place shows only
        if the compressed size of its chunk changes.
        """
        digest = hashlib.sha256()
        top = Path(self.path)
        if not top.is_dir():
            raise MissingFileError(f"{top} is no longer there, so it has no checksum")
        for name in _METADATA:
            if (top / name).is_file():
                digest.update(name.encode() + b"\0" + (top / name).read_bytes() + b"\0")
        level = top / self.level
        for file in sorted(self._files(level), key=lambda f: f.relative_to(level).as_posix()):
            name = file.relative_to(level).as_posix()
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            if file.name in _METADATA:
                digest.update(file.read_bytes())
        return f"sha256:{digest.hexdigest()}"

    @staticmethod
    def _files(folder: Path) -> Iterator[Path]:
        # Half-written files of a killed process are not part of the store.
        return (f for f in folder.rglob("*") if f.is_file() and not f.name.endswith(".partial"))


def is_zarr(path: str | Path) -> bool:
    """Tell whether a folder is a Zarr group or array."""
    return any(Path(path, name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def open_zarr(path: str | Path) -> ZarrVolume:
    """Open an OME-Zarr image or a bare Zarr array, Zarr v2 or v3, as a tomogram.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    ZarrVolume
        Level 0, whose axes must be z, y, x, with leading axes (t, c) only of length 1. A bare
        array has no voxel size.

    Raises
    ------
    FormatError
        If it is not an image with these axes, has complex voxels, or is an output of this
        package that was not finished.
    """
    path = Path(path)
    if not is_zarr(path):
        raise FormatError(f"{path} is a folder but not a Zarr group; name the files in it or a glob")
    details: dict[str, Any]
    if _is_array(path):
        array, level = open_array(path, "r"), ""
        voxel_size, details = None, {"ome_version": None, "levels": 1}
        warnings = [f"{path} is a bare Zarr array without a voxel size; give it with --voxel-size"]
    else:
        image = open_image(path)
        if not image.is_complete:
            raise FormatError(f"{path} was not finished by the program that wrote it; run that stage again")
        array, level = image.array, image.level_paths[0]
        details = {"ome_version": image.version, "levels": len(image.level_paths), **image.attributes}
        if image.voxel_size is None:
            voxel_size = None
            warnings = [f"{path} gives no scale with a known unit; give it with --voxel-size"]
        else:
            voxel_size, warnings = checked_voxel_size(image.voxel_size, str(path))
    lead = tuple(array.shape[:-3])
    if array.ndim < 3 or any(n != 1 for n in lead):
        raise FormatError(
            f"{path} has shape {tuple(array.shape)}; a tomogram is (z, y, x), with axes before these only of "
            "length 1"
        )
    if np.dtype(array.dtype).kind not in "iufb":
        raise FormatError(f"{path} has dtype {array.dtype}; real numbers are needed")
    z, y, x = array.shape[-3:]
    if min(z, y, x) < 1:
        raise FormatError(f"{path} is empty, of shape {tuple(array.shape)}")
    details["chunks"] = list(array.chunks)
    return ZarrVolume(
        path=str(path),
        level=level,
        shape=(z, y, x),
        stored_dtype=np.dtype(array.dtype).str,
        n_leading=len(lead),
        voxel_size=voxel_size,
        details=details,
        warnings=warnings,
    )


def _is_array(path: Path) -> bool:
    if (path / ".zarray").is_file():
        return True
    metadata = path / "zarr.json"
    if not metadata.is_file():
        return False
    try:
        return json.loads(metadata.read_bytes())["node_type"] == "array"
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{metadata} is damaged: {error!r}") from error
