"""Tomograms in HDF5 files: EMAN2's, ilastik's, Fiji's and plain ones."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import DeepictError, FormatError, InputError, MissingFileError
from deepict_dask.io.formats.volume import (
    IN_ORDER,
    NO_CHOICE,
    Choice,
    Region,
    StoredAxes,
    Volume,
    check_real,
    check_shape,
    choose_channel,
    judge_voxel_size,
)
from deepict_dask.tomogram import VoxelSize

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
# Where EMAN2, the original DeePiCt and others keep the one volume of a file, in order of preference.
_PREFERRED = ("MDF/images/0/image", "volumes/raw", "data", "tomogram", "predictions")
# Bytes at the beginning of a file that hold its superblock.
SUPERBLOCK = 96


@dataclass(frozen=True)
class Hdf5Voxels:
    """One dataset of an HDF5 file, opened anew for each read.

    Attributes
    ----------
    path, dataset : str
        File, and name of the dataset in it.
    axes : StoredAxes
        Where z, y, x lie in it.
    """

    path: str
    dataset: str
    axes: StoredAxes = IN_ORDER

    def read(self, region: Region) -> np.ndarray:
        """Read one region, a tuple of (z, y, x) slices, as a C-contiguous array."""
        with _opened(self.path, self.path) as file:
            dataset = file[self.dataset]
            values = self.axes.read(dataset, region)
            return np.ascontiguousarray(values, dtype=dataset.dtype.newbyteorder("="))


def open_hdf5(path: str | Path, choice: Choice = NO_CHOICE, file: io.RawIOBase | None = None) -> Volume:
    """Find the tomogram in an HDF5 file.

    Parameters
    ----------
    path : str or Path
        The file.
    choice : Choice
        Its ``dataset`` names the dataset. Without it: the only one with three axes, or else the first there is
        of ``MDF/images/0/image`` (EMAN2), ``volumes/raw``, ``data``, ``tomogram``, ``predictions``.
        Its ``channel`` chooses where there are several.
    file : file object, optional
        To read from instead (the stream of a packed file).

    Returns
    -------
    Volume
        ilastik's ``axistags`` say which axes are z, y, x; without them these are the last three that are
        not of length 1 at the end. The voxel size comes from EMAN2's attributes or ``element_size_um``.

    Raises
    ------
    FormatError
        If the file is damaged, or holds no or only complex volumes.
    InputError
        If it holds several and none of the known names, or not the one asked for; or several channels.
    """
    path = str(path)
    with _opened(file or path, path) as opened:
        name = _choose(path, opened, choice.dataset.strip("/") if choice.dataset else None)
        dataset = opened[name]
        place = f"dataset {name} in {path}"
        axes = _axes(dataset, choice, place)
        shape = check_shape(axes.of(dataset.shape), place)
        dtype = check_real(dataset.dtype, place)
        _check_filters(dataset, place)
        voxel_size, doubt = _voxel_size(dataset, path, shape)
        is_filtered = dataset.chunks is not None and dataset.id.get_create_plist().get_nfilters() > 0
        return Volume(
            format="hdf5",
            shape=shape,
            dtype=dtype,
            voxels=Hdf5Voxels(path, name, axes),
            voxel_size=voxel_size,
            doubt=doubt,
            chunk=axes.of(dataset.chunks) if is_filtered else None,
            details={
                "dataset": name,
                "chunks": list(dataset.chunks or ()),
                "compression": dataset.compression,
            },
        )


def end_of_file(head: bytes) -> int | None:
    """Read from the first bytes of an HDF5 file how long it is; None where they do not say.

    References
    ----------
    HDF5 File Format Specification 3.0, section II.A (superblock).
    """
    if len(head) < SUPERBLOCK or not head.startswith(MAGIC):
        return None
    version = head[8]
    # Sizes of addresses, and where the base address is; free space or extension, then the end, follow it.
    at = {0: (13, 24), 1: (13, 28), 2: (9, 12), 3: (9, 12)}.get(version)
    if at is None:
        return None
    n = head[at[0]]
    start = at[1] + 2 * n
    if n not in (4, 8) or start + n > len(head):
        return None
    return int.from_bytes(head[start : start + n], "little")


@contextmanager
def _opened(file: Any, place: str) -> Iterator[h5py.File]:
    """Open the file, and turn what goes wrong in it into one sentence."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{place} is an HDF5 file, which needs h5py; run `pip install h5py`") from error
    try:
        # Network file systems often refuse locks, and nobody writes to what is only read.
        # HDF5 does not open a file that has no name any more.
        if isinstance(file, str) and file.startswith("/proc/self/fd/"):
            file = open(file, "rb")  # noqa: SIM115 - goes with h5py's file
        more = {"locking": "best-effort"} if isinstance(file, str) else {}
        opened = h5py.File(file, "r", **more)
    except FileNotFoundError as error:
        raise MissingFileError(f"{place} is not there, or not visible from this process") from error
    except PermissionError:
        raise
    except OSError as error:
        if (
            "unable to lock" in str(error)
            or "consistency flags" in str(error)
            or "open for write" in str(error)
        ):
            raise InputError(
                f"{place} is open for writing in another program, or was never closed by it ({_first_line(error)}); let "
                "that program finish, or run `h5clear -s` on a copy"
            ) from error
        raise FormatError(f"{place} cannot be read as HDF5 ({_first_line(error)}); copy it again") from error
    with opened:
        try:
            yield opened
        except DeepictError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise FormatError(
                f"{place} is damaged: HDF5 says {_first_line(error)!r}; copy it again"
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _choose(path: str, file: h5py.File, dataset: str | None) -> str:
    """Give the name of the dataset to read."""
    volumes: list[str] = []
    several: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: Any) -> None:
        shape = getattr(item, "shape", None)
        if shape is not None and len(shape) >= 3:
            if _tags(item) or sum(n != 1 for n in shape) <= 3:
                volumes.append(name)
            else:
                several[name] = shape

    file.visititems(visit)
    listed = ", ".join(volumes[:8]) + (f" and {len(volumes) - 8} more" if len(volumes) > 8 else "")
    if dataset is not None:
        if dataset not in volumes and dataset not in several:
            raise InputError(f"{path} has no volume {dataset}; those it has are: {listed or 'none'}")
        return dataset
    if not volumes:
        if several:
            name, shape = next(iter(several.items()))
            raise InputError(
                f"dataset {name} in {path} has shape {shape}, more than the three axes of a tomogram; choose with "
                f"--dataset {name} and --channel if the first axis is one of channels"
            )
        raise FormatError(f"{path} holds no dataset with the three axes of a tomogram")
    if len(volumes) == 1:
        return volumes[0]
    eman2 = [name for name in volumes if name.startswith("MDF/images/")]
    for name in _PREFERRED:
        if name in volumes and not (name in eman2 and len(eman2) > 1):
            return name
    raise InputError(f"{path} holds several volumes ({listed}); name one of them with --dataset")


def _tags(dataset: Any) -> list[str]:
    """Give ilastik's (vigra's) names of the axes; empty where there are none that name z, y and x."""
    if "axistags" not in dataset.attrs:
        return []
    try:
        text = dataset.attrs["axistags"]
        axes = json.loads(text if isinstance(text, str) else bytes(text).decode())["axes"]
        names = [str(axis["key"]).lower() for axis in axes]
    except (ValueError, KeyError, TypeError):
        return []
    is_whole = len(names) == len(dataset.shape) and all(names.count(axis) == 1 for axis in "zyx")
    return names if is_whole else []


def _axes(dataset: h5py.Dataset, choice: Choice, place: str) -> StoredAxes:
    shape, n = dataset.shape, dataset.ndim
    if names := _tags(dataset):
        zyx = (names.index("z"), names.index("y"), names.index("x"))
    elif n > 3 and shape[-1] == 1 and sum(size != 1 for size in shape[:-4]) == 0:
        zyx = (n - 4, n - 3, n - 2)  # channels last
        if shape[-4] == 1:  # or a tomogram of one column
            zyx = (n - 3, n - 2, n - 1)
    else:
        zyx = (n - 3, n - 2, n - 1)
    other_axes = [axis for axis in range(n) if axis not in zyx]
    long = [axis for axis in other_axes if shape[axis] > 1]
    if len(long) > 1 or any(names and names[axis] == "t" for axis in long):
        raise InputError(f"{place} has shape {shape}, a series and not one tomogram; give one of its volumes")
    at = {axis: choose_channel(shape[axis], choice, place) for axis in long}
    if not long and choice.channel is not None:
        choose_channel(1, choice, place)
    return StoredAxes(zyx, tuple((axis, at.get(axis, 0)) for axis in other_axes))


def _check_filters(dataset: h5py.Dataset, place: str) -> None:
    """Refuse a dataset whose compression this installation does not have."""
    import h5py

    plist = dataset.id.get_create_plist()
    for i in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            filter_name = name.decode("ascii", "replace") or f"number {code}"
            raise InputError(
                f"{place} is compressed with the HDF5 filter {filter_name}, which is not installed; install hdf5plugin and "
                "set HDF5_PLUGIN_PATH to its folder, or write the file with gzip"
            )


def _voxel_size(
    dataset: h5py.Dataset, path: str, shape: tuple[int, int, int]
) -> tuple[VoxelSize | None, str | None]:
    # EMAN2 keeps the header in the attributes of the group around the image.
    attributes = dataset.parent.attrs
    names = ("EMAN.apix_z", "EMAN.apix_y", "EMAN.apix_x")
    try:
        if "EMAN.apix_x" in attributes:
            x = float(np.ravel(attributes["EMAN.apix_x"])[0])
            z, y, x = (float(np.ravel(attributes[n])[0]) if n in attributes else x for n in names)
            return judge_voxel_size((z, y, x), path, shape)
        if "element_size_um" in dataset.attrs:
            z, y, x = (float(edge) * 1e4 for edge in np.ravel(dataset.attrs["element_size_um"]))
            if all(math.isfinite(edge) for edge in (z, y, x)):
                return judge_voxel_size((z, y, x), path)
    except (ValueError, TypeError, IndexError):
        return None, f"{path} gives a voxel size that is no number; give it with --voxel-size"
    return None, f"{path} does not say its voxel size; give it with --voxel-size"
