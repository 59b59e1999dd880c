"""What picking takes for foreground: threshold, border and region, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.engine.labelling import as_blocks
from deepict_dask.errors import InputError
from deepict_dask.kernels.labelling import check_connectivity
from deepict_dask.kernels.thresholding import clear_border, score_unit, threshold_block

if TYPE_CHECKING:
    import dask.array as da

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Rule:
    """What makes a voxel foreground, and where the blocks lie."""

    shape: Shape
    origin: Shape
    threshold: float
    connectivity: int
    border: Shape
    scale: float | None


def segmentation(
    probability: da.Array | np.ndarray,
    *,
    threshold: float = 0.5,
    border: Shape = (0, 0, 0),
    region: da.Array | np.ndarray | None = None,
    scale: float | None = None,
) -> da.Array:
    """Give the foreground that picking labels, lazily; arguments as for :func:`deepict_dask.engine.picking.component_parts`.

    Returns
    -------
    dask array, bool, shape (z, y, x)
        With the chunks of the map. ``label(segmentation(...))`` is the label image whose values the
        table of particles has.
    """
    rule, arrays = prepared(probability, threshold, 26, border, region, scale)
    return arrays[
        0
    ].map_blocks(
        block_mask,  # type: ignore[arg-type]
        *arrays[1:],
        rule=rule,
        dtype=bool,
        meta=np.empty((0, 0, 0), bool),
    )


def prepared(
    probability: da.Array | np.ndarray,
    threshold: float,
    connectivity: int,
    border: Shape,
    region: da.Array | np.ndarray | None,
    scale: float | None,
    shape: Shape | None = None,
    origin: Shape = (0, 0, 0),
) -> tuple[Rule, list[da.Array]]:
    """Check what picking is asked for; gives the rule, and the arrays that it applies to as blocks.

    Raises
    ------
    InputError
        If a setting is out of range, or the region has another shape.
    """
    probability = as_blocks(probability)
    whole: Shape = probability.shape if shape is None else shape
    thickness = check_picking(whole, threshold, connectivity, border)
    score_unit(probability.dtype, scale)
    arrays = [probability]
    if region is not None:
        if tuple(region.shape) != probability.shape:
            raise InputError(
                f"the region mask has shape {tuple(region.shape)} and the probability map {probability.shape}; "
                "give a mask of the same shape (z, y, x)"
            )
        arrays.append(as_blocks(region, like=probability))
    return Rule(whole, origin, float(threshold), connectivity, thickness, scale), arrays


def block_start(block_info: Any, rule: Rule) -> Shape:
    """Give the position of a block in the tomogram."""
    z, y, x = (a + o for (a, _), o in zip(block_info[0]["array-location"], rule.origin, strict=True))
    return z, y, x


def block_mask(*blocks: np.ndarray, rule: Rule, block_info: Any = None) -> np.ndarray:
    """Mark the foreground of a block of the map, and of the region where there is one."""
    return foreground_of(blocks[0], block_start(block_info, rule), rule, *blocks[1:])


def foreground_of(
    levels: np.ndarray, start: Shape, rule: Rule, region: np.ndarray | None = None
) -> np.ndarray:
    """Mark the foreground of a block that begins somewhere in the tomogram."""
    mask = threshold_block(levels, rule.threshold, start, rule.scale)
    if region is not None:
        if region.dtype.kind == "f" and np.isnan(region).any():
            raise InputError(
                "the region mask holds NaN, which is neither inside nor outside; write 0 where nothing is inside"
            )
        mask &= region > 0
    clear_border(mask, start, rule.shape, rule.border)
    return mask


def check_picking(shape: Shape, threshold: float, connectivity: int, border: Shape) -> Shape:
    """Check settings against a tomogram, before anything is computed; gives the border back.

    Raises
    ------
    InputError
        If a setting is out of range or the border leaves nothing.
    """
    check_connectivity(connectivity)
    if not 0 <= threshold < 1:
        raise InputError(f"threshold {threshold!r} is not a probability in [0, 1)")
    thickness = tuple(border)
    if len(thickness) != 3 or any(int(b) != b or b < 0 for b in thickness):
        raise InputError(f"border {border!r} is not a thickness in whole voxels for each of z, y, x")
    for axis, b, n in zip("zyx", thickness, shape, strict=True):
        if 2 * b >= n:
            raise InputError(
                f"border {b} leaves nothing of the {n} voxels on axis {axis}; use less than {-(-n // 2)}"
            )
    return int(thickness[0]), int(thickness[1]), int(thickness[2])


def check_sizes(min_size: int, max_size: int | None) -> None:
    """Refuse size limits that no component can meet.

    Raises
    ------
    InputError
        If they contradict each other.
    """
    if min_size < 0:
        raise InputError(f"min_size {min_size} is negative; sizes are voxels")
    if max_size is not None and max_size <= min_size:
        raise InputError(
            f"max_size {max_size} is not above min_size {min_size}; a size must be above min_size"
        )
