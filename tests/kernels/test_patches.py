"""Which patches are drawn: against counting in a mirrored copy of the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError
from deepict_dask.kernels import patches as module
from deepict_dask.kernels.patches import (
    PatchIndex,
    particle_patches,
    patch_grid,
    read_patch,
    select_patches,
)

SHAPE = (13, 29, 41)


def mirrored(volume, by=60):
    return np.pad(volume, [(0, 0)] * (volume.ndim - 3) + [(by, by)] * 3, mode="reflect")


def crop(padded, start, size, by=60):
    return padded[(..., *(slice(s + by, s + by + n) for s, n in zip(start, size, strict=True)))]


def original_windows(n, patch=64, overlap=12):
    """What the original does: pad by n % core and both overlaps, then cut as many cores as fit."""
    core = patch - 2 * overlap
    padded = n + n % core + 2 * overlap
    return [k * core - overlap for k in range((padded - 2 * overlap) // core)]


@given(st.integers(20, 500))
@settings(max_examples=30)
def test_patches_lie_where_the_original_lays_them(n):
    expected = original_windows(n)
    assert [start[2] for start in patch_grid((64, 64, n)) if start[:2] == (-12, -12)] == expected


def test_a_tomogram_thinner_than_half_a_core_still_has_a_patch():
    assert patch_grid((5, 40, 40)) == [(-12, -12, -12)]


@pytest.mark.parametrize("piece", [7, 16, 128])
def test_labelled_voxels_are_those_of_the_mirrored_patch(monkeypatch, piece):
    monkeypatch.setattr(module, "_PIECE", piece)
    target = (np.random.default_rng(0).random((2, *SHAPE)) > 0.7).astype("u1") * np.array([1, 9], "u1")[
        :, None, None, None
    ]
    found = select_patches(target, 16, 3, None, tomogram="a")
    assert [p.start for p in found] == patch_grid(SHAPE, 16, 3)
    padded = mirrored(target)
    for p in found:
        expected = (crop(padded, p.start, (16,) * 3) > 0).sum(axis=(1, 2, 3))
        assert p.labelled == tuple(expected) and p.tomogram == "a"


def test_a_patch_is_kept_if_its_largest_class_fraction_lies_strictly_between_the_limits():
    target = np.zeros((2, 8, 8, 24), "u1")
    target[0, :2, 0, 0:8] = 1  # 16 of 512
    target[1, :1, 0, 0:8] = 1  # 8 of the same patch: not added up
    target[1, :2, :4, 8:16] = 1  # 64 of 512
    kept = [p.start[2] for p in select_patches(target, 8, 0, 16 / 512 - 1e-9)]
    assert kept == [0, 8]
    assert [p.start[2] for p in select_patches(target, 8, 0, 16 / 512)] == [8]
    assert [p.start[2] for p in select_patches(target, 8, 0, 0, max_label_fraction=64 / 512)] == [0]
    assert len(select_patches(target, 8, 0, 0)) == 2 and len(select_patches(target, 8, 0, None)) == 3


def test_the_target_is_read_in_pieces_and_each_voxel_once():
    class Counting:
        def __init__(self, array):
            self.array, self.shape, self.reads = array, array.shape, np.zeros(array.shape, int)

        def __getitem__(self, key):
            self.reads[key] += 1
            assert self.array[key].size <= 128**3
            return self.array[key]

    target = Counting(np.ones((1, 40, 150, 300), "u1"))
    select_patches(target, 64, 12, 0)
    assert (target.reads == 1).all()


@given(st.tuples(*(st.integers(-50, n + 20) for n in SHAPE)), st.tuples(*[st.integers(1, 30)] * 3))
@settings(max_examples=30, deadline=None)
def test_a_patch_is_mirrored_at_the_edges_of_the_tomogram(start, size):
    volume = np.arange(2 * 13 * 29 * 41).reshape(2, *SHAPE)
    expected = crop(np.pad(volume, [(0, 0)] + [(99, 99)] * 3, mode="reflect"), start, size, by=99)
    np.testing.assert_array_equal(read_patch(volume, start, size), expected)


def test_nothing_beyond_a_region_is_seen():
    volume = np.random.default_rng(0).normal(size=SHAPE)
    box = (slice(None), slice(4, 20), slice(None, 17))
    alone = volume[box]
    changed = volume.copy()
    changed[:, :4] = changed[:, 20:] = np.nan
    changed[:, :, 17:] = np.nan
    for start in patch_grid(SHAPE, 16, 3, box):
        inside = (start[0], start[1] - 4, start[2])
        np.testing.assert_array_equal(
            read_patch(changed, start, (16,) * 3, box), read_patch(alone, inside, (16,) * 3)
        )
    of_box = select_patches(volume, 16, 3, None, box=box)
    of_alone = select_patches(alone, 16, 3, None)
    assert [p.labelled for p in of_box] == [p.labelled for p in of_alone]
    assert [(z, y - 4, x) for z, y, x in (p.start for p in of_box)] == [p.start for p in of_alone]


def test_particle_patches_have_the_particle_in_the_middle():
    target = np.zeros((2, *SHAPE), "u1")
    target[1, 6, 10, 20] = 1
    (found,) = particle_patches(target, np.array([[6.2, 9.8, 20.0], [6, -3, 9]]), 8, tomogram="a")
    assert found == PatchIndex((2, 6, 16), (0, 1), "a")


@pytest.mark.parametrize("overlap", [-1, 32])
def test_an_overlap_must_leave_a_core(overlap):
    with pytest.raises(InputError, match="leaves no core"):
        patch_grid((64, 64, 64), 64, overlap)
