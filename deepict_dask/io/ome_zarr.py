"""The images that the stages write and read: OME-Zarr groups with a pyramid and our attributes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepict_dask.errors import DamagedOutputError, FormatError, InputError, OutputExistsError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.location import Location
from deepict_dask.io.manifest import GROUP, WAY_OUT, Manifest, Shard, check_whole
from deepict_dask.io.markers import Markers, remove_markers
from deepict_dask.io.ngff import multiscale_attributes, read_multiscale
from deepict_dask.io.stored_array import ImageWriter, StoredArray
from deepict_dask.io.zarr_layout import compressors, inner_chunk, pyramid_levels
from deepict_dask.io.zarr_store import local_store, open_array, open_group, to_json
from deepict_dask.kernels.conditioning import Conditioning
from deepict_dask.kernels.probability import LEVELS
from deepict_dask.kernels.statistics import Statistics
from deepict_dask.names import check_classes
from deepict_dask.provenance import Provenance
from deepict_dask.tomogram import Grid, VoxelSize

__all__ = [
    "Image",
    "create_image",
    "finish_image",
    "open_image",
    "open_own_image",
    "pyramid_levels",
    "read_attributes",
    "update_attributes",
]

# The key of our own attributes in a group.
KEY = "deepict_dask"
# Among them: how the voxels of a tomogram were shown to what comes after, and what was measured of them.
CONDITIONED = "conditioned"
_KINDS = ("tomogram", "probability", "labels")
_VERSIONS = ("0.5", "0.4")
Place = str | os.PathLike[str] | Location


@dataclass(frozen=True)
class Image:
    """An OME-Zarr image: where it is and what its metadata said when it was opened.

    Attributes
    ----------
    location : Location
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
    conditioning : Conditioning or None
        How its voxels are shown to what comes after; None: as they are, or as it says itself.
    """

    location: Location
    shape: tuple[int, ...]
    dtype: np.dtype
    voxel_size: VoxelSize | None
    name: str
    version: str
    level_paths: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    is_foreign: bool = False
    conditioning: Conditioning | None = None

    @property
    def path(self) -> str:
        """Where it is, for sentences."""
        return str(self.location)

    @property
    def is_complete(self) -> bool:
        """Whether the writing of it was finished; others' images are taken to be."""
        return self.is_foreign or self.attributes.get("complete") is True

    @property
    def kind(self) -> str:
        """``"tomogram"``, ``"probability"`` or ``"labels"``; empty for images of other programs."""
        return str(self.attributes.get("kind") or "")

    @property
    def classes(self) -> list[str]:
        """Names of the classes of a probability map.

        Raises
        ------
        InputError
            If one cannot be a name, or is there twice.
        """
        return list(check_classes(self.attributes.get("classes") or [], self.path))

    @property
    def provenance(self) -> Provenance | None:
        """What made it; None where nothing of ours says so."""
        return Provenance.from_json(self.attributes.get("made_by"))

    @property
    def statistics(self) -> Statistics:
        """Of all its voxels; InputError where they were not computed."""
        try:
            return Statistics(**self.attributes["statistics"])
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{self.path} has no statistics of its voxels; ingest its source again"
            ) from error

    @property
    def shown(self) -> Conditioning | None:
        """How its voxels are shown to spectra, filters and networks; None: as they are.

        An image that was made of one with voxels that are left out says itself by which value they are known.
        """
        value = self.attributes.get("ignore_value")
        if self.conditioning is not None or value is None:
            return self.conditioning
        return Conditioning(float(np.float32(self.statistics.mean)), float(value))

    @property
    def spatial_shape(self) -> Shape:
        """Size in (z, y, x) voxels."""
        z, y, x = self.shape[-3:]
        return z, y, x

    @property
    def grid(self) -> Grid:
        """Its voxels, without classes."""
        return Grid(self.spatial_shape, self.voxel_size)

    @property
    def own_grid(self) -> Grid:
        """The voxels of the tomogram as it came: where it was rescaled for a network, not those of this image."""
        shape, size = self.attributes.get("own_shape"), self.attributes.get("own_voxel_size")
        if shape is None or size is None:
            return self.grid
        (z, y, x), (a, b, c) = map(int, shape), map(float, size)
        return Grid((z, y, x), (a, b, c))

    @property
    def origin(self) -> VoxelSize:
        """Where the center of the first voxel lies, (z, y, x) in A; 0 unless the header's was asked for."""
        z, y, x = self.attributes.get("origin") or (0.0, 0.0, 0.0)
        return float(z), float(y), float(x)

    @property
    def file_origin(self) -> VoxelSize | None:
        """Where the file that it comes from puts the center of the first voxel, (z, y, x) in A; None where it does not say."""
        origin = (self.attributes.get("source") or {}).get("origin")
        if origin is None:
            return self.origin if any(self.origin) else None
        z, y, x = origin
        return float(z), float(y), float(x)

    @property
    def ignore_value(self) -> float | None:
        """Value of the voxels that the last run left out; None where it left none out."""
        measured = self.attributes.get(CONDITIONED)
        shown = measured.get("shown") if isinstance(measured, dict) else None
        value = shown.get("ignore_value") if isinstance(shown, dict) else None
        return float(value) if isinstance(value, (int, float)) else None

    @property
    def core(self) -> Shape | None:
        """Size (z, y, x) in voxels of the blocks that it was written in; None where it does not say."""
        core = self.attributes.get("core")
        return None if core is None else (int(core[0]), int(core[1]), int(core[2]))

    @property
    def manifest(self) -> Manifest | None:
        """What it consists of; None for images of other programs, and of versions of this one that wrote none.

        Raises
        ------
        DamagedOutputError
            If it should have one, which is not there or not the one that was written.
        """
        digest = self.attributes.get("manifest")
        if digest is None:
            return None
        place = self.location / GROUP
        try:
            manifest = Manifest.from_json(open_group(place).attrs.asdict()[KEY])
        except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedOutputError(f"{place} is damaged or missing; {WAY_OUT}") from error
        if manifest.digest != digest:
            raise DamagedOutputError(f"{place} is not the one that was written with the image; {WAY_OUT}")
        return manifest

    @property
    def array(self) -> StoredArray:
        """A reference to the array of level 0."""
        return self.level(0)

    def level(self, number: int) -> StoredArray:
        """Give a reference to the array of a level of the pyramid, 0 being the finest."""
        strict = self.is_complete and not self.is_foreign
        # Blocks that were not computed are numbered in voxels of level 0.
        is_sparse = strict and number == 0 and self.attributes.get("is_sparse")
        return StoredArray.of(
            self._level(self.level_paths[number]),
            is_strict=strict,
            manifest=self.manifest if is_sparse else None,
            contents=str(self.attributes.get("manifest", "")),
        )

    @property
    def writer(self) -> ImageWriter:
        """What tasks write its blocks with; more than one block leaves markers, where the image says its edition."""
        levels = tuple(StoredArray.of(self._level(name)) for name in self.level_paths)
        return ImageWriter(levels, self.level_paths, self.markers)

    @property
    def markers(self) -> Markers | None:
        """Where finished blocks are noted; None for images of one block, of which nothing can be half done."""
        edition, core = self.attributes.get("edition"), self.core
        if edition is None or core is None or BlockGrid(self.spatial_shape, core).n_blocks == 1:
            return None
        return Markers(self.location, str(edition))

    def is_edition(self, edition: str) -> bool:
        """Tell whether it is an unfinished image of an edition, with all its levels, so that writing can go on."""
        if self.is_complete or self.attributes.get("edition") != edition:
            return False
        try:
            arrays = [open_array(self._level(name)) for name in self.level_paths]
        except InputError:
            return False
        return all(dict(a.attrs).get(KEY) == {"edition": edition} for a in arrays)

    def _level(self, name: str) -> Location:
        return self.location.join(*name.split("/"))

    def check_whole(self, *, deep: bool = False) -> None:
        """Compare what is there with the manifest: names and sizes, or with ``deep`` all bytes.

        Raises
        ------
        DamagedOutputError
            Naming the first file that is missing or is not what was written, and the way out.
        """
        manifest = self.manifest
        if manifest is not None:
            check_whole(self.location, manifest, deep=deep)


def create_image(
    path: Place,
    *,
    shape: tuple[int, ...],
    dtype: Any,
    voxel_size: VoxelSize,
    name: str,
    core: Shape,
    n_levels: int | None = None,
    version: str = "0.5",
    kind: str = "tomogram",
    fill_value: float | None = None,
    classes: list[str] | None = None,
    made_by: Provenance | None = None,
    edition: str = "",
) -> Image:
    """Make the group and the empty arrays of an image, ready to be written by core.

    Parameters
    ----------
    path : path or Location
        The group to make; must be free. Folders above it are made too.
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
    made_by : Provenance, optional
        What it depends on; kept with it from the start.
    edition : str
        Digest of all that decides on its bytes. It is kept in the metadata of each array, so that a task that writes late,
        into an image that was made anew, is refused; and blocks that are written are noted under it (`Markers`).

    Returns
    -------
    Image
        Incomplete until ``finish_image``.

    Raises
    ------
    OutputExistsError
        If something is there.
    InputError
        If ``core`` cannot be halved ``n_levels - 1`` times, or an option is unknown.
    """
    import zarr

    location = Location.of(path)
    dtype = np.dtype(dtype)
    if classes:
        check_classes(classes, f"the {kind} of {name}")
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
    if location.exists() and (not location.is_folder() or location.children()):
        raise OutputExistsError(f"{location} exists already; remove it, or name another output folder")
    location.make_folder()
    if fill_value is None:
        fill_value = math.nan if kind == "probability" and dtype.kind == "f" else 0
    attributes = multiscale_attributes(
        name=name,
        version=version,
        voxel_size=voxel_size,
        n_levels=n_levels,
        has_classes=bool(lead),
        method="nearest" if kind == "labels" else "mean",
        classes=classes if classes and kind == "probability" else (),
        largest=float(LEVELS) if dtype.kind == "u" else 1.0,
    )
    own_attributes: dict[str, Any] = {"kind": kind, "name": name, "complete": False, "core": list(core)}
    if classes:
        own_attributes["classes"] = list(classes)
    if made_by is not None:
        own_attributes["made_by"] = made_by.to_json()
    if edition:
        own_attributes["edition"] = edition
    # The attributes come with the group, so that whatever a killed process leaves is known as incomplete.
    zarr.create_group(
        local_store(location),
        zarr_format=3 if version == "0.5" else 2,
        attributes={**attributes, KEY: to_json(own_attributes)},
    )
    for i in range(n_levels):
        shard = tuple(edge // 2**i for edge in core)
        chunk = (1,) * len(lead) + tuple(inner_chunk(edge) for edge in shard)
        options: dict[str, Any] = {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
        if version == "0.5":
            options = {"shards": lead + shard, "dimension_names": ("c", "z", "y", "x")[-len(chunk) :]}
        zarr.create_array(
            local_store(location / str(i)),
            shape=lead + tuple(-(-n // 2**i) for n in spatial),
            dtype=dtype,
            chunks=chunk,
            compressors=compressors(kind, version),
            fill_value=fill_value,
            attributes={KEY: {"edition": edition}} if edition else None,
            **options,
        )
    image = open_image(location)
    if image.markers is not None:
        image.markers.begin()
    return image


def open_image(path: Place) -> Image:
    """Open an OME-Zarr image, ours or another program's.

    Parameters
    ----------
    path : path or Location
        The group, Zarr v3 (NGFF 0.5) or v2 (0.4 and older).

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
    location = Location.of(path)
    attributes = dict(open_group(location).attrs)
    multiscale = read_multiscale(attributes, str(location))
    if multiscale is None:
        raise FormatError(f"{location} is a Zarr group but not an OME-Zarr image (it has no multiscales)")
    if multiscale.axes[-3:] != ("z", "y", "x"):
        raise FormatError(
            f"{location} has the axes {', '.join(multiscale.axes)}; the last three axes of an image must be z, y, x"
        )
    first = StoredArray.of(location.join(*multiscale.paths[0].split("/")))
    if first.ndim != len(multiscale.axes):
        raise FormatError(
            f"{location} names {len(multiscale.axes)} axes, but its array {multiscale.paths[0]} has {first.ndim}"
        )
    own_attributes = attributes.get(KEY)
    return Image(
        location=location,
        shape=first.shape,
        dtype=first.dtype,
        voxel_size=multiscale.voxel_size,
        name=multiscale.name,
        version=multiscale.version,
        level_paths=multiscale.paths,
        attributes=dict(own_attributes) if isinstance(own_attributes, dict) else {},
        is_foreign=not isinstance(own_attributes, dict),
    )


def open_own_image(path: Place) -> Image | None:
    """Open an image that this package wrote, finished or not; None for anything else.

    Raises
    ------
    FormatError
        If it is ours and damaged.
    """
    location = Location.of(path)
    try:
        is_own = location.is_folder() and bool(read_attributes(location))
    except (InputError, OSError):
        return None
    return open_image(location) if is_own else None


def read_attributes(path: Place) -> dict[str, Any]:
    """Read our attributes of a group, also of one whose making was interrupted; empty if it is not ours.

    ``complete`` is True among those of a finished output. MissingFileError or FormatError where
    there is no Zarr group.
    """
    return dict(open_group(Location.of(path)).attrs.get(KEY) or {})


def update_attributes(path: Place, **items: Any) -> None:
    """Set some of our attributes of an image, in one atomic write; the others stay.

    Parameters
    ----------
    path : path or Location
        The group.
    **items
        Anything JSON can say, numpy numbers, tuples and paths too; non-finite numbers are
        written as ``"NaN"``, ``"Infinity"``, ``"-Infinity"``, as Zarr does.
    """
    group = open_group(Location.of(path), "r+")
    own_attributes = dict(group.attrs.get(KEY) or {})
    group.update_attributes({KEY: {**own_attributes, **to_json(items)}})


def finish_image(
    image: Image, shards: Iterable[Shard], computed: Iterable[Shape] | None = None, **attributes: Any
) -> Image:
    """Write the manifest of an image, then say that it is finished: the last thing that a stage writes.

    Parameters
    ----------
    image : Image
        From `create_image`, all of whose blocks were written.
    shards : iterable of Shard
        What the writing of the blocks gave, in any order.
    computed : iterable of (int, int, int), optional
        Numbers of the blocks that were computed; all of them unless given.
    **attributes
        Kept with it. They and the mark are written together, so an image is either complete with
        all of them or incomplete.

    Returns
    -------
    Image
        Complete.
    """
    import zarr

    assert image.core is not None
    manifest = Manifest.of(BlockGrid(image.spatial_shape, image.core), shards, computed)
    zarr.create_group(
        local_store(image.location / GROUP),
        zarr_format=3 if image.version == "0.5" else 2,
        attributes={KEY: manifest.to_json()},
        overwrite=True,
    )
    mark = {"manifest": manifest.digest, "is_sparse": manifest.computed is not None, "complete": True}
    update_attributes(image.location, **{**attributes, **mark})
    remove_markers(image.location)
    return open_image(image.location)


def _spatial_shape(shape: tuple[int, ...], lead: tuple[int, ...]) -> Shape:
    if len(shape) == 4 and shape[:1] == (lead or (1,)):
        shape = shape[1:]
    if len(shape) != 3 or min(shape) < 1:
        classes = f" for {lead[0]} classes" if lead else ""
        raise InputError(f"shape {shape} is not (z, y, x) with at least one voxel per axis{classes}")
    z, y, x = shape
    return z, y, x
