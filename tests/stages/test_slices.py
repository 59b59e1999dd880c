"""A run with a 2D network of Keras: its map, and a segmentation of what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import deepict_dask as dd
from deepict_dask.errors import InputError
from deepict_dask.io.ome_zarr import open_image
from tests.networks.keras_files import random_weights, write_keras
from tests.stages.test_reference import go


@pytest.fixture
def tomogram(tmp_path):
    import mrcfile

    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(13, 60, 50)), (1, 4, 4))
    with mrcfile.new(tmp_path / "cell.mrc") as file:
        file.set_data((smooth / smooth.std()).astype("f4"))
        file.voxel_size = 13.48
    return tmp_path / "cell.mrc"


@pytest.fixture
def network(tmp_path):
    """Gives probabilities of 0.5 to 1: the last layer sees what is never negative."""
    weights = random_weights(2, filters=2, seed=1)
    kernel, _ = weights["last"]
    weights["last"] = (np.full_like(kernel, 2), np.zeros(1, "f4"))
    return write_keras(tmp_path / "cytosol.h5", weights)


def test_a_compartment_is_picked_as_a_segmentation_with_the_originals_threshold(tomogram, network, tmp_path):
    outcome = go(tomogram, tmp_path / "run", model=str(network), dtype="float32", min_size=0)
    image = open_image(outcome.folder / "probability.zarr")
    assert image.classes == ["cytosol"] and image.attributes["network"] == "unet2d"
    probability = dd.open_tomogram(outcome.folder / "probability.zarr")
    above = probability.values > 0.75
    assert 0 < above.mean() < 1 and ((probability.values > 0.5) != above).any()
    labels = dd.open_tomogram(outcome.folder / "particles_labels.zarr").values
    np.testing.assert_array_equal(labels > 0, above)
    assert outcome.picked[0].n_particles == ndimage.label(above, np.ones((3, 3, 3)))[1]
    particles = dd.pick(probability, min_size=0)
    assert len(particles) == outcome.picked[0].n_particles


def test_what_is_said_holds(tomogram, network, tmp_path):
    outcome = go(
        tomogram,
        tmp_path / "run",
        model=str(network),
        dtype="float32",
        threshold=0.6,
        write_labels=False,
        min_size=0,
    )
    above = dd.open_tomogram(outcome.folder / "probability.zarr").values > 0.6
    assert outcome.picked[0].n_particles == ndimage.label(above, np.ones((3, 3, 3)))[1]
    assert not (outcome.folder / "particles_labels.zarr").exists()


def test_only_central_slices_are_mapped_before_smoothing(tomogram, network, tmp_path):
    outcome = go(tomogram, tmp_path / "run", model=str(network), z_cutoff=6, z_smoothing=0, tiling="deepict")
    mapped = dd.open_tomogram(outcome.folder / "probability.zarr").values.any(axis=(1, 2))
    np.testing.assert_array_equal(np.flatnonzero(mapped), np.arange(3, 9))


def test_a_map_smoothed_otherwise_is_another_map(tomogram, network, tmp_path):
    go(tomogram, tmp_path / "run", model=str(network))
    with pytest.raises(InputError, match=r"z_smoothing 5\.0 and not 2\.0"):
        go(tomogram, tmp_path / "run", model=str(network), z_smoothing=2.0)


def test_voxels_that_are_left_out_stay_0_and_do_not_go_with_a_cutoff(tomogram, network, tmp_path):
    import mrcfile

    with mrcfile.open(tomogram, mode="r+") as file:
        file.data[:, :20, :20] = -7
    outcome = go(tomogram, tmp_path / "run", model=str(network), ignore_value=-7, dtype="float32")
    map_ = dd.open_tomogram(outcome.folder / "probability.zarr").values
    assert (map_[:, :20, :20] == 0).all() and (map_[:, 20:, 20:] > 0).all()
    lazily = dd.segment(dd.open_tomogram(tomogram), network, ignore_value=-7)
    np.testing.assert_allclose(lazily.values, map_, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="z_cutoff 4 takes mean and standard deviation of whole slices"):
        go(tomogram, tmp_path / "other", model=str(network), ignore_value=-7, z_cutoff=4)


@pytest.mark.parametrize("option", [{"z_cutoff": 4}, {"z_smoothing": 1.0}])
def test_settings_of_slices_are_refused_for_a_3d_network(tomogram, tmp_path, option):
    with pytest.raises(InputError, match=f"{next(iter(option))} .* is for networks that see single slices"):
        go(tomogram, tmp_path / "run", model="demo_network", **option)
    with pytest.raises(InputError, match="single slices"):
        dd.segment(dd.open_tomogram(tomogram), "demo_network", **option)


def test_the_map_from_python_is_that_of_a_run(tomogram, network, tmp_path):
    outcome = go(tomogram, tmp_path / "run", model=str(network), dtype="float32")
    stored = dd.open_tomogram(outcome.folder / "probability.zarr").values
    for chunks in ((13, 60, 50), (4, 17, 23)):
        lazily = dd.segment(dd.open_tomogram(tomogram).chunk(dict(zip("zyx", chunks, strict=True))), network)
        assert lazily.attrs["network"] == "unet2d"
        np.testing.assert_array_equal(lazily.values, stored)
