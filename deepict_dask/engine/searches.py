"""Picking in the pass that computes a map: each block is searched where it is made, before it leaves the worker.

What is found is byte for byte what the stored map gives later: the block is searched as it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepict_dask.engine.foreground import Rule, check_picking
from deepict_dask.engine.picking import components_of
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.kernels.labelling import BlockComponents
from deepict_dask.kernels.thresholding import score_unit


@dataclass(frozen=True)
class Search:
    """What is looked for in one class of a map; small, it travels with the graph.

    Attributes
    ----------
    rule : Rule
        What is foreground.
    channel : int
        Class, of a map of several.
    region : array-like of shape (z, y, x), or None
        Read by region where the block is computed: where it is 0 is no foreground.
    """

    rule: Rule
    channel: int = 0
    region: Any = None

    @classmethod
    def of(
        cls,
        shape: Shape,
        dtype: Any,
        *,
        threshold: float,
        connectivity: int,
        border: Shape,
        scale: float | None,
        channel: int = 0,
        region: Any = None,
    ) -> Search:
        """Check what is looked for; arguments as of `deepict_dask.engine.picking.component_parts`.

        Raises
        ------
        InputError
            If a setting is out of range.
        """
        thickness = check_picking(shape, threshold, connectivity, border)
        score_unit(np.dtype(dtype), scale)
        rule = Rule(tuple(shape), (0, 0, 0), float(threshold), connectivity, thickness, scale)  # type: ignore[arg-type]
        return cls(rule, channel, region)


@dataclass(frozen=True)
class MapPart:
    """What one block of a map tells.

    Attributes
    ----------
    maxima : list of float
        Largest stored value of each class.
    components : dict of str to BlockComponents
        What each search found, by its name.
    """

    maxima: list[float]
    components: dict[str, BlockComponents]


def map_part(
    block: np.ndarray, index: tuple[int, ...], grid: BlockGrid, searches: Mapping[str, Search]
) -> MapPart:
    """Reduce a block of a map, as it is stored.

    Parameters
    ----------
    block : array, shape (z, y, x) or (class, z, y, x)
        A core.
    index : tuple of int
        Its number.
    grid : BlockGrid
        Of the map.
    searches : mapping of str to Search
        By name.
    """
    by_class = block if block.ndim == 4 else block[None]
    where = grid.region(index[-3:])  # type: ignore[arg-type]
    z, y, x = (r.start for r in where)
    components = {
        name: components_of(
            by_class[search.channel],
            (z, y, x),
            search.rule,
            None if search.region is None else np.asarray(search.region[where]),
        )
        for name, search in searches.items()
    }
    return MapPart([float(levels.max()) for levels in by_class], components)
