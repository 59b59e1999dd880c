"""Checkpoints of torch read without running what is in their pickles.

A pickle may call any function it names. Here it can name only what the original's checkpoints
need, and all of it is inert: tensors become descriptions of bytes, everything else a record
without behavior. torch itself is not needed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepict_dask.errors import FormatError, UnsafeCheckpointError

_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
# Plain numbers that training programs leave in a checkpoint as NumPy scalars; they stay unread.
_INERT = {
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass
class _Storage:
    kind: str
    key: str
    n: int
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PickledTensor:
    """A tensor as the pickle describes it: where its numbers lie, not yet read."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _AllowList(pickle.Unpickler):
    """Unpickler that knows a handful of names and refuses all others."""

    def __init__(self, file: io.BufferedIOBase, place: str) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}
        self._place = place
        # Fresh classes per load: a pickle that tampers with them cannot reach the next one.
        self._record = type("Record", (), {})
        ignore = {"__init__": lambda self, *args: None, "__setstate__": lambda self, state: None}
        self._ignored = type("Ignored", (), ignore)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) == ("constants.statistics", "ModelDescriptor"):
            return self._record
        if (module, name) in _INERT:
            return self._ignored
        raise UnsafeCheckpointError(
            f"{self._place} asks to run {module}.{name}, which is not on the list of what a checkpoint may name; "
            "nothing was run; if you trust its author, have them save the weights as safetensors"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        # The legacy format has a sixth entry, the view of one storage inside another; only None is in use.
        if not (
            isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and pid[5:] in ((), (None,))
        ):
            raise FormatError(
                f"{self._place}: a stored tensor is described by {pid!r:.60}, which is not torch's form"
            )
        _, kind, key, _, n = pid[:5]
        if kind not in _STORAGES or not isinstance(key, str) or not _whole(n):
            raise FormatError(
                f"{self._place}: a stored tensor is described by {pid!r:.60}, which is not torch's form"
            )
        return self.storages.setdefault(key, _Storage(kind, key, n))

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> PickledTensor:
        integers = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)
        if not (isinstance(storage, _Storage) and integers and all(map(_whole, (offset, *size, *stride)))):
            raise FormatError(f"{self._place}: a tensor has the size {size!r:.60}, which is not torch's form")
        return PickledTensor(storage, offset, size, stride)


def read_torch_checkpoint(path: Path) -> tuple[dict[Any, Any], Callable[[PickledTensor], np.ndarray]]:
    """Read a file of ``torch.save`` without running anything in it.

    Parameters
    ----------
    path : pathlib.Path
        A zip (torch 1.6 and later) or the older row of pickles.

    Returns
    -------
    checkpoint : dict
        What was saved; tensors are `PickledTensor`, unknown records have only attributes.
    materialize : callable
        Turns a `PickledTensor` into a numpy.ndarray (bfloat16 becomes float32).

    Raises
    ------
    UnsafeCheckpointError
        Where the pickle names anything that is not on the allow-list; nothing has run.
    FormatError
        Where the file is damaged or something else.
    """
    try:
        content, order = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except (UnsafeCheckpointError, FormatError):
        raise
    except Exception as error:  # a hostile or broken pickle may raise anything at all
        raise FormatError(
            f"{path} cannot be read as a checkpoint of torch ({type(error).__name__}: {error}); "
            "it is damaged or another kind of file"
        ) from error
    if not isinstance(content, dict):
        raise FormatError(f"{path} holds a {type(content).__name__}, not the dictionary of a checkpoint")
    return content, lambda tensor: _materialize(tensor, order, str(path))


def _read_zip(path: Path) -> tuple[Any, Literal["<", ">"]]:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise FormatError(f"{path} is a zip archive, but holds no data.pkl of a checkpoint")
        folder = pickles[0].removesuffix("data.pkl")
        # torch stores without compression; a compressed entry could unpack to any size.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise FormatError(f"{path} is a compressed zip archive; torch's checkpoints are not compressed")
        unpickler = _AllowList(io.BytesIO(archive.read(pickles[0])), str(path))
        content = unpickler.load()
        names = set(archive.namelist())
        for storage in unpickler.storages.values():
            if f"{folder}data/{storage.key}" not in names:
                raise FormatError(
                    f"{path}: the numbers of tensor {storage.key} are missing; copy the file again"
                )
            storage.data = archive.read(f"{folder}data/{storage.key}")
        order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in names else b"little"
    return content, ">" if order == b"big" else "<"


def _read_legacy(path: Path) -> tuple[Any, Literal["<", ">"]]:
    with path.open("rb") as file:
        magic, version = (_AllowList(file, str(path)).load() for _ in range(2))
        if magic != _LEGACY_MAGIC or version != 1001:
            raise FormatError(f"{path} is not a checkpoint of torch (it starts with {magic!r:.40})")
        system = _AllowList(file, str(path)).load()
        unpickler = _AllowList(file, str(path))
        content = unpickler.load()
        keys = _AllowList(file, str(path)).load()
        for key in keys:
            n = int.from_bytes(file.read(8), "little")
            storage = unpickler.storages.get(key)
            if storage is None or n != storage.n:
                raise FormatError(
                    f"{path}: the numbers of tensor {key!r:.40} are not as described; copy the file again"
                )
            storage.data = file.read(n * _width(storage.kind))
    return content, "<" if system.get("little_endian", True) else ">"


def _materialize(tensor: PickledTensor, order: Literal["<", ">"], place: str) -> np.ndarray:
    storage = tensor.storage
    if storage.data is None or len(storage.data) != storage.n * _width(storage.kind):
        raise FormatError(f"{place}: the numbers of tensor {storage.key} are cut short; copy the file again")
    if storage.kind == "BFloat16Storage":
        halves = np.frombuffer(storage.data, f"{order}u2").astype(np.uint32)
        flat = (halves << 16).view(np.float32)
    else:
        flat = np.frombuffer(storage.data, np.dtype(_STORAGES[storage.kind]).newbyteorder(order))
        flat = flat.astype(flat.dtype.newbyteorder("="))
    count = int(np.prod(tensor.size, dtype=object))
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if count > storage.n or (count and last >= storage.n):
        raise FormatError(
            f"{place}: a tensor of size {tensor.size} reaches beyond its {storage.n} stored numbers"
        )
    strides = [step * flat.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, strides).copy()


def tensors_of(state: Mapping[Any, Any]) -> dict[str, PickledTensor]:
    """Pick the named tensors out of a dictionary, without the ``module.`` of DataParallel."""
    named = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, PickledTensor)}
    if named and all(name.startswith("module.") for name in named):
        named = {name.removeprefix("module."): tensor for name, tensor in named.items()}
    return named


def _width(kind: str) -> int:
    return 2 if kind == "BFloat16Storage" else np.dtype(_STORAGES[kind]).itemsize


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48
