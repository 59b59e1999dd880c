"""Merging blocks equals labelling the whole, however it was cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deepict_dask.errors import WorkError
from deepict_dask.kernels.labelling import CONNECTIVITIES, block_components, label_block
from deepict_dask.kernels.merging import forward_offsets, merge_components


def cut(mask, edges, connectivity, score=None, order=None):
    """Label each block, merge, and put the label image together from the lookups."""
    slices = [[slice(a, b) for a, b in itertools.pairwise(e)] for e in edges]
    regions = list(itertools.product(*slices))
    if order is not None:
        regions = [regions[k] for k in order.permutation(len(regions))]
    parts = [
        block_components(
            mask[r], None if score is None else score[r], tuple(s.start for s in r), mask.shape,
            connectivity=connectivity,
        )
        for r in regions
    ]  # fmt: skip
    components, lookups = merge_components(parts, mask.shape, connectivity)
    image = np.zeros(mask.shape, np.int32)
    for r, lookup in zip(regions, lookups, strict=True):
        image[r] = lookup[label_block(mask[r], connectivity)[0]]
    return components, image


def whole(mask):
    return [(0, n) for n in mask.shape]


def scipys(mask, connectivity):
    return ndimage.label(mask, ndimage.generate_binary_structure(3, CONNECTIVITIES[connectivity]))[0]


def same_bits(a, b):
    return all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )


@st.composite
def cases(draw):
    shape = draw(st.tuples(*[st.sampled_from([1, 2, 3, 5, 7, 11, 13])] * 3))
    edges = []
    for n in shape:
        inner = draw(st.sets(st.integers(1, n - 1), max_size=5)) if n > 1 else set()
        edges.append((0, *sorted(inner), n))
    density = draw(st.sampled_from([0.0, 0.03, 0.1, 0.25, 0.5, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return rng.random(shape) < density, rng.random(shape, dtype=np.float32), edges, rng


@settings(max_examples=60, deadline=None)
@given(case=cases(), connectivity=st.sampled_from([6, 18, 26]))
def test_any_cut_gives_scipys_labels_and_the_same_bits(case, connectivity):
    mask, score, edges, rng = case
    expected, _ = cut(mask, whole(mask), connectivity, score)
    found, image = cut(mask, edges, connectivity, score, order=rng)
    np.testing.assert_array_equal(image, scipys(mask, connectivity))
    assert same_bits(found, expected)
    assert (np.diff(found.first) > 0).all()


@pytest.mark.parametrize("step", [d for d in itertools.product((-1, 0, 1), repeat=3) if any(d)])
def test_two_voxels_across_a_boundary_touch_only_as_the_connectivity_says(step):
    mask = np.zeros((4, 6, 10), bool)
    here = np.where(np.array(step) < 0, (2, 3, 5), (1, 2, 4))  # beside the corner where eight blocks meet
    mask[tuple(here)] = mask[tuple(here + step)] = True
    for connectivity, reach in CONNECTIVITIES.items():
        found, _ = cut(mask, [(0, 2, 4), (0, 3, 6), (0, 5, 10)], connectivity)
        assert found.n == (1 if np.abs(step).sum() <= reach else 2)


def test_voxels_at_opposite_ends_of_neighboring_rows_do_not_touch():
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 3] = mask[0, 1, 0] = mask[1, 3, 3] = mask[2, 0, 0] = True  # next to each other in memory
    found, _ = cut(mask, [(0, 1, 2, 3, 4)] * 3, 26)
    assert found.n == 4


def test_one_component_through_eight_blocks():
    mask = np.zeros((6, 8, 10), bool)
    mask[2:4, 3:5, 4:6] = True
    found, _ = cut(mask, [(0, 3, 6), (0, 4, 8), (0, 5, 10)], 6, mask.astype(np.float32))
    assert found.n == 1
    assert found.centroids.tolist() == [[2.5, 3.5, 4.5]]
    assert (found.size[0], found.lower.tolist(), found.upper.tolist()) == (8, [[2, 3, 4]], [[4, 5, 6]])
    assert (found.mean_score[0], found.max_score[0]) == (1, 1)


def snake(shape):
    """One voxel thick, through every second row of every second plane, 6-connected end to end."""
    mask = np.zeros(shape, bool)
    for k, z in enumerate(range(0, shape[0], 2)):
        mask[z, ::2] = True
        for j, y in enumerate(range(1, shape[1] - 1, 2)):
            mask[z, y, -1 if j % 2 == 0 else 0] = True
        if z + 2 < shape[0]:
            mask[z + 1, -1 if k % 2 == 0 else 0, -1] = True
    return mask


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_a_snake_through_all_blocks_is_one_component(block):
    mask = snake((5, 9, 13))
    assert scipys(mask, 6).max() == 1
    found, _ = cut(mask, [(*range(0, n, block), n) for n in mask.shape], 6)
    assert found.size.tolist() == [mask.sum()]


def test_empty_and_full_tomograms():
    edges = [(0, 2, 5), (0, 4, 7), (0, 3, 6)]
    empty, image = cut(np.zeros((5, 7, 6), bool), edges, 26)
    assert empty.n == 0 and not image.any() and empty.centroids.shape == (0, 3)
    full, image = cut(np.ones((5, 7, 6), bool), edges, 6)
    assert full.size.tolist() == [210] and (image == 1).all()
    assert full.centroids.tolist() == [[2, 3, 2.5]]
    assert merge_components([], (5, 7, 6))[0].n == 0


def test_half_of_all_neighbors_are_compared():
    for connectivity in CONNECTIVITIES:
        steps = forward_offsets(connectivity)
        both = {*steps, *(tuple(-k for k in d) for d in steps)}
        assert len(both) == connectivity


def test_blocks_on_different_scales_are_refused():
    mask = np.ones((1, 1, 2), bool)
    parts = [
        block_components(mask, np.ones(mask.shape, t), (0, 0, s), (1, 1, 4))
        for s, t in ((0, np.uint8), (2, np.float32))
    ]
    with pytest.raises(WorkError, match="different scales"):
        merge_components(parts, (1, 1, 4))
