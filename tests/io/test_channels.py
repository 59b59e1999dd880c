"""Targets from several places, sliced as one array."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import zarr

from deepict_dask.io.channels import Channel, Channels

SHAPE = (5, 6, 7)


@pytest.fixture
def parts(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, SHAPE).astype("u1")
    stack = zarr.create_array(tmp_path / "masks.zarr", shape=(2, *SHAPE), dtype="u1", chunks=(1, 3, 3, 3))
    stack[:] = rng.integers(0, 2, (2, *SHAPE))
    return labels, stack


def whole(labels, stack):
    return np.stack([stack[1], labels == 2, np.zeros(SHAPE), labels > 0]).astype("u1")


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(1, 4), slice(0, 6), slice(2, 7)),
        (1, slice(1, 4), slice(None), slice(3, 4)),
        (slice(1, 3), slice(0, 0), slice(2), slice(5, 7)),
        (2, slice(1, 4), slice(0, 6)),
        (slice(None), 2, 0, slice(None)),
        slice(None),
        -1,
    ],
)
def test_a_slice_is_that_of_the_whole_array(parts, key):
    labels, stack = parts
    channels = Channels([Channel(stack, 1), Channel(labels, value=2), None, Channel(labels)], SHAPE)
    assert channels.shape == (4, *SHAPE)
    got, expected = channels[key], whole(labels, stack[:])[key]
    assert got.dtype == np.uint8 and got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


def test_it_travels_to_other_processes(parts):
    _, stack = parts
    channels = pickle.loads(pickle.dumps(Channels([Channel(stack, 0), None], SHAPE)))
    np.testing.assert_array_equal(
        channels[:, :, 2:4, :], Channels([Channel(stack, 0), None], SHAPE)[:, :, 2:4, :]
    )
