"""Several passes over one lazy tomogram, none of which keeps its blocks for the next.

Statistics and spectra need every voxel before the first one can be changed. In one graph Dask would hold all
blocks of the first pass until the second has used them: the whole tomogram. So each pass has blocks of its own, which
are computed anew, and none before the result that the pass waits for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import dask.array as da
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.base import clone_key, flatten, is_dask_collection, tokenize
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

# Results of whole passes are small, and are never computed again.
SUMMARY = "gathered-"
_HELD = DataNode(None, None)


def again(source: Any, after: Any) -> Any:
    """Give a tomogram for one more pass, which begins when the result of earlier ones is there.

    Parameters
    ----------
    source : dask.array.Array or stored array
        Shape (z, y, x).
    after : Delayed, or anything else
        What the pass waits for.

    Returns
    -------
    dask.array.Array or stored array
        The same voxels. Of a Dask array every block is computed once more under other keys; what is in
        memory already (numpy, persisted) and summaries of whole tomograms (`SUMMARY`) stay shared. A stored array, which
        tasks read themselves, comes back as it is, as does any source if ``after`` is a plain value.

    Notes
    -----
    ``dask.graph_manipulation.bind`` is meant for this, but its copies refer to the old keys wherever a
    layer is not blockwise (dask 2026.8: rechunking, slicing, overlaps), which fails or keeps the blocks after all.
    """
    if not isinstance(source, da.Array) or not is_dask_collection(after):
        return source
    graph = convert_legacy_graph(dict(source.__dask_graph__()))
    outputs = list(flatten(source.__dask_keys__()))
    seed = tokenize("again", source.name, after.key)
    names = _renamed(graph, outputs, seed)
    if not names:
        return source
    nodes = {new: _renewed(graph[old], new, names, after.key) for old, new in names.items()}
    for key in outputs:
        if key not in names:
            copy = clone_key(key, seed)
            nodes[copy] = Alias(copy, key)
    name = clone_key(source.name, seed)
    earlier = HighLevelGraph.merge(source.__dask_graph__(), after.__dask_graph__())
    layers = {**earlier.layers, name: MaterializedLayer(nodes)}
    dependencies = {**earlier.dependencies, name: set(earlier.layers)}
    return da.Array(HighLevelGraph(layers, dependencies), name, chunks=source.chunks, meta=source._meta)


def _renamed(graph: dict[Any, GraphNode], outputs: list[Any], seed: str) -> dict[Any, Any]:
    """Name anew what leads to the outputs, up to what is in memory and to summaries."""
    names: dict[Any, Any] = {}
    waiting = list(outputs)
    while waiting:
        key = waiting.pop()
        # Futures of persisted blocks are no nodes at all.
        if key in names or isinstance(graph.get(key, _HELD), DataNode) or _is_summary(key):
            continue
        names[key] = clone_key(key, seed)
        waiting.extend(graph[key].dependencies)
    return names


def _is_summary(key: Any) -> bool:
    return str(key[0] if isinstance(key, tuple) else key).startswith(SUMMARY)


def _renewed(node: GraphNode, key: Any, names: dict[Any, Any], after: Any) -> GraphNode:
    """Give a task under another name; one that needs no other block waits."""
    renewed = node.substitute(names, key=key)
    if node.dependencies & names.keys() or type(renewed) is not Task:
        return renewed
    return Task(
        key,
        functools.partial(_after, renewed.func),
        TaskRef(after),
        *renewed.args,
        _data_producer=renewed.data_producer,
        **renewed.kwargs,
    )


def _after(function: Callable[..., Any], _: Any, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)
