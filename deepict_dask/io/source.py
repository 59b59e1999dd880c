"""One way to open a tomogram, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import DeepictError, InputError, WorkError
from deepict_dask.geometry import Shape, storage_grid
from deepict_dask.io.formats.packed import PackedVoxels, unpack
from deepict_dask.io.formats.recognize import is_folder_or_file, open_file
from deepict_dask.io.formats.volume import Choice, FileAxes, Region, Volume
from deepict_dask.io.formats.zarr_listing import Listing, list_array
from deepict_dask.io.formats.zarr_volume import ZarrVoxels, open_zarr
from deepict_dask.io.identity import SourceIdentity
from deepict_dask.io.indexing import split_key
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.io.location import Location
from deepict_dask.io.staging import MOST_DECODING, decoding, run_as_task, stage, staged, staging_folder
from deepict_dask.tomogram import VoxelSize, per_axis


@dataclass(frozen=True, eq=False)
class Source:
    """A tomogram in a file: facts from its header, and voxels on demand.

    It travels to other processes as a path and a few numbers, and slices like a numpy array, so
    ``dask.array.from_array(source, chunks)`` works.

    Attributes
    ----------
    path : str
        What was opened, absolute.
    name : str
        As given, else the file name without the suffixes of format and compression.
    volume : Volume
        What the header says, and the way to the voxels.
    choice : Choice
        How it is read where the file leaves a choice.
    voxel_size : (float, float, float) or None
        (z, y, x) in A: the one given, else the header's if it can be believed, else None.
    opened : SourceIdentity
        What it looked like when it was opened.
    warnings : tuple of str
        Sentences on what was wrong in the header and what was used instead.
    array : (str, str) or None
        Group and array of a Zarr volume, also while its voxels are read from a plain copy.
    """

    path: str
    name: str
    volume: Volume
    choice: Choice
    voxel_size: VoxelSize | None
    opened: SourceIdentity
    warnings: tuple[str, ...] = ()
    array: tuple[str, str] | None = None

    @property
    def format(self) -> str:
        """``"mrc"``, ``"em"``, ``"hdf5"`` or ``"ome-zarr"``."""
        return self.volume.format

    @property
    def shape(self) -> Shape:
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
    def origin(self) -> VoxelSize | None:
        """Where the header puts the center of the first voxel, (z, y, x) in A; None where it does not."""
        return self.volume.origin

    @property
    def header_range(self) -> tuple[float, float] | None:
        """Smallest and largest value of a voxel as the header says; None where it does not."""
        return self.volume.value_range

    @property
    def n_bytes(self) -> int:
        """Size of the file as it is stored (of level 0 for Zarr)."""
        return self.opened.size

    @property
    def is_packed(self) -> bool:
        """Whether it is packed with gzip or bzip2."""
        return isinstance(self.volume.voxels, PackedVoxels)

    @property
    def chunk_bytes(self) -> int:
        """Bytes that are decoded together, and so in memory at once, however little is read; 0 for plain voxels."""
        chunk = self.volume.chunk
        return 0 if chunk is None else int(np.prod(chunk, dtype=object)) * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        """Number of axes, 3."""
        return 3

    def require_voxel_size(self) -> VoxelSize:
        """Give the voxel size.

        Raises
        ------
        InputError
            If it is unknown, or the header's cannot be believed; says why, and the way out.
        """
        if self.voxel_size is None:
            raise InputError(
                self.volume.doubt
                or f"{self.path} does not say its voxel size; give it with --voxel-size (in A)"
            )
        return self.voxel_size

    def contradiction(self, minimum: float, maximum: float) -> str | None:
        """Say whether voxels contradict the minimum and maximum in the header.

        Parameters
        ----------
        minimum, maximum : float
            Of all voxels.

        Returns
        -------
        str or None
            A sentence if voxels lie outside of what the header says by more than a hundredth of its range;
            a header that allows more than there is contradicts nothing.
        """
        if self.header_range is None:
            return None
        low, high = self.header_range
        slack = 0.01 * (high - low)
        if low - slack <= minimum and maximum <= high + slack:
            return None
        sentence = (
            f"the header of {self.path} says that its voxels lie between {low:g} and {high:g}, but they lie between "
            f"{minimum:g} and {maximum:g}"
        )
        if self.dtype.kind in "iu" and self.dtype.itemsize <= 2:
            sentence += "; signed integers may have been taken for unsigned ones, or the reverse"
        return (
            sentence
            + ", so its header is out of date (IMOD: alterheader, option mmm) or its voxels are damaged"
        )

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

        Notes
        -----
        A packed file is unpacked by the first read of each process, to a file without a name in the folder for
        temporary files; stages that read it from many processes use `unpacked`.
        """
        return self.volume.read(region)

    def identity(self) -> SourceIdentity:
        """Look at the file, or at the listing of a Zarr array, now; no content is read.

        Raises
        ------
        MissingFileError
            If it is not there any more.
        """
        if self.array is None:
            return SourceIdentity.of_file(self.path)
        return _identity(list_array(Path(self.array[0]), self.array[1]))

    def needs_staging(self, core: Shape) -> bool:
        """Tell whether reading it core by core would decode its chunks more than eight times over.

        Parameters
        ----------
        core : (int, int, int)
            What one task reads, (z, y, x) voxels.
        """
        chunk = self.volume.chunk
        return chunk is not None and decoding(self.shape, chunk, core) > MOST_DECODING

    @contextmanager
    def unpacked(
        self, folder: str | Path | Location, run: Callable[..., object] = run_as_task
    ) -> Iterator[Source]:
        """Give a source that can be read block by block from any process; what is made for that is removed at the end.

        Parameters
        ----------
        folder : path
            Where every worker can write; the copy lies in a folder in it whose name says that it may be removed.
        run : callable
            ``run(function, *arguments)`` does the work, by default in a task of Dask.

        Yields
        ------
        Source
            The same tomogram: name, path, voxel size and warnings are kept. This one, if its voxels lie plainly.

        Raises
        ------
        FormatError
            If a packed file is cut off, damaged, or unpacks to more than its header tells.
        WorkError
            If the disk has not enough space.

        Notes
        -----
        The work is done in one task, on a worker where there are any. It holds 4 MB of a packed file, or one
        chunk, in memory.
        """
        voxels, chunk = self.volume.voxels, self.volume.chunk
        if not isinstance(voxels, PackedVoxels) and chunk is None:
            yield self
            return
        with staging_folder(Location.of(folder).local_path()) as place:
            target = place / (Path(self.path).stem[-100:] or "tomogram")
            if isinstance(voxels, PackedVoxels):
                run(unpack, voxels.path, voxels.n_bytes, str(target))
                volume = voxels.open(target)
                core = storage_grid(volume.shape).core
                if volume.chunk is not None and decoding(volume.shape, volume.chunk, core) > MOST_DECODING:
                    decoded = target.with_name("decoded")
                    run(stage, volume, str(decoded))
                    volume = replace(volume, voxels=staged(volume, decoded), chunk=None)
            else:
                run(stage, self.volume, str(target))
                volume = replace(self.volume, voxels=staged(self.volume, target), chunk=None)
            kept = dict.fromkeys([*self.warnings, *volume.warnings])
            yield replace(self, volume=volume, warnings=tuple(kept))

    def __getitem__(self, key: Any) -> Any:
        """Read as numpy indexing: integers, slices, an ellipsis, new axes, lists and masks along axes."""
        region, after = split_key(key, self.shape)
        read = self.read(region)[after]
        return np.ascontiguousarray(read) if isinstance(read, np.ndarray) and read.ndim else read

    def __len__(self) -> int:
        return self.shape[0]

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Identify the content for Dask: the same file unchanged gives the same keys."""
        return "deepict_dask.Source", self.path, self.opened, self.choice


def open_source(
    path: str | Path | Location,
    *,
    voxel_size: float | VoxelSize | None = None,
    dataset: str | None = None,
    channel: int | None = None,
    axes: FileAxes | None = None,
    name: str | None = None,
) -> Source:
    """Open a tomogram: MRC, REC, MAP, EM, HDF5 (these also in .gz or .bz2), OME-Zarr, Zarr arrays.

    The format is told by the content, not by the file name. Only the header is read, also of packed files.

    Parameters
    ----------
    path : str, Path or Location
        File, or folder of a Zarr group or array.
    voxel_size : float or (float, float, float), optional
        In A, all axes or (z, y, x); overrides the header.
    dataset : str, optional
        Name of the volume in an HDF5 file that holds several, or of the image in a Zarr group of several.
    channel : int, optional
        Which of several channels, from 0.
    axes : {"xyz", "xzy"}, optional
        How the axes lie in the file, the fastest first, whatever its header says; xzy is what IMOD's tilt writes.
    name : str, optional
        Of the tomogram; by default the file name without suffixes.

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
    override = None if voxel_size is None else per_axis(voxel_size)
    choice = Choice(dataset, channel, axes)
    local = Location.of(path).local_path()
    is_folder = is_folder_or_file(local)
    try:
        if is_folder:
            volume, listing = open_zarr(local, choice)
            volume = volume.with_y_and_z_swapped() if axes == "xzy" else volume
            opened = _identity(listing)
        else:
            opened = SourceIdentity.of_file(local)
            volume = open_file(local, choice)
    except DeepictError:
        raise
    except PermissionError as error:
        raise InputError(
            f"{error.filename or local} may not be read by this user; ask its owner to allow it"
        ) from error
    except OSError as error:
        raise WorkError(
            f"{error.filename or local} cannot be read ({error.strerror or error}); look at the disk that it lies on"
        ) from error
    # What --voxel-size answers need not be said when it is given.
    doubt = (volume.doubt,) if override is None and volume.doubt else ()
    return Source(
        path=str(local),
        name=name or tomogram_name(local),
        volume=volume,
        choice=choice,
        voxel_size=override or volume.voxel_size,
        opened=opened,
        warnings=(*volume.warnings, *doubt),
        array=(voxels.group, voxels.level) if isinstance(voxels := volume.voxels, ZarrVoxels) else None,
    )


def _identity(listing: Listing) -> SourceIdentity:
    return SourceIdentity.of_array(listing.folder, listing.n_bytes, listing.digest)
