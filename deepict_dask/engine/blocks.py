"""Some blocks of a lazy array, as a collection that Dask computes; nothing else of it is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from dask.array.optimization import optimize
from dask.base import flatten

# Dask's dashboard calls tasks by their key up to a hyphen that something else than letters follows, so that of
# "segment-TS_014" only "segment" would be shown. At this hyphen it does not cut.
HYPHEN = "\N{HYPHEN}"


@dataclass(frozen=True)
class Blocks:
    """Blocks of an array of objects.

    Attributes
    ----------
    array : dask.array.Array
        One object per block.
    keys : list of tuple
        Of those that are to be computed.
    """

    array: da.Array
    keys: list[Any]

    @classmethod
    def of(cls, parts: da.Array, blocks: Sequence[tuple[int, ...]] | None, name: str) -> Blocks:
        """Choose blocks by their numbers (None for all, in C order), and name their tasks.

        The names are unique: two computations of the same never share a task, so that giving up one does not take
        from the other.
        """
        unique = f"{name.replace('-', HYPHEN)}-{uuid.uuid4().hex}"
        named = parts.map_blocks(_same, name=unique, dtype=object, meta=np.empty((0,) * parts.ndim, object))
        if blocks is None:
            return cls(named, list(flatten(named.__dask_keys__())))
        return cls(named, [(unique, *index) for index in blocks])

    def __dask_graph__(self) -> Any:
        return self.array.__dask_graph__()

    def __dask_keys__(self) -> list[Any]:
        return self.keys

    def __dask_layers__(self) -> Any:
        return self.array.__dask_layers__()

    def __dask_tokenize__(self) -> Any:
        return "blocks", self.array.name, self.keys

    __dask_optimize__ = staticmethod(optimize)
    __dask_scheduler__ = staticmethod(da.Array.__dask_scheduler__)

    def __dask_postcompute__(self) -> Any:
        return list, ()

    def __dask_postpersist__(self) -> Any:
        return self._futures, ()

    def _futures(self, graph: Mapping[Any, Any], **kwargs: Any) -> list[Any]:
        """Give what a client makes of the keys, in their order."""
        return [graph[key] for key in self.keys]


def _same(part: np.ndarray) -> np.ndarray:
    return part
