"""The weights of a network among what a training program saved: which dictionary, and what stands before the names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deepict_dask.errors import FormatError
from deepict_dask.networks.pickles import PickledTensor

# What programs call the dictionary of weights, the first that is there being meant.
_USUAL = ("model_state_dict", "state_dict", "model_state", "model", "net", "network", "module", "weights")
# Written into names by torch.compile, DataParallel, and what shards or checkpoints a part of a network.
_WRAPPERS = {"_orig_mod", "module", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"}
_FIRST, _LAST = "encoder.0.0.weight", "out_conv.weight"
_DEEPEST = 5


def find_weights(content: Mapping[Any, Any], place: str) -> dict[str, PickledTensor]:
    """Find the weights of a 3D U-Net, by the original's names.

    Parameters
    ----------
    content : mapping
        A whole checkpoint: the weights themselves, or dictionaries in which they lie somewhere.
    place : str
        What errors name.

    Returns
    -------
    dict of str to PickledTensor
        Without anything that stands before all names, such as ``module._orig_mod.``; all tensors of the likeliest
        dictionary where none is of this network, for a sentence that says so.

    Raises
    ------
    FormatError
        If there are no tensors, or the weights of several networks and no name says which is meant.
    """
    first: dict[str, PickledTensor] = {}
    networks: dict[tuple[str, ...], dict[str, PickledTensor]] = {}
    for path, tensors in _dictionaries(content):
        first = first or tensors
        names = {_unwrapped(name): name for name in tensors}
        prefixes = {
            name.removesuffix(_FIRST)
            for name in names
            if name.endswith(_FIRST) and name.removesuffix(_FIRST)[-1:] in ("", ".")
        }
        for prefix in sorted(prefixes):
            if f"{prefix}{_LAST}" in names:
                # What is saved beside a wrapped network, such as how many were averaged, is not within its wrapping.
                wrapping = names[f"{prefix}{_FIRST}"].rpartition("encoder.")[0]
                networks[*path, prefix] = {
                    name.removeprefix(prefix): tensors[saved]
                    for name, saved in names.items()
                    if name.startswith(prefix) and saved.startswith(wrapping)
                }
    if not first:
        raise FormatError(f"{place} holds no weights (no model_state_dict of tensors)")
    if not networks:
        return first
    if len(networks) == 1:
        return next(iter(networks.values()))
    usual = [(_USUAL.index(path[0]), path) for path in networks if path[0] in _USUAL]
    chosen = [path for rank, path in usual if rank == min(usual)[0]]
    if len(chosen) != 1:
        places = ", ".join(".".join(filter(None, path)) or "the top" for path in list(networks)[:4])
        raise FormatError(
            f"{place} holds the weights of {len(networks)} networks ({places[:200]}); save the one to use alone"
        )
    return networks[chosen[0]]


def _dictionaries(content: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, PickledTensor]]]:
    """Give every dictionary that holds tensors, the outer ones first, each once, with the keys that lead to it."""
    level: list[tuple[tuple[str, ...], Mapping[Any, Any]]] = [((), content)]
    visited = {id(content)}
    for _ in range(_DEEPEST):
        inner: list[tuple[tuple[str, ...], Mapping[Any, Any]]] = []
        for path, mapping in level:
            tensors = {
                k: v for k, v in mapping.items() if isinstance(k, str) and isinstance(v, PickledTensor)
            }
            if tensors:
                yield path, tensors
            for key, value in mapping.items():
                if isinstance(key, str) and isinstance(value, dict) and id(value) not in visited:
                    visited.add(id(value))
                    inner.append(((*path, key), value))
        level = inner


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)
