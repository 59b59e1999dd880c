"""Networks of Keras: read as TensorFlow reads them, without it; nothing executed, and what is not the U-Net refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import DeepictError, FormatError, UnsafeCheckpointError
from deepict_dask.networks.checkpoint import convert_checkpoint, load_checkpoint, load_model
from deepict_dask.networks.predictor import ModelSpec, get_predictor
from tests.networks.keras_files import description, predicted, random_weights, write_keras


def predict(path, slices, runtime):
    spec = ModelSpec.of(load_model(path), runtime=runtime, device="cpu", threads=1)
    return get_predictor(spec).predict_boxes(slices[:, None])[:, :, 0]


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize(("depth", "keras", "is_reversed"), [(1, 2, False), (2, 2, True), (3, 3, False)])
def test_a_keras_network_computes_what_its_layers_say(tmp_path, runtime, depth, keras, is_reversed):
    weights = random_weights(depth, filters=3, classes=2, seed=depth)
    said = description(weights, keras=keras, is_reversed=is_reversed)
    path = write_keras(tmp_path / "cytosol.h5", weights, said, keras=keras)
    x = np.random.default_rng(0).normal(size=(2, 16, 24)).astype("f4")
    expected = np.stack([predicted(weights, one, is_reversed=is_reversed) for one in x])
    assert expected.std() > 0.05
    np.testing.assert_allclose(predict(path, x, runtime), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_the_originals_network_gives_what_tensorflow_gave(shared, runtime):
    reference = shared / "reference" / "segment2d"
    tiles = np.load(reference / "single_tile.npz")
    probability = predict(reference / "organelle_nf2.h5", tiles["x"][..., 0], runtime)[:, 0]
    np.testing.assert_allclose(probability, tiles["y"][..., 0], rtol=0, atol=1e-5)


# In a process of its own: TensorFlow and torch in one may not agree about their libraries.
_BY_TENSORFLOW = """
import sys
import numpy as np, tf_keras
network = tf_keras.models.load_model(sys.argv[1], compile=False)
np.save(sys.argv[3], network.predict(np.load(sys.argv[2])[..., None], verbose=0)[..., 0])
"""


def test_tensorflow_itself_agrees(shared, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tf_keras", reason="needs the extra tensorflow")
    path = shared / "reference" / "segment2d" / "organelle_nf2.h5"
    x = np.random.default_rng(3).normal(size=(2, 288, 288)).astype("f4")
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", _BY_TENSORFLOW, str(path), "x.npy", "y.npy"]
    subprocess.run(
        command, check=True, cwd=tmp_path, capture_output=True, env=os.environ | {"TF_USE_LEGACY_KERAS": "1"}
    )
    for runtime in ("torch", "openvino"):
        np.testing.assert_allclose(
            predict(path, x, runtime)[:, 0], np.load(tmp_path / "y.npy"), rtol=0, atol=1e-5
        )


def test_what_a_keras_file_leaves_open_is_called_as_the_file_and_can_be_said(tmp_path):
    path = write_keras(tmp_path / "cytosol.h5", random_weights())
    card = load_model(path).card
    assert (card.name, card.classes, card.voxel_size) == ("cytosol", ("cytosol",), None)
    assert card.architecture.network == "unet2d" and card.architecture.initial_features == 2
    several = write_keras(tmp_path / "two.h5", random_weights(classes=2))
    assert load_model(several).classes == ("class_0", "class_1")
    saved = convert_checkpoint(several, tmp_path / "new", classes=("er", "cytosol"), voxel_size=13.48)
    assert load_model(saved).classes == ("er", "cytosol") and load_model(saved).card.voxel_size == 13.48
    x = np.random.default_rng(0).normal(size=(1, 16, 16)).astype("f4")
    np.testing.assert_array_equal(predict(saved, x, "openvino"), predict(several, x, "openvino"))


def test_a_file_is_recognized_by_what_it_holds(tmp_path):
    path = write_keras(tmp_path / "cytosol.h5", random_weights())
    renamed = path.rename(tmp_path / "cytosol.weights")
    assert load_model(renamed).architecture.is_2d


def layer(said, name):
    return next(entry for entry in said["config"]["layers"] if entry["config"]["name"] == name)


def no_unet(said):
    """Ways in which a description is none of the U-Net, and what the sentence says."""
    first, join = layer(said, "conv2d_0"), layer(said, "join_0")
    relu = layer(said, "relu_of_conv2d_1")
    yield lambda: first["config"].update(padding="valid"), "padding of the layer 'conv2d_0' is 'valid'"
    yield lambda: first["config"].update(dilation_rate=[2, 2]), "dilation_rate"
    yield lambda: first["config"].update(data_format="channels_first"), "channels_first"
    yield lambda: relu["config"].update(activation="tanh"), "'tanh'"
    yield lambda: relu["config"].update(activation="elu"), "different activations"
    yield lambda: layer(said, "last")["config"].update(activation="softmax"), "ends in 'softmax'"
    yield lambda: relu.update(class_name="BatchNormalization"), "BatchNormalization"
    yield lambda: join["inbound_nodes"][0].pop(), "joins up_0"
    yield lambda: said["config"]["layers"].pop(3), "followed by"
    yield lambda: said["config"].pop("layers"), "model_config"
    yield (
        lambda: said["config"]["layers"].append(
            {"class_name": "Dense", "config": {"name": "more"}, "inbound_nodes": [[["last", 0, 0, {}]]]}
        ),
        "'more'",
    )


@pytest.mark.parametrize("number", range(11))
def test_other_networks_are_refused_by_the_layer_that_differs(tmp_path, number):
    said = description(random_weights())
    change, message = list(no_unet(said))[number]
    change()
    path = write_keras(tmp_path / "other.h5", random_weights(), said)
    with pytest.raises(FormatError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_a_layer_that_holds_code_is_refused_and_not_run(tmp_path):
    said = description(random_weights())
    program = "__import__('os').system('touch executed')"
    said["config"]["layers"].insert(
        1,
        {
            "class_name": "Lambda",
            "config": {"name": "code", "function": [program, None, None], "function_type": "lambda"},
            "inbound_nodes": [[["input", 0, 0, {}]]],
        },
    )
    path = write_keras(tmp_path / "code.h5", random_weights(), said)
    with pytest.raises(UnsafeCheckpointError, match="'code' is a Lambda, which holds a program"):
        load_model(path)
    assert not (tmp_path / "executed").exists()


def test_weights_that_do_not_fit_are_refused(tmp_path):
    weights = random_weights()
    kernel, bias = weights["conv2d_3"]
    path = write_keras(
        tmp_path / "cut.h5", weights | {"conv2d_3": (kernel[..., :1], bias)}, description(weights)
    )
    with pytest.raises(FormatError, match=r"encoder\.1\.3\.weight has the shape"):
        load_model(path)
    path = write_keras(tmp_path / "nan.h5", weights | {"conv2d_3": (kernel * np.nan, bias)})
    with pytest.raises(FormatError, match="NaN"):
        load_model(path)
    missing = write_keras(tmp_path / "missing.h5", weights)
    with h5py.File(missing, "a") as file:
        del file["model_weights/up_0"]
    with pytest.raises(FormatError, match="the layer 'up_0' has no array kernel"):
        load_model(missing)


def test_links_out_of_the_file_are_not_followed(tmp_path):
    weights = random_weights()
    other = write_keras(tmp_path / "other.h5", weights)
    path = write_keras(tmp_path / "linked.h5", weights)
    with h5py.File(path, "a") as file:
        del file["model_weights/up_0/up_0"]
        file["model_weights/up_0/up_0"] = h5py.ExternalLink(str(other), "model_weights/up_0/up_0")
    with pytest.raises(FormatError, match="the layer 'up_0' has no array"):
        load_model(path)


def test_weights_that_a_file_only_claims_are_not_made(tmp_path):
    weights = random_weights(1, filters=2)
    path = write_keras(tmp_path / "huge.h5", weights)
    with h5py.File(path, "a") as file:
        group = file["model_weights/conv2d_0/conv2d_0"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (3, 3, 1, 10**9), "f4", chunks=(3, 3, 1, 1000))
    with pytest.raises(FormatError, match="claims 36 GB of weights"):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.h5", b"", "HDF5"),
        ("text.h5", b"no network", "HDF5"),
        ("page.h5", b"<html>404</html>", "HDF5"),
        ("new.keras", b"PK", "archive of Keras 3"),
    ],
)
def test_files_that_are_no_networks_get_a_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        load_model(tmp_path / name)


def test_hdf5_without_a_network_says_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "tomogram.h5", "w") as file:
        file["data"] = np.zeros((2, 3, 4), "f4")
    with pytest.raises(FormatError, match="no Keras network"):
        load_model(tmp_path / "tomogram.h5")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv2d"]
    with pytest.raises(FormatError, match="weights without the network"):
        load_model(tmp_path / "weights.h5")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_give_a_network(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "whole.h5"
    if not path.exists():
        write_keras(path, random_weights(1))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = folder / "damaged.h5"
    damaged.write_bytes(
        content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content
    )
    try:
        loaded = load_checkpoint(damaged)
    except DeepictError as error:
        assert "\n" not in str(error)
    else:
        assert all(np.isfinite(array).all() for array in loaded.state.values())


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["config", "layers", "name", "class_name", "inbound_nodes"]), x)
        ),
    )
)
def test_any_description_is_read_as_data(tmp_path_factory, said):
    path = write_keras(tmp_path_factory.getbasetemp() / "any.h5", {}, {})
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps(said)
    with pytest.raises(FormatError):
        load_model(path)
