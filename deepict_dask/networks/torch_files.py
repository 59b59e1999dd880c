"""Checkpoints of torch as files: a zip, or the older row of pickles; read whole and without torch."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepict_dask.errors import FormatError, UnsafeCheckpointError
from deepict_dask.networks.pickles import BOMB, STORAGES, PickledTensor, Storage, unpickle, width

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


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
            raise FormatError(f"{path}: {BOMB}")
        return array

    return content, materialize


def _is_zip(file: _File) -> bool:
    is_zip = zipfile.is_zipfile(file)
    file.seek(0)
    return is_zip


_Content = tuple[Any, list[Storage], Literal["<", ">"]]


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
            raise FormatError(f"{path}: {BOMB}")
        content, storages = unpickle(archive.read(pickles[0]), str(path))
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
    magic, version = (unpickle(_next_pickle(file), str(path))[0] for _ in range(2))
    if magic != _LEGACY_MAGIC or version != 1001:
        raise FormatError(f"{path} is not a checkpoint of torch (it does not start as one)")
    system, _ = unpickle(_next_pickle(file), str(path))
    content, storages = unpickle(_next_pickle(file), str(path))
    keys, _ = unpickle(_next_pickle(file), str(path))
    for key in keys:
        n = int.from_bytes(file.read(8), "little")
        storage = storages.get(key)
        if storage is None or n != storage.n or storage.data is not None:
            raise FormatError(f"{path}: the numbers of a tensor are not as described; copy the file again")
        storage.data = file.read(n * width(storage.kind))
    return content, list(storages.values()), "<" if system.get("little_endian", True) else ">"


def _next_pickle(file: _File) -> bytes:
    start = file.tell()
    for _ in pickletools.genops(file):
        pass
    end = file.tell()
    file.seek(start)
    return file.read(end - start)


def _materialize(tensor: PickledTensor, order: Literal["<", ">"], place: str) -> np.ndarray:
    storage = tensor.storage
    if storage.data is None or len(storage.data) != storage.n * width(storage.kind):
        raise FormatError(
            f"{place}: the numbers of tensor {storage.key:.40} are cut short; copy the file again"
        )
    if storage.kind == "BFloat16Storage":
        halves = np.frombuffer(storage.data, f"{order}u2").astype(np.uint32)
        flat = (halves << 16).view(np.float32)
    else:
        flat = np.frombuffer(storage.data, np.dtype(STORAGES[storage.kind]).newbyteorder(order))
        flat = flat.astype(flat.dtype.newbyteorder("="))
    count = int(np.prod(tensor.size, dtype=object))
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if count > storage.n or (count and last >= storage.n):
        raise FormatError(
            f"{place}: a tensor of size {tensor.size} reaches beyond its {storage.n} stored numbers"
        )
    strides = [step * flat.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, strides).copy()
