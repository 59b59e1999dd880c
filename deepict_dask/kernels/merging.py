"""Join the components of all blocks of a tomogram across the blocks' boundaries.

Two blocks share a component where a foreground voxel of one touches a foreground voxel of the
other, across a face, an edge or a corner. Only the voxels on the blocks' shells can do so, and
they are few; the voxels themselves are no longer needed here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import WorkError
from deepict_dask.kernels.labelling import (
    CONNECTIVITIES,
    HIGH,
    LOW,
    BlockComponents,
    block_components,
    check_connectivity,
)


@dataclass(frozen=True)
class Components:
    """The components of a whole tomogram; row k is label k + 1, in the order of the first voxels.

    Attributes
    ----------
    size : int64 (n,)
        Voxels.
    sums : int64 (n, 3)
        Sums of the voxels' coordinates (z, y, x).
    first : int64 (n,)
        Linear index (C order) of the first voxel, ascending.
    lower, upper : int32 (n, 3)
        Bounding box, upper end exclusive.
    score_sum, score_max : int64 (n,)
        Sum and largest of the voxels' probability, in units of ``score_unit``.
    score_unit : float
        Probability of one level.
    """

    size: np.ndarray
    sums: np.ndarray
    first: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    score_sum: np.ndarray
    score_max: np.ndarray
    score_unit: float

    @property
    def n(self) -> int:
        """Number of components."""
        return len(self.size)

    @property
    def centroids(self) -> np.ndarray:
        """Mean positions (z, y, x) in voxels, float64 (n, 3)."""
        return self.sums / self.size[:, None]

    @property
    def mean_score(self) -> np.ndarray:
        """Mean probability, float64 (n,)."""
        return self.score_sum / self.size * self.score_unit

    @property
    def max_score(self) -> np.ndarray:
        """Largest probability, float64 (n,)."""
        return self.score_max * self.score_unit


def forward_offsets(connectivity: int) -> list[tuple[int, int, int]]:
    """List one of each pair of opposite neighbors, (z, y, x).

    >>> forward_offsets(6)
    [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    """
    check_connectivity(connectivity)
    reach = CONNECTIVITIES[connectivity]
    neighbors = itertools.product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1))
    return [d for d in neighbors if d > (0, 0, 0) and sum(map(abs, d)) <= reach]


def merge_components(
    parts: Sequence[BlockComponents], shape: tuple[int, int, int], connectivity: int = 26
) -> tuple[Components, list[np.ndarray]]:
    """Merge the reports of all blocks into the components of the tomogram.

    Parameters
    ----------
    parts : sequence of BlockComponents
        Of blocks that tile the tomogram, in any order.
    shape : (int, int, int)
        The tomogram.
    connectivity : {6, 18, 26}
        The one that the blocks were labelled with.

    Returns
    -------
    components : Components
        Bit for bit the same for every tiling and order of the blocks; numbered as
        scipy.ndimage.label numbers.
    lookups : list of int32 (n_local + 1,)
        For each part the label in the tomogram of every local label, 0 for 0.

    Raises
    ------
    InputError
        If the connectivity is another number.
    WorkError
        If the blocks come from maps with different scales.

    Notes
    -----
    Memory and time go with the number of shell voxels and components. A voxel is compared only
    with neighbors in other blocks; inside a block the components are known.
    """
    check_connectivity(connectivity)
    parts = list(parts) or [_EMPTY]
    units = {p.score_unit for p in parts if p.n}
    if len(units) > 1:
        raise WorkError(
            f"the blocks have scores on different scales ({sorted(units)}); segment the tomogram again"
        )
    offset = np.concatenate([[0], np.cumsum([p.n for p in parts], dtype=np.int64)])
    total = int(offset[-1])
    if total >= np.iinfo(np.int32).max:
        raise WorkError(
            f"{total} components in the blocks are more than int32 can number; use a higher threshold"
        )
    group = _joined(parts, offset, shape, connectivity)

    # Rows of one component next to each other; reduceat is exact in int64, bincount is not.
    order = np.argsort(group, kind="stable")
    begins = np.flatnonzero(np.diff(group[order], prepend=-1))

    def reduced(operation: np.ufunc, name: str) -> np.ndarray:
        column = np.concatenate([getattr(p, name) for p in parts])[order]
        return operation.reduceat(column, begins, axis=0)

    first = reduced(np.minimum, "first")
    rank = np.argsort(first)
    components = Components(
        size=reduced(np.add, "size")[rank],
        sums=reduced(np.add, "sums")[rank],
        first=first[rank],
        lower=reduced(np.minimum, "lower")[rank],
        upper=reduced(np.maximum, "upper")[rank],
        score_sum=reduced(np.add, "score_sum")[rank],
        score_max=reduced(np.maximum, "score_max")[rank],
        score_unit=units.pop() if units else 1.0,
    )
    number = np.zeros(len(rank), np.int32)
    number[rank] = np.arange(1, len(rank) + 1)
    label = number[group]
    lookups = [np.concatenate([np.zeros(1, np.int32), label[a:b]]) for a, b in itertools.pairwise(offset)]
    return components, lookups


def _joined(
    parts: Sequence[BlockComponents], offset: np.ndarray, shape: tuple[int, int, int], connectivity: int
) -> np.ndarray:
    """Give each local component (all parts one after another) the number of its group."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    total = int(offset[-1])
    index = np.concatenate([p.shell_index for p in parts])
    node = np.concatenate([p.shell_label + (o - 1) for p, o in zip(parts, offset, strict=False)])
    side = np.concatenate([p.shell_side for p in parts])
    if not len(index):
        return np.arange(total)
    order = np.argsort(index, kind="stable")
    index, node, side = index[order], node[order], side[order]

    left, right = [], []
    for step in forward_offsets(connectivity):
        bits = 0
        for axis, d in enumerate(step):
            bits |= (HIGH[axis] if d > 0 else LOW[axis]) if d else 0
        here = np.flatnonzero(side & np.uint8(bits))
        here = here[_stays_inside(index[here], step, shape)]
        neighbor = index[here] + (step[0] * shape[1] + step[1]) * shape[2] + step[2]
        position = np.minimum(np.searchsorted(index, neighbor), len(index) - 1)
        hit = index[position] == neighbor
        left.append(node[here[hit]])
        right.append(node[position[hit]])
    rows, columns = np.concatenate(left), np.concatenate(right)
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(total, total))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _stays_inside(index: np.ndarray, step: tuple[int, int, int], shape: tuple[int, int, int]) -> np.ndarray:
    """Tell which voxels still have a neighbor in this direction within the tomogram."""
    inside = np.ones(len(index), bool)
    stride = 1
    for d, n in zip(reversed(step), reversed(shape), strict=True):
        if d:
            coordinate = index // stride % n
            inside &= coordinate < n - 1 if d > 0 else coordinate > 0
        stride *= n
    return inside


_NOTHING = np.zeros((1, 1, 1), np.int32)
_EMPTY = block_components(_NOTHING, None, (0, 0, 0), _NOTHING.shape, labels=_NOTHING)
