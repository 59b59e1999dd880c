"""One way to open a tomogram, whatever its format."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io import em, hdf5, mrc
from deepict_dask.io.compressed import is_compressed, unpack
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.io.raw import Region
from deepict_dask.io.zarr_volume import ZarrVolume, open_zarr

_HEAD = 1024
_PIECE = 4 << 20
_OTHERS = {
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "a NumPy array",
    b"\xfd7zXZ": "an xz archive",
    b"(\xb5/\xfd": "a Zstandard archive",
}


class Volume(Protocol):
    """What each format gives: facts, and a way to read a region."""

    @property
    def format(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def voxel_size(self) -> tuple[float, float, float] | None: ...
    @property
    def details(self) -> dict[str, Any]: ...
    @property
    def warnings(self) -> list[str]: ...
    def read(self, region: Region) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Source:
    """A tomogram in a file: facts from its header, and voxels on demand.

    It travels to other processes as a path and a few numbers, and slices like a numpy array, so
    ``dask.array.from_array(source, chunks)`` works.

    Attributes
    ----------
    path : str
        What was opened.
    name : str
        File name without the suffixes of format and compression.
    volume : Volume
        Reader of the format; for a compressed file it reads the unpacked copy.
    voxel_size : (float, float, float) or None
        (z, y, x) in A: the one given, else the header's, else None.
    n_bytes : int
        Size of the file as it is stored (of level 0 for Zarr).
    modified : int
        Time of the last change in ns, part of the identity of the content.
    warnings : list of str
        Sentences on what was wrong in the header and what was used instead.
    """

    path: str
    name: str
    volume: Volume
    voxel_size: tuple[float, float, float] | None
    n_bytes: int
    modified: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def format(self) -> str:
        """``"mrc"``, ``"em"``, ``"hdf5"`` or ``"ome-zarr"``."""
        return self.volume.format

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size in (z, y, x) voxels."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the voxels as delivered, in the byte order of this machine."""
        return self.volume.dtype

    @property
    def details(self) -> dict[str, Any]:
        """What else the header says: mode, byte order, labels and so on."""
        return self.volume.details

    @property
    def ndim(self) -> int:
        """Number of axes, 3."""
        return 3

    def read(self, region: Region) -> np.ndarray:
        """Read one region; nothing else of the file is touched.

        Parameters
        ----------
        region : tuple of three slices
            (z, y, x) voxels, step 1.

        Returns
        -------
        numpy.ndarray
            A C-contiguous copy.
        """
        return self.volume.read(region)

    def checksum(self) -> str:
        """Hash the file as it is stored, a piece at a time.

        Returns
        -------
        str
            ``"sha256:<hex>"``. For Zarr: of the metadata and of the names and sizes of the
            chunks, see ``ZarrVolume.checksum``.
        """
        if isinstance(self.volume, ZarrVolume):
            return self.volume.checksum()
        digest = hashlib.sha256()
        if not os.path.isfile(self.path):
            raise MissingFileError(f"{self.path} is no longer there, so it has no checksum")
        with open(self.path, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        return f"sha256:{digest.hexdigest()}"

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read as numpy slices, with integers, slices and an ellipsis."""
        region, after = _numpy_key(key, self.shape)
        return np.ascontiguousarray(self.read(region)[after])

    def __len__(self) -> int:
        return self.shape[0]

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Identify the content for Dask: the same file unchanged gives the same keys."""
        dataset = self.details.get("dataset")
        return "deepict_dask.Source", os.path.abspath(self.path), self.n_bytes, self.modified, dataset


def open_source(
    path: str | Path,
    *,
    voxel_size: float | tuple[float, float, float] | None = None,
    dataset: str | None = None,
    scratch: str | Path | None = None,
) -> Source:
    """Open a tomogram: MRC, REC, MAP, EM, HDF5 (these also in .gz or .bz2), OME-Zarr, Zarr arrays.

    The format is told by the content, not by the file name. Only the header is read, but a
    compressed file is unpacked here, once, see ``compressed.unpack``.

    Parameters
    ----------
    path : str or Path
        File, or folder of a Zarr group or array.
    voxel_size : float or (float, float, float), optional
        In A, all axes or (z, y, x); overrides the header.
    dataset : str, optional
        Name of the volume in an HDF5 file that holds several.
    scratch : str or Path, optional
        Folder for the unpacked copy of a compressed file; must be seen by all workers.

    Returns
    -------
    Source

    Raises
    ------
    MissingFileError
        If there is nothing at ``path``.
    FormatError
        If it is none of these formats, damaged, cut off, or of voxels that are not real
        numbers.
    InputError
        If ``voxel_size`` is not positive, or the file holds several volumes.
    """
    given = None if voxel_size is None else _given_voxel_size(voxel_size)
    path = Path(path).expanduser()
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"{path} does not exist") from error
    try:
        volume: Volume = open_zarr(path) if path.is_dir() else _open_file(path, dataset, scratch)
    except PermissionError as error:
        raise InputError(f"{path} may not be read by this user; ask its owner to allow it") from error
    if isinstance(volume, ZarrVolume):
        n_bytes = volume.n_bytes()
        modified = os.stat(path / volume.level).st_mtime_ns
    else:
        n_bytes, modified = facts.st_size, facts.st_mtime_ns
    # What --voxel-size answers need not be said when it is given.
    warnings = [w for w in volume.warnings if given is None or "--voxel-size" not in w]
    return Source(
        path=str(path),
        name=tomogram_name(path),
        volume=volume,
        voxel_size=given or volume.voxel_size,
        n_bytes=n_bytes,
        modified=modified,
        warnings=warnings,
    )


def _open_file(path: Path, dataset: str | None, scratch: str | Path | None) -> Volume:
    head = _head(path)
    if is_compressed(head):
        plain = unpack(path, scratch)
        try:
            volume = _open_plain(plain, dataset)
        except InputError as error:
            raise type(error)(str(error).replace(str(plain), str(path))) from error
        # Sentences name the file that the user knows.
        volume.warnings[:] = [warning.replace(str(plain), str(path)) for warning in volume.warnings]
        return volume
    return _open_plain(path, dataset)


def _open_plain(path: Path, dataset: str | None) -> Volume:
    head = _head(path)
    size = os.stat(path).st_size
    if size == 0:
        raise FormatError(f"{path} is empty")
    if head.startswith(hdf5.MAGIC):
        return hdf5.open_hdf5(path, dataset)
    other = next((kind for magic, kind in _OTHERS.items() if head.startswith(magic)), None)
    if other:
        raise FormatError(f"{path} is {other}; convert it to MRC, EM, HDF5 or OME-Zarr")
    # EM has no magic number but a size that must fit; MRC since 2000 says MAP.
    if head[208:211] != b"MAP" and em.looks_like_em(head, size):
        return em.open_em(path)
    if mrc.looks_like_mrc(head):
        return mrc.open_mrc(path)
    suffix = path.suffix.lower()
    if suffix == ".em":
        return em.open_em(path)
    if suffix in (".mrc", ".rec", ".map"):
        return mrc.open_mrc(path)
    raise FormatError(f"{path} is not a tomogram that can be read; give MRC, EM, HDF5 or OME-Zarr")


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(_HEAD)


def _given_voxel_size(value: float | tuple[float, float, float]) -> tuple[float, float, float]:
    sizes = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), 3) if np.size(value) in (1, 3) else np.zeros(1)
    )
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise InputError(f"voxel size {value} is not one positive number of A, or three for z, y and x")
    z, y, x = (float(size) for size in sizes)
    return z, y, x


def _numpy_key(key: Any, shape: tuple[int, int, int]) -> tuple[Region, tuple[Any, ...]]:
    """Split a numpy key into a region to read and what to do with it in memory."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        i = keys.index(Ellipsis)
        keys[i : i + 1] = [slice(None)] * (3 - len(keys) + 1)
    if len(keys) > 3:
        raise IndexError(f"{len(keys)} indices for the 3 axes of a tomogram")
    keys += [slice(None)] * (3 - len(keys))
    region: list[slice] = []
    after: list[slice | int] = []
    for item, n in zip(keys, shape, strict=True):
        if isinstance(item, slice):
            wanted = range(n)[item]
            low, high = (min(wanted), max(wanted) + 1) if wanted else (0, 0)
            region.append(slice(low, high))
            after.append(slice(None, None, wanted.step))
        else:
            i = range(n)[item]
            region.append(slice(i, i + 1))
            after.append(0)
    z, y, x = region
    return (z, y, x), tuple(after)
