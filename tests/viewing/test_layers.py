"""What viewers are to show, before any viewer is there."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.errors import InputError
from deepict_dask.viewing.layers import PointLayer, VoxelLayer, fullest_plane, layers_of
from deepict_dask.viewing.napari_viewer import napari_layers
from tests.images import stored_image
from tests.pictures.scenes import SHAPE, blob, run_with, table


@pytest.fixture
def place(folder):
    """A tomogram of flat voxels, a map and labels at others, two classes."""
    size, coarse = (20.0, 10.0, 10.0), (20.0, 20.0, 20.0)
    values = blob(SHAPE, (12, 20, 28), (2, 2, 2))
    made = run_with(folder, values, [[12, 20, 28], [3, 4, 5]], voxel_size=size, n_levels=2)
    table(made, [[20, 30, 40]], class_name="fas", stem="particles_fas")
    levels = np.random.default_rng(0).integers(0, 256, (2, 24, 20, 28)).astype("u1")
    finish = {"scale": 1 / 255, "own_voxel_size": list(size), "own_shape": list(SHAPE)}
    options = {"kind": "probability", "classes": ["ribosome", "fas"], "voxel_size": coarse, "name": "TS_01"}
    stored_image(made / "probability.zarr", levels, finish=finish, **options)
    stored_image(made / "particles_labels.zarr", levels[0].astype("u4"), kind="labels", voxel_size=coarse)
    return made


def test_everything_there_is_becomes_a_layer_in_its_place(place):
    layers = layers_of(place)
    assert [layer.name for layer in layers] == [
        "tomogram", "probability ribosome", "probability fas", "particles_labels", "fas (1)", "ribosome (2)",
    ]  # fmt: skip
    tomogram, ribosome, fas, labels, *points = layers
    assert [layer.is_visible for layer in (tomogram, ribosome, fas, labels)] == [True, False, False, False]
    assert tomogram.voxel_size == (20.0, 10.0, 10.0) and ribosome.voxel_size == (20.0, 20.0, 20.0)
    assert len(tomogram.levels) == 2 and ribosome.limits == (0.0, 255.0)
    assert isinstance(points[1], PointLayer) and points[1].color == ribosome.color != fas.color
    assert np.allclose(points[1].positions, [[240, 200, 280], [60, 40, 50]])  # A
    assert fullest_plane(points, tomogram) in (3, 12)


def test_layers_of_chosen_classes_only(place):
    assert [layer.name for layer in layers_of(place, ["fas"])] == [
        "tomogram", "probability fas", "particles_labels", "fas (1)",
    ]  # fmt: skip
    with pytest.raises(InputError, match="no particles of class 'x'"):
        layers_of(place, ["x"])


def test_napari_gets_voxels_and_points_over_each_other(place):
    described = napari_layers(layers_of(place))
    assert [kind for *_, kind in described] == ["image", "image", "image", "labels", "points", "points"]
    data, options, _ = described[0]
    assert [level.shape for level in data] == [SHAPE, tuple(n // 2 for n in SHAPE)] and options["multiscale"]
    assert options["scale"] == (2.0, 1.0, 1.0) and options["units"] == ("nm", "nm", "nm")
    # A point's voxel times its scale is where the voxel of the same number is drawn.
    positions, points, _ = described[-1]
    assert points["scale"] == options["scale"] and np.allclose(positions, [[12, 20, 28], [3, 4, 5]])
    image = np.asarray(data[0])
    assert np.unravel_index(image.argmax(), image.shape) == (12, 20, 28)
    probability, shown, _ = described[2]
    assert probability.shape == (24, 20, 28) and shown["contrast_limits"] == (0.0, 255.0)


def test_only_what_is_complete_is_shown(place, folder):
    (place / "tomogram.zarr").remove()
    with pytest.raises(InputError, match=r"no complete tomogram\.zarr"):
        layers_of(place)


def test_a_layer_reads_nothing_before_it_is_looked_at(place, monkeypatch):
    from deepict_dask.io.stored_array import StoredArray

    layers = [layer for layer in layers_of(place) if isinstance(layer, VoxelLayer)]
    monkeypatch.setattr(StoredArray, "__getitem__", lambda *_: pytest.fail("read"))
    napari_layers(layers)
