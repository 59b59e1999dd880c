"""Tomograms in HDF5 files, EMAN2's among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.raw import Region, checked_voxel_size

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
# Where EMAN2, the original DeePiCt and others keep the one volume of a file, in order of preference.
_PREFERRED = ("MDF/images/0/image", "volumes/raw", "data", "tomogram", "predictions")


@dataclass(frozen=True)
class Hdf5Volume:
    """One dataset of an HDF5 file, opened anew for each read.

    Attributes
    ----------
    path, dataset : str
        File, and name of the dataset in it.
    shape : (int, int, int)
        (z, y, x) voxels; leading axes of length 1 are left away.
    stored_dtype : str
        numpy's name of the dtype in the file.
    n_leading : int
        Number of the axes left away.
    voxel_size : (float, float, float) or None
        (z, y, x) in A, from EMAN2's attributes.
    details, warnings : dict, list of str
        As in ``RawVolume``.
    """

    path: str
    dataset: str
    shape: tuple[int, int, int]
    stored_dtype: str
    n_leading: int = 0
    voxel_size: tuple[float, float, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    format: str = "hdf5"

    @property
    def dtype(self) -> np.dtype:
        """Dtype of what ``read`` gives, in the byte order of this machine."""
        return np.dtype(self.stored_dtype).newbyteorder("=")

    def read(self, region: Region) -> np.ndarray:
        """Read one region, a tuple of (z, y, x) slices, as a C-contiguous array."""
        with _open(self.path) as file:
            values = file[self.dataset][(0,) * self.n_leading + tuple(region)]
        return np.ascontiguousarray(values, dtype=self.dtype)


def open_hdf5(path: str | Path, dataset: str | None = None) -> Hdf5Volume:
    """Find the tomogram in an HDF5 file.

    Parameters
    ----------
    path : str or Path
        The file.
    dataset : str, optional
        Name of the dataset. Without it: the only one with three axes, or else the first there is
        of ``MDF/images/0/image`` (EMAN2), ``volumes/raw``, ``data``, ``tomogram``, ``predictions``.

    Returns
    -------
    Hdf5Volume

    Raises
    ------
    FormatError
        If the file is damaged, or holds no or only complex volumes.
    InputError
        If it holds several and none of the known names, or not the one asked for.
    """
    path = Path(path)
    with _open(path) as file:
        found = _volumes(file)
        name = _choose(path, found, dataset.strip("/") if dataset else None)
        chosen = file[name]
        if chosen.dtype.kind not in "iufb":
            raise FormatError(f"dataset {name} in {path} has dtype {chosen.dtype}; real numbers are needed")
        z, y, x = chosen.shape[-3:]
        if min(z, y, x) < 1:
            raise FormatError(f"dataset {name} in {path} is empty, of shape {(z, y, x)}")
        voxel_size, warnings = _eman_voxel_size(chosen, path)
        details = {"dataset": name, "chunks": list(chosen.chunks or ()), "compression": chosen.compression}
        return Hdf5Volume(
            path=str(path),
            dataset=name,
            shape=(z, y, x),
            stored_dtype=chosen.dtype.str,
            n_leading=chosen.ndim - 3,
            voxel_size=voxel_size,
            details=details,
            warnings=warnings,
        )


def _open(path: str | Path) -> h5py.File:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} is an HDF5 file, which needs h5py; run `pip install h5py`") from error
    try:
        # Network file systems often refuse locks, and nobody writes to what is only read.
        return h5py.File(path, "r", locking="best-effort")
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} is not there, or not visible from this process") from error
    except OSError as error:
        raise FormatError(f"{path} cannot be read as HDF5: {error}") from error


def _volumes(file: h5py.File) -> list[str]:
    """Names of all datasets with three axes, apart from leading ones of length 1."""
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        shape = getattr(item, "shape", None)
        if shape is not None and len(shape) >= 3 and all(n == 1 for n in shape[:-3]):
            names.append(name)

    file.visititems(visit)
    return names


def _choose(path: Path, found: list[str], wanted: str | None) -> str:
    listed = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    if wanted is not None:
        if wanted not in found:
            raise InputError(f"{path} has no volume {wanted}; those it has are: {listed or 'none'}")
        return wanted
    if not found:
        raise FormatError(f"{path} holds no dataset with the three axes of a tomogram")
    if len(found) == 1:
        return found[0]
    for name in _PREFERRED:
        if name in found:
            return name
    raise InputError(f"{path} holds several volumes ({listed}); name one of them with `dataset`")


def _eman_voxel_size(
    dataset: h5py.Dataset, path: Path
) -> tuple[tuple[float, float, float] | None, list[str]]:
    # EMAN2 keeps the header in the attributes of the group around the image.
    attributes = dataset.parent.attrs
    names = ("EMAN.apix_z", "EMAN.apix_y", "EMAN.apix_x")
    if "EMAN.apix_x" not in attributes:
        return None, [f"{path} does not say its voxel size; give it with --voxel-size"]
    x = float(np.ravel(attributes["EMAN.apix_x"])[0])
    z, y, x = (float(np.ravel(attributes[name])[0]) if name in attributes else x for name in names)
    return checked_voxel_size((z, y, x), str(path))
