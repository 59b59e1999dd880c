"""Labelling one block, and what a block reports."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deepict_dask.errors import InputError
from deepict_dask.kernels.labelling import CONNECTIVITIES, block_components, label_block
from deepict_dask.kernels.thresholding import FLOAT_LEVELS


def structure(connectivity: int) -> np.ndarray:
    return ndimage.generate_binary_structure(3, CONNECTIVITIES[connectivity])


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 13)] * 3),
    density=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]),
    connectivity=st.sampled_from([6, 18, 26]),
    seed=st.integers(0, 99),
)
def test_labels_are_scipys(shape, density, connectivity, seed):
    mask = np.random.default_rng(seed).random(shape) < density
    labels, n = label_block(mask, connectivity)
    expected, n_expected = ndimage.label(mask, structure(connectivity))
    assert labels.dtype == np.int32
    assert n == n_expected
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 3, 3), (3, 3, 3), (7, 1, 5), (1, 7, 1), (5, 5, 5), (9, 11, 13)]
)
def test_shapes_that_cc3d_refuses_are_labelled(shape):
    for k in (0, 1):  # every second voxel of each axis: as many labels as there can be
        mask = np.all(np.indices(shape) % 2 == k, axis=0)
        np.testing.assert_array_equal(label_block(mask)[0], ndimage.label(mask, structure(26))[0])


def test_memory_order_and_writability_of_a_mask_do_not_matter():
    mask = np.asfortranarray(np.random.default_rng(0).random((8, 9, 10)) < 0.2)
    mask.flags.writeable = False
    np.testing.assert_array_equal(label_block(mask, 6)[0], ndimage.label(mask)[0])


@pytest.mark.parametrize("connectivity", [1, 3, 8, 0])
def test_other_connectivities_are_refused(connectivity):
    with pytest.raises(InputError, match=r"6 .*18 .*26"):
        label_block(np.ones((2, 2, 2), bool), connectivity)


def test_a_report_agrees_with_scipy_measurements():
    rng = np.random.default_rng(1)
    shape, start, whole = (9, 11, 13), (10, 20, 30), (40, 50, 60)
    mask = rng.random(shape) < 0.15
    levels = rng.integers(1, 256, shape, dtype=np.uint8)
    part = block_components(mask, levels, start, whole, connectivity=18)
    labels, n = ndimage.label(mask, structure(18))
    ids = np.arange(1, n + 1)
    assert part.n == n
    np.testing.assert_array_equal(part.size, ndimage.sum_labels(mask, labels, ids))
    np.testing.assert_allclose(
        part.sums / part.size[:, None],
        np.array(ndimage.center_of_mass(mask, labels, ids)) + start,
        rtol=1e-13,
    )
    np.testing.assert_array_equal(part.score_sum, ndimage.sum_labels(levels, labels, ids))
    np.testing.assert_array_equal(part.score_max, ndimage.maximum(levels, labels, ids))
    assert part.score_unit == 1 / 255
    for k, box in enumerate(ndimage.find_objects(labels)):
        assert tuple(part.lower[k]) == tuple(s.start + o for s, o in zip(box, start, strict=True))
        assert tuple(part.upper[k]) == tuple(s.stop + o for s, o in zip(box, start, strict=True))
        first = np.argwhere(labels == k + 1)[0] + start
        assert part.first[k] == np.ravel_multi_index(tuple(first), whole)


def test_the_shell_is_what_faces_other_blocks_and_nothing_else():
    shape, start, whole = (4, 5, 6), (0, 5, 6), (8, 10, 18)  # z: more above; y: more below; x: both
    mask = np.random.default_rng(2).random(shape) < 0.5
    part = block_components(mask, None, start, whole)
    faces = np.zeros(shape, bool)
    faces[-1], faces[:, 0], faces[:, :, 0], faces[:, :, -1] = True, True, True, True
    expected = np.argwhere(mask & faces) + start
    np.testing.assert_array_equal(part.shell_index, np.ravel_multi_index(tuple(expected.T), whole))
    labels = label_block(mask)[0]
    np.testing.assert_array_equal(part.shell_label, labels[mask & faces])


def test_foreground_larger_than_a_slice_gives_the_same_report(monkeypatch):
    mask = np.random.default_rng(3).random((10, 11, 12)) < 0.4
    score = np.random.default_rng(4).random(mask.shape, dtype=np.float32)
    whole = block_components(mask, score, (0, 0, 0), (20, 11, 12), connectivity=6)
    monkeypatch.setattr("deepict_dask.kernels.labelling._SLICE", 7)
    sliced = block_components(mask, score, (0, 0, 0), (20, 11, 12), connectivity=6)
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(whole, name), getattr(sliced, name))


def test_float_scores_above_a_half_are_summed_without_rounding():
    score = np.float32(0.5) + np.random.default_rng(5).random((6, 6, 6), dtype=np.float32) / 2
    part = block_components(np.ones(score.shape, bool), score, (0, 0, 0), score.shape)
    assert part.score_sum[0] / FLOAT_LEVELS == sum(map(float, score.ravel()))
    assert part.score_max[0] / FLOAT_LEVELS == score.max()
