"""Plain values, arrays and the package's own frozen nouns as bytes that say themselves whether they are whole.

No pickle: reading a file runs no code that the file names. A torn or changed file is nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import sys
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError

_PACKAGE = "deepict_dask."
_HEAD = 65


def encode(value: Any) -> bytes:
    """Turn a value into bytes.

    Parameters
    ----------
    value : object
        None, numbers, text, bytes; lists, tuples and mappings of text to values; numpy arrays and numbers;
        frozen dataclasses of this package of these.

    Returns
    -------
    bytes
        A digest, one line of JSON, then the arrays as they are. `decode` gives an equal value of the same types.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> decode(encode({"size": (3, float("inf")), "sums": np.arange(2)}))
    {'size': (3, inf), 'sums': array([0, 1])}
    """
    arrays: list[np.ndarray] = []
    text = json.dumps(_plain(value, arrays), separators=(",", ":"))
    head = json.dumps([[a.dtype.str, list(a.shape)] for a in arrays], separators=(",", ":"))
    body = b"\n".join([head.encode(), text.encode(), b"".join(a.tobytes() for a in arrays)])
    return _head(body) + body


def decode(data: bytes) -> Any:
    """Turn bytes into the value that `encode` was given.

    Raises
    ------
    FormatError
        If they are torn, changed, or name what this package does not have.
    """
    if data[:_HEAD] != _head(data[_HEAD:]):
        raise FormatError("the bytes are not those that were written")
    try:
        head, text, rest = data[_HEAD:].split(b"\n", 2)
        arrays, start = [], 0
        for code, shape in json.loads(head):
            dtype, count = np.dtype(code), math.prod(shape)
            if dtype.hasobject:
                raise TypeError(code)
            arrays.append(np.frombuffer(rest, dtype, count, start).reshape(shape).copy())
            start += count * dtype.itemsize
        return _valued(json.loads(text), arrays)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError) as error:
        raise FormatError(f"the bytes name what this version does not have ({error!s:.200})") from error


def _head(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b"\n"


def _plain(value: Any, arrays: list[np.ndarray]) -> Any:
    """Give what JSON can say; whatever is no number or text is one mapping from its kind to what it holds."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.ascontiguousarray(value)
        if array.dtype.hasobject or array.dtype.names:
            raise TypeError(f"arrays of {array.dtype} are not written")
        # A number becomes an array of one axis.
        arrays.append(array.reshape(np.shape(value)))
        return {"array" if isinstance(value, np.ndarray) else "number": len(arrays) - 1}
    if type(value) is bytes:
        return {"bytes": value.hex()}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_plain(item, arrays) for item in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: _plain(item, arrays) for key, item in value.items()}}
    kind = type(value)
    if _is_own(kind):
        held = {f.name: _plain(getattr(value, f.name), arrays) for f in fields(value)}
        return {"noun": f"{kind.__module__}:{kind.__qualname__}", "fields": held}
    raise TypeError(f"a {kind.__name__} is not written")


def _valued(plain: Any, arrays: list[np.ndarray]) -> Any:
    if not isinstance(plain, dict):
        return plain
    kind, held = next(iter(plain.items()))
    if kind == "array":
        return arrays[held]
    if kind == "number":
        return arrays[held][()]
    if kind == "bytes":
        return bytes.fromhex(held)
    if kind in ("list", "tuple"):
        items = [_valued(item, arrays) for item in held]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {key: _valued(item, arrays) for key, item in held.items()}
    if kind != "noun":
        raise KeyError(kind)
    module, _, name = held.partition(":")
    if not module.startswith(_PACKAGE):
        raise TypeError(held)
    noun = getattr(sys.modules.get(module) or importlib.import_module(module), name)
    if not _is_own(noun) or {f.name for f in fields(noun)} != plain["fields"].keys():
        raise TypeError(held)
    return noun(**{key: _valued(item, arrays) for key, item in plain["fields"].items()})


def _is_own(kind: Any) -> bool:
    return (
        isinstance(kind, type)
        and is_dataclass(kind)
        and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        and kind.__module__.startswith(_PACKAGE)
        and "<" not in kind.__qualname__
    )
