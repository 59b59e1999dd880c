"""Searching blocks where they are computed gives what the stored map gives: the same numbers, bit for bit."""

from __future__ import annotations

from dataclasses import fields

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deepict_dask.engine.execute import execute
from deepict_dask.engine.picking import component_parts, reduce_components
from deepict_dask.engine.searches import MapPart, Search, map_part
from deepict_dask.engine.written import written
from deepict_dask.errors import InputError, WorkError
from deepict_dask.geometry import BlockGrid
from deepict_dask.io.encoding import decode, encode
from deepict_dask.io.ome_zarr import create_image, finish_image, open_image
from deepict_dask.kernels.probability import quantize

edge = st.integers(1, 13)


def smooth(shape, seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), (0, 1, 1, 1))
    return (1 / (1 + np.exp(-4 * noise / max(noise.std(), 1e-9)))).astype("f4")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(edge, edge, edge),
    core=st.tuples(edge, edge, edge),
    n_classes=st.integers(1, 3),
    dtype=st.sampled_from(["uint8", "float16", "float32"]),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.8]),
    connectivity=st.sampled_from([6, 18, 26]),
    border=st.booleans(),
    has_region=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_cutting_gives_what_the_whole_map_gives(
    shape, core, n_classes, dtype, threshold, connectivity, border, has_region, seed
):
    stored = quantize(smooth((n_classes, *shape), seed), dtype)
    grid = BlockGrid(shape, core)
    edges = tuple(int(border and n > 2) for n in shape)
    region = np.random.default_rng(seed).random(shape).astype("f4").round() if has_region else None
    scale = 1 / 255 if dtype == "uint8" else None
    rules = {"threshold": threshold, "connectivity": connectivity, "border": edges, "scale": scale}
    searches = {str(c): Search.of(shape, dtype, **rules, channel=c, region=region) for c in range(n_classes)}
    blocks = stored if n_classes > 1 else stored[0]
    parts = [
        map_part(blocks[..., *grid.region(index)], (0, *index)[-blocks.ndim :], grid, searches)
        for index in grid
    ]
    parts = [decode(encode(p)) for p in parts]  # as a later command finds them
    for c in range(n_classes):
        later = component_parts(da.from_array(stored[c], chunks=grid.chunks), region=region, **rules)
        for ahead, stored_part in zip(parts, later.compute(scheduler="sync").ravel(), strict=True):
            for field in fields(stored_part):
                a, b = getattr(ahead.components[str(c)], field.name), getattr(stored_part, field.name)
                np.testing.assert_array_equal(a, b)
                assert np.asarray(a).dtype == np.asarray(b).dtype
        # And what scipy says of the whole.
        values = stored[c].astype("f8") * (scale or 1)
        above = (stored[c] > threshold * 255 if scale else values > threshold) & (
            region is None or region > 0
        )
        inside = np.zeros(shape, bool)
        inside[tuple(slice(b, n - b) for b, n in zip(edges, shape, strict=True))] = True
        structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
        labels, n = ndimage.label(above & inside, structure)
        found = reduce_components(
            [p.components[str(c)] for p in parts], shape, min_size=0, connectivity=connectivity, border=edges
        )
        assert found.n_components == n
        np.testing.assert_array_equal(found.particles.size, np.bincount(labels.ravel(), minlength=n + 1)[1:])
    assert max(max(p.maxima) for p in parts) == stored.max()


def test_blocks_are_searched_and_written_in_one_task(tmp_path):
    stored = quantize(smooth((2, 20, 24, 28), 5), "uint8")
    grid = BlockGrid((20, 24, 28), (8, 8, 16))
    image = create_image(
        tmp_path / "p.zarr",
        shape=stored.shape,
        dtype="u1",
        voxel_size=(10.0,) * 3,
        name="a",
        core=grid.core,
        kind="probability",
        classes=["a", "b"],
        n_levels=1,
    )
    lazy = da.from_array(stored, chunks=((2,), *grid.chunks))
    rules = {"threshold": 0.95, "connectivity": 26, "border": (1, 2, 3), "scale": 1 / 255}
    search = {"x": Search.of(grid.shape, "u1", **rules, channel=1)}
    blocks = execute(written(lazy, image.writer, map_part, grid=grid, searches=search))
    finish_image(image, [shard for b in blocks for shard in b.receipt])
    read = da.from_array(open_image(tmp_path / "p.zarr").array, chunks=((1, 1), *grid.chunks), asarray=False)[
        1
    ]
    options = {"min_size": 3, "border": (1, 2, 3)}
    now = reduce_components([b.part.components["x"] for b in blocks], grid.shape, **options).particles
    later = reduce_components(
        component_parts(read, **rules).compute(scheduler="sync"), grid.shape, **options
    ).particles
    assert len(now) > 5
    for name, values in vars(later).items():
        np.testing.assert_array_equal(getattr(now, name), values)


def test_what_cannot_be_looked_for_is_refused_before_anything_is_computed():
    rules = {"threshold": 0.5, "connectivity": 26, "border": (0, 0, 0), "scale": None}
    for change in ({"threshold": 1.0}, {"connectivity": 8}, {"border": (5, 0, 0)}):
        with pytest.raises(InputError):
            Search.of((9, 9, 9), "f4", **(rules | change))


def test_a_map_that_is_no_number_is_an_error_where_it_is_computed():
    grid = BlockGrid((4, 4, 4), (4, 4, 4))
    search = Search.of(grid.shape, "f4", threshold=0.5, connectivity=26, border=(0, 0, 0), scale=None)
    block = np.full((4, 4, 4), np.nan, "f4")
    with pytest.raises(WorkError, match="NaN"):
        map_part(block, (0, 0, 0), grid, {"a": search})
    assert map_part(np.ones((4, 4, 4), "f4"), (0, 0, 0), grid, {}) == MapPart([1.0], {})
