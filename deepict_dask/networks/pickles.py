"""Checkpoints of torch read without running what is in their pickles.

A pickle may call any function it names. Here it can name only what checkpoints of networks hold, and all of it
is inert: tensors become descriptions of bytes, everything else a record without behavior. What a file costs in
memory is bounded by its size before anything is made of it. torch itself is not needed.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from deepict_dask.errors import FormatError, UnsafeCheckpointError
from deepict_dask.networks.pickle_costs import is_modest

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
# What training programs leave beside the weights: numbers of NumPy, paths, options. They stay unread.
_INERT = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
    ("argparse", "Namespace"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
    ("pathlib", "WindowsPath"),
    ("torch", "Size"),
    ("torch", "Tensor"),
    ("torch.nn.parameter", "Buffer"),
    ("torch.nn.parameter", "Parameter"),
    ("torch", "device"),
    *(("torch", f"{kind}{bits}") for kind in ("float", "int") for bits in (8, 16, 32, 64)),
    ("torch", "bfloat16"),
    ("torch", "bool"),
    ("torch", "uint8"),
    ("lightning.fabric.utilities.data", "AttributeDict"),
    ("lightning_fabric.utilities.data", "AttributeDict"),
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
}
_TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2")
_PARAMETERS = ("_rebuild_parameter", "_rebuild_parameter_with_state")
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_AXES = 32
_BOMB = "it asks for more memory or time than a file of its size can need; it is damaged or made to do harm"


class _Sealed:
    """What a pickle cannot change once it is made."""

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("it changes what is not its own")


@dataclass
class _Storage(_Sealed):
    kind: str
    key: str
    n: int
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PickledTensor(_Sealed):
    """A tensor as the pickle describes it: where its numbers lie, not yet read."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Maker(_Sealed):
    """A function of this module that a pickle may ask for."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)


class Record:
    """What the original says of a network beside its weights: attributes, and nothing else."""

    def __setstate__(self, state: Any) -> None:
        # The dictionary itself: a copy for each of many records of one dictionary would fill the memory.
        if isinstance(state, dict):
            self.__dict__ = state


class _Ordered(dict):
    """An ordered dictionary; the attributes that torch adds to it are dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Ignored:
    """What takes anything, and keeps nothing of it."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _AllowList(pickle.Unpickler):
    """Unpickler that knows a handful of names and refuses all others."""

    def __init__(self, content: bytes, place: str) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.storages: dict[str, _Storage] = {}
        self._place = place
        self._left_to_copy = len(content)
        # Fresh classes per load: a pickle that tampers with them cannot reach the next one.
        self._record = type("Record", (Record,), {})
        self._ignored = type("Ignored", (_Ignored,), {})
        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _Maker(self._ordered),
            ("constants.statistics", "ModelDescriptor"): self._record,
            **dict.fromkeys(_INERT, self._ignored),
            **dict.fromkeys((("torch._utils", name) for name in _TENSORS), _Maker(self._tensor)),
            **dict.fromkeys((("torch._utils", name) for name in _PARAMETERS), _Maker(self._parameter)),
            ("torch._tensor", "_rebuild_from_type_v2"): _Maker(self._with_attributes),
            **{("torch", name): name for name in _STORAGES},
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._known:
            return self._known[module, name]
        raise UnsafeCheckpointError(
            f"{self._place} asks to run {module:.60}.{name:.60}, which is not on the list of what a checkpoint may name; "
            "nothing was run; if you trust its author, have them save the weights as safetensors"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        # The legacy format has a sixth entry, the view of one storage inside another; only None is in use.
        is_storage = (
            isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and pid[5:] in ((), (None,))
        )
        _, kind, key, _, n = pid[:5] if is_storage else (None,) * 5
        if not (
            isinstance(kind, str)
            and kind in _STORAGES
            and isinstance(key, str)
            and isinstance(n, int)
            and _whole(n)
        ):
            # What is there instead is not shown: a few bytes can describe something of any length.
            raise FormatError(
                f"{self._place}: a stored tensor is not described in torch's form; save it again"
            )
        return self.storages.setdefault(key, _Storage(kind, key, n))

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> PickledTensor:
        integers = (
            isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= _MOST_AXES
        )
        if not (isinstance(storage, _Storage) and integers and all(map(_whole, (offset, *size, *stride)))):
            raise FormatError(
                f"{self._place}: the size of a tensor is not described in torch's form; save it again"
            )
        return PickledTensor(storage, offset, size, stride)

    def _parameter(self, tensor: Any, *_: Any) -> PickledTensor:
        if not isinstance(tensor, PickledTensor):
            raise FormatError(
                f"{self._place}: a parameter without a tensor is not torch's form; save it again"
            )
        return tensor

    def _with_attributes(self, make: Any, kind: Any, arguments: Any, *_: Any) -> Any:
        if not (isinstance(make, _Maker) and isinstance(arguments, tuple)):
            raise FormatError(
                f"{self._place}: a tensor with attributes is not in torch's form; save it again"
            )
        return make(*arguments)

    def _ordered(self, *pairs: Any) -> dict[Any, Any]:
        if len(pairs) > 1 or not all(isinstance(p, list | tuple) for p in pairs):
            raise FormatError(
                f"{self._place}: an OrderedDict is not made of pairs; save the checkpoint again"
            )
        # Each pair stands in the file; what is copied more often than that would fill the memory.
        self._left_to_copy -= sum(map(len, pairs))
        if self._left_to_copy < 0:
            raise FormatError(f"{self._place}: {_BOMB}")
        return _Ordered(*pairs)


class _File(io.BufferedReader):
    """A file of which no more is asked than there is: memory for what is asked is taken before it is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def read_torch_checkpoint(path: Path) -> tuple[dict[Any, Any], Callable[[PickledTensor], np.ndarray]]:
    """Read a file of ``torch.save`` without running anything in it.

    Parameters
    ----------
    path : pathlib.Path
        A zip (torch 1.6 and later) or the older row of pickles.

    Returns
    -------
    checkpoint : dict
        What was saved; tensors and parameters are `PickledTensor`, the original's descriptor a `Record`.
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
        with _File(path) as file:
            content, storages, order = _read_zip(file, path) if _is_zip(file) else _read_legacy(file, path)
    except (UnsafeCheckpointError, FormatError):
        raise
    except Exception as error:  # a hostile or broken pickle may raise anything at all
        raise FormatError(
            f"{path} cannot be read as a checkpoint of torch ({type(error).__name__}: {error!s:.200}); "
            "it is damaged or another kind of file"
        ) from error
    if not isinstance(content, dict):
        raise FormatError(f"{path} holds a {type(content).__name__}, not the dictionary of a checkpoint")
    left = sum(storage.n for storage in storages)

    def materialize(tensor: PickledTensor) -> np.ndarray:
        nonlocal left
        array = _materialize(tensor, order, str(path))
        # Many tensors may share one storage; together they are no more than what is stored.
        left -= array.size
        if left < 0:
            raise FormatError(f"{path}: {_BOMB}")
        return array

    return content, materialize


def _is_zip(file: _File) -> bool:
    is_zip = zipfile.is_zipfile(file)
    file.seek(0)
    return is_zip


_Content = tuple[Any, list[_Storage], Literal["<", ">"]]


def _read_zip(file: _File, path: Path) -> _Content:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        pickles = [
            e.filename for e in entries if e.filename.count("/") == 1 and e.filename.endswith("/data.pkl")
        ]
        if len(pickles) != 1:
            raise FormatError(f"{path} is a zip archive, but holds no data.pkl of a checkpoint")
        folder = pickles[0].removesuffix("data.pkl")
        # torch stores without compression; a compressed entry could unpack to any size.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise FormatError(f"{path} is a compressed zip archive; torch's checkpoints are not compressed")
        # Entries may lie about their size, or all be the same bytes.
        if sum(max(e.file_size, e.compress_size) for e in entries) > file.size:
            raise FormatError(f"{path}: {_BOMB}")
        content, storages = _unpickle(archive.read(pickles[0]), str(path))
        names = set(archive.namelist())
        for storage in storages.values():
            if f"{folder}data/{storage.key}" not in names:
                raise FormatError(
                    f"{path}: the numbers of tensor {storage.key:.40} are missing; copy the file again"
                )
            storage.data = archive.read(f"{folder}data/{storage.key}")
        order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in names else b"little"
    return content, list(storages.values()), ">" if order == b"big" else "<"


def _read_legacy(file: _File, path: Path) -> _Content:
    magic, version = (_unpickle(_next_pickle(file), str(path))[0] for _ in range(2))
    if magic != _LEGACY_MAGIC or version != 1001:
        raise FormatError(f"{path} is not a checkpoint of torch (it does not start as one)")
    system, _ = _unpickle(_next_pickle(file), str(path))
    content, storages = _unpickle(_next_pickle(file), str(path))
    keys, _ = _unpickle(_next_pickle(file), str(path))
    for key in keys:
        n = int.from_bytes(file.read(8), "little")
        storage = storages.get(key)
        if storage is None or n != storage.n or storage.data is not None:
            raise FormatError(f"{path}: the numbers of a tensor are not as described; copy the file again")
        storage.data = file.read(n * _width(storage.kind))
    return content, list(storages.values()), "<" if system.get("little_endian", True) else ">"


def _next_pickle(file: _File) -> bytes:
    start = file.tell()
    for _ in pickletools.genops(file):
        pass
    end = file.tell()
    file.seek(start)
    return file.read(end - start)


def _unpickle(content: bytes, place: str) -> tuple[Any, dict[str, _Storage]]:
    """Load one pickle, if it asks for no more memory or time than its length allows."""
    if not is_modest(content):
        raise FormatError(f"{place}: {_BOMB}")
    unpickler = _AllowList(content, place)
    return unpickler.load(), unpickler.storages


def _materialize(tensor: PickledTensor, order: Literal["<", ">"], place: str) -> np.ndarray:
    storage = tensor.storage
    if storage.data is None or len(storage.data) != storage.n * _width(storage.kind):
        raise FormatError(
            f"{place}: the numbers of tensor {storage.key:.40} are cut short; copy the file again"
        )
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


def _width(kind: str) -> int:
    return 2 if kind == "BFloat16Storage" else np.dtype(_STORAGES[kind]).itemsize


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48
