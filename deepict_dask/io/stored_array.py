"""References to stored arrays: what travels in graphs instead of an open file.

A reference holds an absolute place and what the metadata said when it was made. The worker that uses it opens
the array itself, in whatever working directory it stands, and finds the same array or fails with a sentence.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import DamagedOutputError, FormatError, WorkError
from deepict_dask.geometry import Shape
from deepict_dask.io.location import Location
from deepict_dask.io.manifest import WAY_OUT, Manifest, Shard
from deepict_dask.io.markers import Markers
from deepict_dask.io.zarr_store import metadata_token, open_array, recording_store, strict_store
from deepict_dask.kernels.pyramid import mean_pyramid_block

# Open arrays of this process. A handful: those of the stage that is at work.
_MOST_OPEN = 16
_opened: OrderedDict[tuple[str, str, bool], Any] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class StoredArray:
    """One array of the file system, sliced like a numpy array; small, and opened where it is used.

    Attributes
    ----------
    folder : Location
        Of the array.
    shape : tuple of int
        (z, y, x), or (class, z, y, x).
    dtype : numpy.dtype
        Of the voxels.
    chunks : tuple of int
        What is decoded as a whole.
    shards : tuple of int or None
        What is stored as a whole, if that is more.
    token : str
        Identifies its metadata; another array at the same place is not taken for it.
    is_strict : bool
        Whether it is a finished output of ours, of which no shard may be missing.
    manifest : Manifest or None
        Of it, where some blocks were not computed.
    contents : str
        Digest of the manifest of a finished output: Dask does not take one written anew for the one before.
    has_zeros : bool
        Whether blocks that were not computed are read as 0, see `zeros_where_not_computed`; else they are an error.
    """

    folder: Location
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    token: str
    is_strict: bool = False
    manifest: Manifest | None = field(default=None, repr=False)
    contents: str = ""
    has_zeros: bool = False

    @classmethod
    def of(
        cls,
        folder: Location,
        *,
        is_strict: bool = False,
        manifest: Manifest | None = None,
        contents: str = "",
    ) -> StoredArray:
        """Look at an array.

        Raises
        ------
        FormatError
            If there is none.
        """
        array = open_array(folder)
        sparse = manifest if manifest is not None and manifest.computed is not None else None
        return cls(
            folder,
            tuple(array.shape),
            np.dtype(array.dtype),
            tuple(array.chunks),
            None if array.shards is None else tuple(array.shards),
            metadata_token(folder),
            is_strict,
            sparse,
            contents,
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes per voxel."""
        return self.dtype.itemsize

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read a part.

        Raises
        ------
        WorkError
            If the array is not there, or is another one, where this runs.
        DamagedOutputError, FormatError
            If a shard is missing, cut off or holds other bytes than were written; naming the file.
        """
        if missing := self._not_computed(key):
            if not self.has_zeros:
                raise FormatError(
                    f"{len(missing)} of the blocks asked for, the first of them {missing[0]}, were not computed in "
                    f"{self.folder}; not computed is not 0: run the command that makes it with a region that holds them"
                )
            return self._with_zeros(key, missing)
        return self._read(key)

    @property
    def n_not_computed(self) -> int:
        """Number of blocks that were not computed."""
        if self.manifest is None or self.manifest.computed is None:
            return 0
        return self.manifest.grid.n_blocks - len(self.manifest.computed)

    def zeros_where_not_computed(self) -> StoredArray:
        """Give it for those to whom "not computed" is no foreground, such as picking."""
        return self if self.manifest is None else replace(self, has_zeros=True)

    def _read(self, key: Any) -> np.ndarray:
        array = self._open()
        if _is_blosc(array):
            for place in _touched(self, key):
                if not _is_whole_blosc(file := self._file(array, place)):
                    raise self._damaged(file, "it is shorter or longer than it says")
        try:
            return np.asarray(array[key])
        except (DamagedOutputError, MemoryError):
            raise
        except Exception as error:
            raise self._explained(error, array, key) from error

    def __len__(self) -> int:
        return self.shape[0]

    def __dask_tokenize__(self) -> Any:
        return "stored array", self.folder.url, self.token, self.contents, self.has_zeros

    def _open(self) -> Any:
        name = (self.folder.url, self.token, self.is_strict)
        with _lock:
            if (array := _opened.get(name)) is not None:
                _opened.move_to_end(name)
                return array
        if not (token := metadata_token(self.folder)):
            raise WorkError(
                f"{self.folder} is not there where this worker runs; all workers must see the run folder under the same "
                "path (a disk that they share)"
            )
        if token != self.token:
            raise WorkError(f"{self.folder} was replaced while it was in use; run the same command again")
        array = open_array(self.folder, store=strict_store(self.folder) if self.is_strict else None)
        with _lock:
            _opened[name] = array
            while len(_opened) > _MOST_OPEN:
                _opened.popitem(last=False)
        return array

    def _keys(self, key: Any) -> list[Any]:
        """Give what a key asks for, axis by axis: a slice or an integer each."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in keys:
            i = keys.index(Ellipsis)
            keys[i : i + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        return keys + [slice(None)] * (self.ndim - len(keys))

    def _box(self, keys: list[Any]) -> tuple[slice, ...]:
        """Give the (z, y, x) voxels between the first and the last that are asked for."""
        ranges = (
            range(n)[k] if isinstance(k, slice) else (range(n)[k],)
            for k, n in zip(keys[-3:], self.shape[-3:], strict=True)
        )
        return tuple(slice(min(r), max(r) + 1) if len(r) else slice(0, 0) for r in ranges)

    def _not_computed(self, key: Any) -> list[Shape]:
        return [] if self.manifest is None else self.manifest.missing(self._box(self._keys(key)))

    def _with_zeros(self, key: Any, missing: list[Shape]) -> np.ndarray:
        """Read block by block what was computed; where all was not, nothing is read."""
        assert self.manifest is not None
        keys, grid = self._keys(key), self.manifest.grid
        box = self._box(keys)
        lead = self.shape[:-3]
        read = np.zeros((*lead, *(b.stop - b.start for b in box)), self.dtype)
        touched: Any = (range(b.start // c, -(-b.stop // c)) for b, c in zip(box, grid.core, strict=True))
        for block in sorted(set(itertools.product(*touched)) - set(missing)):
            part = [
                slice(max(r.start, b.start), min(r.stop, b.stop))
                for r, b in zip(grid.region(block), box, strict=True)
            ]
            place: Any = (slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))
            read[(..., *place)] = self._read((*(slice(None) for _ in lead), *part))
        steps = [slice(None, None, k.step) if isinstance(k, slice) else 0 for k in keys[-3:]]
        return np.asarray(read[(*keys[:-3], *steps)])

    def _explained(self, error: Exception, array: Any, key: Any) -> Exception:
        """Find the file that a read failed at."""
        for place in _touched(self, key):
            try:
                _read_shard(self, array, place)
            except (DamagedOutputError, OSError) as failed:
                return failed
            except Exception as failed:
                reason = " ".join(str(failed).split())[:120] or type(failed).__name__
                return self._damaged(self._file(array, place), reason)
        return error

    def _file(self, array: Any, place: tuple[int, ...]) -> Path:
        return self.folder.local_path() / array.metadata.encode_chunk_key(place)

    def _damaged(self, file: Path, reason: str) -> Exception:
        if self.is_strict:
            return DamagedOutputError(f"{file} is damaged ({reason}); {WAY_OUT}")
        size = f", {file.stat().st_size} bytes" if file.is_file() else ""
        return FormatError(f"{file} is damaged or cut off ({reason}{size}); copy the image again")


@dataclass(frozen=True)
class OneChannel:
    """One class of a stored array of several, sliced like an array of (z, y, x).

    Attributes
    ----------
    array : StoredArray
        Shape (class, z, y, x).
    number : int
        Which class.
    """

    array: StoredArray
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x)."""
        return self.array.shape[1:]

    @property
    def ndim(self) -> int:
        """Number of axes, 3."""
        return 3

    @property
    def chunks(self) -> tuple[int, ...]:
        """What is decoded as a whole, (z, y, x)."""
        return self.array.chunks[1:]

    @property
    def dtype(self) -> np.dtype:
        """Of the voxels."""
        return self.array.dtype

    def __dask_tokenize__(self) -> Any:
        return "one channel", self.number, self.array.__dask_tokenize__()

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        """Read a part, (z, y, x) slices."""
        return self.array[(self.number, *key)]


@dataclass(frozen=True)
class ImageWriter:
    """Takes blocks and writes them at every level of an image; small, and opened where it is used.

    Blocks are whole shards at every level, so no two tasks meet in a file.

    Attributes
    ----------
    levels : tuple of StoredArray
        Finest first.
    names : tuple of str
        Of the levels within the image.
    markers : Markers or None
        Where blocks that are written are noted; None to note none.
    """

    levels: tuple[StoredArray, ...]
    names: tuple[str, ...]
    markers: Markers | None = None

    def write(self, region: tuple[slice, ...], block: np.ndarray) -> tuple[Shard, ...]:
        """Write one block.

        Parameters
        ----------
        region : tuple of slices
            Where it lies at level 0, in voxels; one per axis.
        block : numpy.ndarray
            Its voxels.

        Returns
        -------
        tuple of Shard
            What was written, at all levels.
        """
        blocks = mean_pyramid_block(block, len(self.levels)) if len(self.levels) > 1 else [block]
        written: list[Shard] = []
        for i, (name, level, values) in enumerate(zip(self.names, self.levels, blocks, strict=True)):
            # Starts are multiples of 2**i by the grid; a last core may end anywhere.
            place = tuple(
                slice(r.start >> i, (r.start >> i) + n) for r, n in zip(region, values.shape, strict=True)
            )
            store = recording_store(level.folder, level.token)
            open_array(level.folder, "r+", store=store)[place] = values
            written += [replace(shard, key=f"{name}/{shard.key}") for shard in store.shards.values()]
        return tuple(written)

    def note(self, index: tuple[int, ...], part: Any, receipt: tuple[Shard, ...]) -> None:
        """Note that a block is written, with what its reduction gave."""
        if self.markers is not None:
            self.markers.write(index, part, receipt)


def _touched(array: StoredArray, key: Any) -> Iterator[tuple[int, ...]]:
    """Give the numbers of the stored objects that a part lies in."""
    stored = array.shards or array.chunks
    keys = list(key) if isinstance(key, tuple) else [key]
    keys = [k for k in keys if k is not Ellipsis] if Ellipsis not in keys else [slice(None)] * array.ndim
    keys += [slice(None)] * (array.ndim - len(keys))
    spans = []
    for k, n, edge in zip(keys, array.shape, stored, strict=True):
        r = range(n)[k] if isinstance(k, slice) else range(int(k), int(k) + 1)
        spans.append(range(min(r) // edge, max(r) // edge + 1) if len(r) else range(0))
    return itertools.product(*spans)


def _read_shard(array: StoredArray, opened: Any, place: tuple[int, ...]) -> None:
    """Read one stored object whole; whatever is wrong with it is raised."""
    stored = array.shards or array.chunks
    opened[tuple(slice(i * edge, (i + 1) * edge) for i, edge in zip(place, stored, strict=True))]


def _is_blosc(opened: Any) -> bool:
    """Tell whether each file of an array is one piece of Blosc, which decodes what is cut off without a word."""
    return opened.shards is None and any("blosc" in type(c).__name__.lower() for c in opened.compressors)


def _is_whole_blosc(file: Path) -> bool:
    # Sixteen bytes of header; the last four are the size of the whole.
    try:
        with open(file, "rb") as opened:
            head = opened.read(16)
    except FileNotFoundError:
        return True  # a missing chunk is another matter
    return len(head) == 16 and int.from_bytes(head[12:], "little") == file.stat().st_size
