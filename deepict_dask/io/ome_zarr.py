"""The images that the stages write and read: OME-Zarr groups with a pyramid and our attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import FormatError, InputError
from deepict_dask.geometry import Shape
from deepict_dask.io.ngff import multiscale_attributes, read_multiscale
from deepict_dask.io.zarr_layout import compressor, inner_chunk, pyramid_levels
from deepict_dask.io.zarr_store import local_store, make_room, open_array, open_group, to_json

if TYPE_CHECKING:
    import zarr

__all__ = [
    "Image",
    "create_image",
    "mark_complete",
    "open_image",
    "open_own_image",
    "pyramid_levels",
    "read_attributes",
    "update_attributes",
]

# The key of our own attributes in a group.
KEY = "deepict_dask"
_KINDS = ("tomogram", "probability", "labels")
_VERSIONS = ("0.5", "0.4")


@dataclass(frozen=True)
class Image:
    """An OME-Zarr image: its path and what its metadata said when it was opened.

    Attributes
    ----------
    path : str
        The group.
    shape : tuple of int
        (z, y, x), or (c, z, y, x) with several classes.
    dtype : numpy.dtype
        Of the voxels.
    voxel_size : (float, float, float) or None
        (z, y, x) of level 0 in A.
    name, version : str
        Of the image and of its metadata (``"0.5"``: Zarr v3, ``"0.4"``: Zarr v2).
    level_paths : tuple of str
        Arrays of the levels, finest first.
    attributes : dict
        Ours, under the key ``"deepict_dask"``; empty for images of other programs.
    is_foreign : bool
        Whether another program wrote it.
    mode : str
        ``"r"`` or ``"r+"``, with which ``levels`` are opened.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    voxel_size: tuple[float, float, float] | None
    name: str
    version: str
    level_paths: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    is_foreign: bool = False
    mode: str = "r"

    @property
    def is_complete(self) -> bool:
        """Whether the writing of it was finished; others' images are taken to be."""
        return self.is_foreign or self.attributes.get("complete") is True

    @property
    def classes(self) -> list[str]:
        """Names of the classes of a probability map."""
        return list(self.attributes.get("classes") or [])

    @property
    def levels(self) -> list[zarr.Array]:
        """The arrays of all levels, finest first, opened anew."""
        return [open_array(Path(self.path, level), self.mode) for level in self.level_paths]

    @property
    def array(self) -> zarr.Array:
        """The array of level 0, opened anew."""
        return open_array(Path(self.path, self.level_paths[0]), self.mode)


def create_image(
    path: str | Path,
    *,
    shape: tuple[int, ...],
    dtype: Any,
    voxel_size: tuple[float, float, float],
    name: str,
    core: Shape,
    n_levels: int | None = None,
    version: str = "0.5",
    kind: str = "tomogram",
    fill_value: float | None = None,
    classes: list[str] | None = None,
    overwrite: bool = False,
) -> Image:
    """Make the group and the empty arrays of an image, ready to be written by core.

    Parameters
    ----------
    path : str or Path
        The group to make; folders above it are made too.
    shape : (int, int, int) or (int, int, int, int)
        (z, y, x) voxels; with several classes a leading c may be given or is added.
    dtype : numpy dtype
        Of the voxels.
    voxel_size : (float, float, float)
        (z, y, x) in A.
    name : str
        Of the tomogram.
    core : (int, int, int)
        What one task writes of level 0, in voxels; of level i it writes ``core / 2**i``. Each
        such region holds whole shards (0.5) or chunks (0.4), so tasks never share one.
    n_levels : int, optional
        Levels of the pyramid; ``pyramid_levels`` by default, 1 for labels.
    version : str
        ``"0.5"`` (Zarr v3, chunks in shards) or ``"0.4"`` (Zarr v2, chunks only).
    kind : str
        ``"tomogram"``, ``"probability"`` or ``"labels"``; decides on compression.
    fill_value : float, optional
        What unwritten voxels show; by default NaN for floating probabilities, so that a hole
        is visible, else 0.
    classes : list of str, optional
        Classes of a probability map; more than one make a leading axis c.
    overwrite : bool
        Whether an image that is there is removed first. Anything else is left alone.

    Returns
    -------
    Image
        Opened for writing, and incomplete until ``mark_complete``.

    Raises
    ------
    OutputExistsError
        If something is there and is not to be, or must not be, removed.
    InputError
        If ``core`` cannot be halved ``n_levels - 1`` times, or an option is unknown.
    """
    import zarr

    path = Path(path)
    dtype = np.dtype(dtype)
    lead = (len(classes),) if classes and len(classes) > 1 else ()
    if version not in _VERSIONS:
        raise InputError(f"OME-Zarr version {version!r} is unknown; choose one of {', '.join(_VERSIONS)}")
    if kind not in _KINDS:
        raise InputError(f"kind {kind!r} of image is unknown; choose one of {', '.join(_KINDS)}")
    spatial = _spatial_shape(shape, lead)
    if n_levels is None:
        n_levels = 1 if kind == "labels" else pyramid_levels(spatial, core)
    if any(edge % 2 ** (n_levels - 1) for edge in core):
        most = pyramid_levels((1 << 30,) * 3, core)
        raise InputError(
            f"a core of {core} voxels cannot be halved {n_levels - 1} times; use at most {most} levels or a core "
            "that can"
        )
    make_room(path, overwrite)
    if fill_value is None:
        fill_value = math.nan if kind == "probability" and dtype.kind == "f" else 0
    attributes = multiscale_attributes(
        name=name,
        version=version,
        voxel_size=voxel_size,
        n_levels=n_levels,
        has_classes=bool(lead),
        method="nearest" if kind == "labels" else "mean",
    )
    own: dict[str, Any] = {"kind": kind, "name": name, "complete": False}
    if classes:
        own["classes"] = list(classes)
    # The attributes come with the group, so that whatever a killed process leaves is known as incomplete.
    group = zarr.create_group(
        local_store(path), zarr_format=3 if version == "0.5" else 2, attributes={**attributes, KEY: own}
    )
    for i in range(n_levels):
        shard = tuple(edge // 2**i for edge in core)
        chunk = (1,) * len(lead) + tuple(inner_chunk(edge) for edge in shard)
        options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        if version == "0.5":
            options = {"shards": lead + shard, "dimension_names": ("c", "z", "y", "x")[-len(chunk) :]}
        group.create_array(
            name=str(i),
            shape=lead + tuple(-(-n // 2**i) for n in spatial),
            dtype=dtype,
            chunks=chunk,
            compressors=compressor(kind, version),
            fill_value=fill_value,
            **options,
        )
    return open_image(path, mode="r+")


def open_image(path: str | Path, mode: str = "r") -> Image:
    """Open an OME-Zarr image, ours or another program's.

    Parameters
    ----------
    path : str or Path
        The group, Zarr v3 (NGFF 0.5) or v2 (0.4 and older).
    mode : str
        ``"r"``, or ``"r+"`` to write into its arrays.

    Returns
    -------
    Image
        A snapshot of the metadata; open again to see later changes.

    Raises
    ------
    MissingFileError
        If there is nothing.
    FormatError
        If it is not an image, its metadata is incomplete, or a level is missing.
    """
    path = Path(path)
    group = open_group(path, "r")
    attributes = dict(group.attrs)
    found = read_multiscale(attributes, str(path))
    if found is None:
        raise FormatError(f"{path} is a Zarr group but not an OME-Zarr image (it has no multiscales)")
    if found.axes[-3:] != ("z", "y", "x"):
        raise FormatError(
            f"{path} has the axes {', '.join(found.axes)}; the last three axes of an image must be z, y, x"
        )
    first = open_array(path / found.paths[0], "r")
    if first.ndim != len(found.axes):
        raise FormatError(
            f"{path} names {len(found.axes)} axes, but its array {found.paths[0]} has {first.ndim}"
        )
    return Image(
        path=str(path),
        shape=tuple(first.shape),
        dtype=np.dtype(first.dtype),
        voxel_size=found.voxel_size,
        name=found.name,
        version=found.version,
        level_paths=found.paths,
        attributes=dict(attributes.get(KEY) or {}),
        is_foreign=KEY not in attributes,
        mode=mode,
    )


def open_own_image(path: str | Path) -> Image | None:
    """Open an image that this package wrote, finished or not; None for anything else.

    Raises
    ------
    FormatError
        If it is ours and damaged.
    """
    path = Path(path)
    try:
        is_own = path.is_dir() and bool(read_attributes(path))
    except (InputError, OSError):
        return None
    return open_image(path) if is_own else None


def read_attributes(path: str | Path) -> dict[str, Any]:
    """Read our attributes of a group, also of one whose making was interrupted; empty if it is not ours.

    ``complete`` is True among those of a finished output. MissingFileError or FormatError where
    there is no Zarr group.
    """
    return dict(open_group(Path(path), "r").attrs.get(KEY) or {})


def update_attributes(path: str | Path, **items: Any) -> None:
    """Set some of our attributes of an image, in one atomic write; the others stay.

    Parameters
    ----------
    path : str or Path
        The group.
    **items
        Anything JSON can say, numpy numbers, tuples and paths too; non-finite numbers are
        written as ``"NaN"``, ``"Infinity"``, ``"-Infinity"``, as Zarr does.
    """
    group = open_group(Path(path), "r+")
    own = dict(group.attrs.get(KEY) or {})
    group.update_attributes({KEY: {**own, **to_json(items)}})


def mark_complete(path: str | Path, **attributes: Any) -> None:
    """Say that an image is finished: the last thing that a stage writes.

    The attributes and the mark are written together, so an image is either complete with
    all of them or incomplete.
    """
    update_attributes(path, **{**attributes, "complete": True})


def _spatial_shape(shape: tuple[int, ...], lead: tuple[int, ...]) -> Shape:
    if len(shape) == 4 and shape[:1] == (lead or (1,)):
        shape = shape[1:]
    if len(shape) != 3 or min(shape) < 1:
        classes = f" for {lead[0]} classes" if lead else ""
        raise InputError(f"shape {shape} is not (z, y, x) with at least one voxel per axis{classes}")
    z, y, x = shape
    return z, y, x
