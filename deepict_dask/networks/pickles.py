"""Pickles of torch's checkpoints loaded without running what is in them.

A pickle may call any function it names. Here it can name only what checkpoints of networks hold, and all of it
is inert: tensors become descriptions of bytes, everything else a record without behavior. What a file costs in
memory is bounded by its size before anything is made of it. torch itself is not needed.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from deepict_dask.errors import FormatError, UnsafeCheckpointError
from deepict_dask.networks.pickle_costs import is_modest

STORAGES = {
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
_MOST_AXES = 32
BOMB = "it asks for more memory or time than a file of its size can need; it is damaged or made to do harm"


class _Sealed:
    """What a pickle cannot change once it is made."""

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("it changes what is not its own")


@dataclass
class Storage(_Sealed):
    """Numbers that tensors share: their kind and how many, and the bytes once they are read."""

    kind: str
    key: str
    n: int
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PickledTensor(_Sealed):
    """A tensor as the pickle describes it: where its numbers lie, not yet read."""

    storage: Storage
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
        self.storages: dict[str, Storage] = {}
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
            **{("torch", name): name for name in STORAGES},
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._known:
            return self._known[module, name]
        raise UnsafeCheckpointError(
            f"{self._place} asks to run {module:.60}.{name:.60}, which is not on the list of what a checkpoint may name; "
            "nothing was run; if you trust its author, have them save the weights as safetensors"
        )

    def persistent_load(self, pid: Any) -> Storage:
        # The legacy format has a sixth entry, the view of one storage inside another; only None is in use.
        is_storage = (
            isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and pid[5:] in ((), (None,))
        )
        _, kind, key, _, n = pid[:5] if is_storage else (None,) * 5
        if not (
            isinstance(kind, str)
            and kind in STORAGES
            and isinstance(key, str)
            and isinstance(n, int)
            and _whole(n)
        ):
            # What is there instead is not shown: a few bytes can describe something of any length.
            raise FormatError(
                f"{self._place}: a stored tensor is not described in torch's form; save it again"
            )
        return self.storages.setdefault(key, Storage(kind, key, n))

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> PickledTensor:
        integers = (
            isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= _MOST_AXES
        )
        if not (isinstance(storage, Storage) and integers and all(map(_whole, (offset, *size, *stride)))):
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
            raise FormatError(f"{self._place}: {BOMB}")
        return _Ordered(*pairs)


def unpickle(content: bytes, place: str) -> tuple[Any, dict[str, Storage]]:
    """Load one pickle, if it asks for no more memory or time than its length allows."""
    if not is_modest(content):
        raise FormatError(f"{place}: {BOMB}")
    unpickler = _AllowList(content, place)
    return unpickler.load(), unpickler.storages


def width(kind: str) -> int:
    """Give the bytes of one number."""
    return 2 if kind == "BFloat16Storage" else np.dtype(STORAGES[kind]).itemsize


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48
