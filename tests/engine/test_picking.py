"""Picks: the original's, the same on any chunking, and lazily."""

from __future__ import annotations

from collections import Counter

import dask
import dask.array as da
import mrcfile
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deepict_dask.engine.foreground import segmentation
from deepict_dask.engine.labelling import label
from deepict_dask.engine.picking import component_parts, pick, reduce_parts
from deepict_dask.errors import InputError, WorkError


@pytest.mark.parametrize("case", ["plain", "six", "intersection"])
@pytest.mark.parametrize("chunks", [(80, 120, 160), (27, 50, 41)])
def test_picks_are_the_originals_byte_for_byte(shared, tmp_path, case, chunks):
    folder = shared / "reference" / "pick"
    probability = mrcfile.read(shared / "reference" / "segment3d" / "even_probability.mrc")
    rules = yaml.safe_load((folder / f"even_{case}.yaml").read_text())
    border = rules["ignore_border_thickness"]  # the original's order is x, y, z
    border = tuple(reversed(border)) if isinstance(border, list) else (border,) * 3
    region = (
        None
        if rules["region_mask"] == "no_mask"
        else mrcfile.read(folder / f"even_{rules['region_mask']}.mrc")
    )
    connectivity = {1: 6, 2: 18, 3: 26}[rules["clustering_connectivity"]]
    particles = pick(
        da.from_array(probability, chunks=chunks),
        threshold=rules["threshold"],
        min_size=rules["min_cluster_size"],
        max_size=rules["max_cluster_size"],
        connectivity=connectivity,
        border=border,
        region=region,
    )
    written = particles.write(tmp_path / "even_motl.csv")
    assert written.read_bytes() == (folder / f"even_{case}_motl.csv").read_bytes()

    # The labels are those of the label image, and the voxels the original's.
    mask = segmentation(da.from_array(probability, chunks=chunks), border=border, region=region)
    image = label(mask, connectivity).compute()
    expected = mrcfile.read(folder / f"even_{case}_mask.mrc") != 0
    np.testing.assert_array_equal(np.isin(image, particles.label), expected)


def blobs(shape, seed):
    """Smooth random probabilities with components of all sizes."""
    noise = np.random.default_rng(seed).random(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, 0.8)
    return ((smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-6)).astype(np.float32)


def bits(particles):
    named = {k: v for k, v in vars(particles).items() if isinstance(v, np.ndarray)}
    return {k: (v.dtype.str, v.shape, v.tobytes()) for k, v in named.items()}


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.sampled_from([1, 3, 7, 11, 13])] * 3),
    chunks=st.tuples(*[st.integers(1, 13)] * 3),
    connectivity=st.sampled_from([6, 18, 26]),
    stored=st.sampled_from([np.uint8, np.float16, np.float32, np.float64]),
    masked=st.booleans(),
    border=st.tuples(*[st.integers(0, 5)] * 3),
    seed=st.integers(0, 99),
)
def test_picks_have_the_same_bits_on_any_chunking(shape, chunks, connectivity, stored, masked, border, seed):
    probability = blobs(shape, seed)
    probability = (
        np.rint(probability * 255).astype(stored) if stored is np.uint8 else probability.astype(stored)
    )
    region = np.random.default_rng(seed).integers(0, 3, shape, dtype=np.int8) if masked else None
    border = tuple(min(b, (n - 1) // 2) for b, n in zip(border, shape, strict=True))
    rules = {"min_size": 1, "max_size": 60, "connectivity": connectivity, "border": border, "region": region}
    with dask.config.set(scheduler="sync"):
        one = pick(da.from_array(probability, chunks=-1), **rules)
        many = pick(da.from_array(probability, chunks=chunks), **rules)
    assert bits(one) == bits(many)

    # An oracle that knows no blocks.
    mask = (probability.astype(float) / 255 if stored is np.uint8 else probability.astype(float)) > 0.5
    inside = np.zeros(shape, bool)
    inside[tuple(slice(b, n - b) for b, n in zip(border, shape, strict=True))] = True
    mask &= inside if region is None else inside & (region != 0)
    labels, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity]))
    sizes = np.bincount(labels.ravel())
    ids = np.flatnonzero((sizes > 1) & (sizes <= 60) & (np.arange(len(sizes)) > 0))
    np.testing.assert_array_equal(one.label, ids)
    np.testing.assert_array_equal(one.size, sizes[ids])
    if len(ids):
        np.testing.assert_allclose(one.positions, ndimage.center_of_mass(mask, labels, ids), rtol=1e-12)
        scale = 255 if stored is np.uint8 else 1
        mean = ndimage.mean(probability.astype(float) / scale, labels, ids)
        np.testing.assert_allclose(one.score, mean, atol=5e-8)
        np.testing.assert_allclose(
            one.score_max, ndimage.maximum(probability.astype(float) / scale, labels, ids), atol=5e-8
        )
        assert (one.score <= one.score_max).all()


def ball(shape, center, radius):
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, center, strict=True)) <= radius**2


@pytest.mark.parametrize(
    "center",
    [(10, 12, 14), (10, 6, 7), (10, 12, 7), (5, 6, 7), (9.5, 11.5, 13.5)],
    ids=["corner", "face", "edge", "inside", "between"],
)
def test_a_particle_on_a_boundary_is_found_once_where_it_is(center):
    shape = (20, 24, 28)
    probability = da.from_array(ball(shape, center, 4).astype(np.float32), chunks=(10, 12, 14))
    found = pick(probability, voxel_size=(10, 11, 12))
    assert len(found) == 1
    np.testing.assert_allclose(found.positions[0], center, atol=1e-12)
    table = found.to_dataframe()
    np.testing.assert_allclose(
        table[["z_angstrom", "y_angstrom", "x_angstrom"]].to_numpy()[0], np.multiply(center, (10, 11, 12))
    )


def test_sizes_are_above_the_minimum_and_up_to_the_maximum():
    probability = np.zeros((3, 5, 20), np.float32)
    for k, size in enumerate((2, 3, 4, 5)):
        probability[1, k, 5 * k : 5 * k + size] = 1  # in rows next to each other, apart along x

    def sizes(**rules):
        return pick(probability, connectivity=6, **rules).size.tolist()

    assert sizes(min_size=0) == [2, 3, 4, 5]
    assert sizes(min_size=3) == [4, 5]
    assert sizes(min_size=2, max_size=4) == [3, 4]


def test_the_size_filter_sees_whole_particles_and_not_their_pieces():
    probability = da.from_array(ball((16, 18, 20), (8, 9, 10), 3).astype(np.float32), chunks=(8, 9, 10))
    n = int(ball((16, 18, 20), (8, 9, 10), 3).sum())
    assert len(pick(probability, min_size=n - 1)) == 1
    assert len(pick(probability, min_size=n)) == 0


def test_labels_number_all_components_also_those_that_are_too_small():
    probability = np.zeros((1, 3, 9), np.float32)
    probability[0, 0, 0] = probability[0, 1, 2:8] = 1
    assert pick(probability, min_size=2, connectivity=6).label.tolist() == [2]


def test_the_border_is_cut_off_before_labelling_and_is_in_z_y_x():
    probability = np.zeros((9, 11, 13), np.float32)
    probability[:, 5, 6] = 1
    found = pick(da.from_array(probability, chunks=(2, 4, 5)), min_size=0, border=(3, 1, 0))
    assert (found.size.tolist(), found.bounding_box.tolist()) == ([3], [[[3, 5, 6], [6, 6, 7]]])
    assert found.touches_edge.tolist() == [True]


def test_touching_the_edge_is_told():
    probability = np.zeros((9, 11, 13), np.float32)
    probability[4, 5, 0:2] = probability[4, 5, 5:7] = probability[7:9, 2, 9] = 1
    found = pick(da.from_array(probability, chunks=(4, 6, 5)), min_size=0)
    assert found.touches_edge.tolist() == [True, False, True]


def test_a_region_of_another_shape_is_refused_with_both_shapes():
    with pytest.raises(InputError, match=r"\(4, 5, 7\).*\(4, 5, 6\)"):
        pick(np.zeros((4, 5, 6), np.float32), region=np.ones((4, 5, 7)))


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"connectivity": 8}, "connectivity"),
        ({"border": (0, -1, 0)}, "border"),
        ({"border": (2, 0, 0)}, "axis z"),
        ({"min_size": -1}, "min_size"),
        ({"min_size": 50, "max_size": 50}, "max_size"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_computed(rules, word):
    def forbidden(*args, **kwargs):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=forbidden), pytest.raises(InputError, match=word):
        pick(da.zeros((4, 5, 6), chunks=2, dtype=np.float32), **rules)


def test_a_hole_in_the_map_is_an_error_that_says_where():
    probability = np.zeros((4, 6, 8), np.float32)
    probability[3, 5, 7] = np.nan
    with pytest.raises(WorkError, match=r"\(2, 3, 4\).*segment again"):
        pick(da.from_array(probability, chunks=(2, 3, 4)))


def test_parts_are_lazy_and_one_task_per_block():
    probability = da.zeros((40, 44, 52), chunks=(10, 11, 13), dtype=np.float32)

    def forbidden(*args, **kwargs):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=forbidden):
        parts = component_parts(probability, region=da.ones_like(probability))
    assert parts.chunks == tuple((1,) * 4 for _ in range(3))
    alone = component_parts(probability)
    added = len(dict(alone.__dask_graph__())) - len(dict(probability.__dask_graph__()))
    assert added == probability.npartitions


def test_storing_and_picking_in_one_pass_runs_the_network_once_per_block():
    calls = Counter()

    def network(block):
        calls["blocks"] += 1
        return block

    source = np.rint(blobs((12, 14, 18), 3) * 255).astype(np.uint8)
    probability = da.from_array(source, chunks=(4, 7, 6)).map_blocks(
        network, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)
    )
    target = np.zeros_like(source)
    stored = da.store(probability, target, lock=False, compute=False)
    parts, _ = dask.compute(component_parts(probability), stored, scheduler="threads")
    assert calls == {"blocks": 18}
    np.testing.assert_array_equal(target, source)
    assert bits(reduce_parts(parts, source.shape, min_size=1)) == bits(pick(target, min_size=1))


def test_slab_by_slab_equals_the_whole():
    source = blobs((13, 14, 18), 4)
    parts = []
    for a, b in ((0, 5), (5, 6), (6, 13)):
        slab = da.from_array(source[a:b], chunks=(5, 7, 6))
        some = component_parts(slab, border=(2, 0, 1), shape=source.shape, origin=(a, 0, 0)).compute()
        parts.extend(some.flat)
    found = reduce_parts(parts, source.shape, min_size=1, border=(2, 0, 1))
    assert bits(found) == bits(pick(source, min_size=1, border=(2, 0, 1)))


def test_settings_and_names_travel_with_the_particles():
    found = pick(
        np.zeros((4, 5, 6), np.float32), voxel_size=13.48, tomogram="TS_1", class_name="fas", min_size=7
    )
    assert len(found) == 0
    assert (found.voxel_size, found.tomogram, found.class_name) == ((13.48,) * 3, "TS_1", "fas")
    assert found.attributes["min_size"] == 7 and found.attributes["threshold"] == 0.5
