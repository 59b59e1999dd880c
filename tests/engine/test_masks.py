"""Masks of a whole tomogram: lazy, and the same for any blocks."""

from __future__ import annotations

import dask
import numpy as np
import pytest

from deepict_dask.engine.masks import Shapes, paste
from deepict_dask.errors import InputError
from deepict_dask.geometry import block_grid

SHAPE = (19, 31, 43)
RNG = np.random.default_rng(0)
TWO = [
    Shapes(RNG.uniform(0, SHAPE, (9, 3)), radius=4.5),
    Shapes(RNG.uniform(0, SHAPE, (9, 3)), stamp=RNG.random((5, 6, 7)) > 0.4),
]


@pytest.mark.parametrize("layout", ["channels", "labels"])
@pytest.mark.parametrize("core", [5, 11, 16])
def test_blocks_do_not_show(layout, core):
    whole = paste(TWO, block_grid(SHAPE, 64), layout)
    blocks = paste(TWO, block_grid(SHAPE, core), layout)
    assert whole.npartitions == 1 and blocks.npartitions > 8
    np.testing.assert_array_equal(blocks.compute(), whole.compute())


def test_channels_are_the_classes_alone_and_labels_show_the_later_class():
    grid = block_grid(SHAPE, 16)
    channels, labels = (paste(TWO, grid, layout).compute() for layout in ("channels", "labels"))
    for channel, shapes in zip(channels, TWO, strict=True):
        np.testing.assert_array_equal(channel, paste([shapes], grid).compute())
    assert (channels.sum(axis=0) == 2).any()
    np.testing.assert_array_equal(labels, np.where(channels[1] > 0, 2, channels[0]))


def test_nothing_is_computed_before_it_is_asked_for_and_a_block_is_one_task():
    def refuse(*_args, **_kwargs):
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        grid = block_grid(SHAPE, 8)
        lazy = paste(TWO, grid)
    assert len(lazy.__dask_graph__()) <= grid.n_blocks + 1
    assert lazy.shape == (2, *SHAPE) and lazy.dtype == np.uint8 and paste(TWO[:1], grid).shape == SHAPE


def test_more_classes_than_labels_can_tell_apart_are_refused():
    for n in (0, 256):
        with pytest.raises(InputError, match=f"not {n}"):
            paste(TWO[:1] * n, block_grid(SHAPE, 8))
