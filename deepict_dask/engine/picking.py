"""Pick particles: threshold, label, reduce, filter by size.

A probability map becomes one small report per block, lazily (:func:`component_parts`), or where the block is
computed (:mod:`deepict_dask.engine.searches`); the reports become a table (:func:`reduce_parts`).
:func:`pick` does both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.engine.foreground import (
    Rule,
    block_start,
    check_picking,
    check_sizes,
    foreground_of,
    prepared,
    segmentation,
)
from deepict_dask.engine.gather import boxed
from deepict_dask.kernels.labelling import (
    BlockComponents,
    block_components,
)
from deepict_dask.kernels.merging import merge_components
from deepict_dask.particles import Particles
from deepict_dask.tomogram import per_axis

if TYPE_CHECKING:
    import dask.array as da

__all__ = [
    "Reduced",
    "check_picking",
    "component_parts",
    "components_of",
    "pick",
    "reduce_components",
    "reduce_parts",
    "segmentation",
]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Reduced:
    """What became of the components of a map.

    Attributes
    ----------
    particles : Particles
        Those of an accepted size.
    n_components : int
        All that were above the threshold, within region and borders.
    n_small, n_large : int
        Those that were dropped for their size.
    largest : int
        Size of the largest component, in voxels; 0 without any.
    """

    particles: Particles
    n_components: int
    n_small: int
    n_large: int
    largest: int


def component_parts(
    probability: da.Array | np.ndarray,
    *,
    threshold: float = 0.5,
    connectivity: int = 26,
    border: Shape = (0, 0, 0),
    region: da.Array | np.ndarray | None = None,
    scale: float | None = None,
    shape: Shape | None = None,
    origin: Shape = (0, 0, 0),
) -> da.Array:
    """Reduce each block of a probability map to a report on its components.

    Parameters
    ----------
    probability : dask or numpy array, shape (z, y, x)
        Floating point in [0, 1], or unsigned levels. Stored levels give the same picks as the
        file does later; floating-point values before they are stored as levels do not.
    threshold : float
        A voxel is foreground if its probability is strictly above.
    connectivity : {6, 18, 26}
        Which neighbors belong together.
    border : (int, int, int)
        Thickness (z, y, x) in voxels at each side of the tomogram that is no foreground.
    region : dask or numpy array, shape (z, y, x), optional
        Region mask: where it is zero is no foreground.
    scale : float, optional
        Probability of one stored level; 1 / 255 for uint8 unless given.
    shape, origin : (int, int, int), optional
        Shape of the whole tomogram and where ``probability`` begins in it, for a map that is
        computed slab by slab.

    Returns
    -------
    dask array of object, one :class:`BlockComponents` per block
        Chunks are (1, 1, 1). For :func:`reduce_parts`.

    Raises
    ------
    InputError
        If a setting is out of range, or the region has another shape.
    WorkError
        When computed, if there is a NaN in the map.

    Notes
    -----
    Lazy; no halo; one task per block of the map (and what reading the region needs). In the pass that computes
    and stores a map, its blocks are searched by `deepict_dask.engine.searches.map_part`.
    """
    rule, arrays = prepared(probability, threshold, connectivity, border, region, scale, shape, origin)
    return arrays[
        0
    ].map_blocks(
        _block_part,  # type: ignore[arg-type]
        *arrays[1:],
        rule=rule,
        chunks=tuple((1,) * n for n in arrays[0].numblocks),
        dtype=object,
        meta=np.empty((0, 0, 0), object),
    )


def reduce_components(
    parts: np.ndarray | Iterable[BlockComponents],
    shape: Shape,
    *,
    min_size: int = 100,
    max_size: int | None = None,
    connectivity: int = 26,
    border: Shape = (0, 0, 0),
    voxel_size: float | tuple[float, float, float] | None = None,
    tomogram: str = "",
    class_name: str = "",
    attributes: dict[str, Any] | None = None,
) -> Reduced:
    """Merge the reports of all blocks and keep the components of an accepted size.

    Parameters
    ----------
    parts : array or iterable of BlockComponents
        Computed :func:`component_parts`, of all slabs, in any order.
    shape : (int, int, int)
        The tomogram.
    min_size, max_size : int, int or None
        A component is a particle if ``min_size < size <= max_size`` (voxels).
    connectivity, border
        As given to :func:`component_parts`.
    voxel_size : float or (float, float, float), optional
        Angstrom, (z, y, x).
    tomogram, class_name : str
        Names for the table.
    attributes : dict, optional
        Settings to keep with the table.

    Returns
    -------
    Reduced
        Particles in the order of their first voxels; bit for bit the same for every chunking.

    Raises
    ------
    InputError
        If the size limits contradict each other.
    """
    check_sizes(min_size, max_size)
    blocks = list(parts.flat) if isinstance(parts, np.ndarray) else list(parts)
    components, _ = merge_components(blocks, shape, connectivity)
    largest = np.inf if max_size is None else max_size
    keep = np.flatnonzero((components.size > min_size) & (components.size <= largest))
    z, y, x = components.centroids[keep].T
    lower, upper = components.lower[keep].astype(np.int64), components.upper[keep].astype(np.int64)
    edge = np.asarray(border)
    particles = Particles(
        label=keep + 1,
        z=z,
        y=y,
        x=x,
        score=components.mean_score[keep],
        score_max=components.max_score[keep],
        size=components.size[keep],
        touches_edge=((lower <= edge) | (upper >= np.asarray(shape) - edge)).any(axis=1),
        bounding_box=np.stack([lower, upper], axis=1),
        voxel_size=None if voxel_size is None else per_axis(voxel_size),
        tomogram=tomogram,
        class_name=class_name,
        attributes=dict(attributes or {}),
    )
    return Reduced(
        particles,
        components.n,
        int(np.count_nonzero(components.size <= min_size)),
        int(np.count_nonzero(components.size > largest)),
        int(components.size.max(initial=0)),
    )


def reduce_parts(parts: np.ndarray | Iterable[BlockComponents], shape: Shape, **options: Any) -> Particles:
    """Give the particles of `reduce_components`, which has the same parameters."""
    return reduce_components(parts, shape, **options).particles


def pick(
    probability: da.Array | np.ndarray,
    *,
    threshold: float = 0.5,
    min_size: int = 100,
    max_size: int | None = None,
    connectivity: int = 26,
    border: Shape = (0, 0, 0),
    region: da.Array | np.ndarray | None = None,
    voxel_size: float | tuple[float, float, float] | None = None,
    scale: float | None = None,
    tomogram: str = "",
    class_name: str = "",
) -> Particles:
    """Pick particles from a probability map. This computes, on the Client if there is one.

    Parameters
    ----------
    probability : dask or numpy array, shape (z, y, x)
        Floating point in [0, 1], or unsigned levels.
    threshold : float
        A voxel is foreground if its probability is strictly above.
    min_size, max_size : int, int or None
        A component is a particle if ``min_size < size <= max_size`` (voxels).
    connectivity : {6, 18, 26}
        Which neighbors belong together.
    border : (int, int, int)
        Thickness (z, y, x) in voxels at each side that is excluded before labelling.
    region : dask or numpy array, shape (z, y, x), optional
        Region mask that the segmentation is intersected with; everything but zero is inside.
    voxel_size : float or (float, float, float), optional
        Angstrom, (z, y, x).
    scale : float, optional
        Probability of one stored level; 1 / 255 for uint8 unless given.
    tomogram, class_name : str
        Names for the table.

    Returns
    -------
    Particles
        Their ``attributes`` hold the settings above.

    Raises
    ------
    InputError
        If a setting is out of range, or the region has another shape.
    WorkError
        If there is a NaN in the map.
    """
    check_sizes(min_size, max_size)
    parts = component_parts(
        probability, threshold=threshold, connectivity=connectivity, border=border, region=region, scale=scale
    )
    settings = {
        "threshold": float(threshold),
        "min_size": min_size,
        "max_size": max_size,
        "connectivity": connectivity,
        "border": list(border),
        "region": region is not None,
    }
    return reduce_parts(
        parts.compute(), tuple(probability.shape), min_size=min_size, max_size=max_size,
        connectivity=connectivity, border=border, voxel_size=voxel_size,
        tomogram=tomogram, class_name=class_name, attributes=settings,
    )  # fmt: skip


def _block_part(*blocks: np.ndarray, rule: Rule, block_info: Any = None) -> np.ndarray:
    return boxed(components_of(blocks[0], block_start(block_info, rule), rule, *blocks[1:]))


def components_of(
    levels: np.ndarray, start: Shape, rule: Rule, region: np.ndarray | None = None
) -> BlockComponents:
    """Reduce one block of a map, which begins somewhere in the tomogram, to a report on its components.

    Parameters
    ----------
    levels : array, shape (z, y, x)
        Probabilities, or the levels that they are stored as.
    start : (int, int, int)
        Where the block begins.
    rule : Rule
        What is foreground.
    region : array, shape (z, y, x), optional
        Of the same block: where it is not above 0 is no foreground.
    """
    mask = foreground_of(levels, start, rule, region)
    return block_components(mask, levels, start, rule.shape, connectivity=rule.connectivity, scale=rule.scale)
