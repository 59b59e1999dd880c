import collections
import io
import json
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from deepict_dask.errors import FormatError, InputError, MissingFileError, UnsafeCheckpointError
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.card import ModelCard, Preprocessing
from deepict_dask.networks.checkpoint import (
    convert_checkpoint,
    file_checksum,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from deepict_dask.networks.unet3d import UNet3D


@pytest.fixture
def net():
    torch.manual_seed(3)
    return UNet3D(2, 2, out_classes=2)


@pytest.fixture
def card(net):
    return ModelCard(
        name="two",
        classes=("ribosome", "fas"),
        architecture=net.architecture,
        voxel_size=13.48,
        preprocessing=Preprocessing(equalization="deepict", target_spectrum="TS_011"),
        training_data=("TS_011",),
        metrics={"f1": 0.9},
    )


def assert_same_weights(state, net):
    expected = net.state_dict()
    assert sorted(state) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(state[name], value.numpy())


@pytest.fixture
def descriptor():
    """The original's class, importable only while it is being pickled."""
    module = types.ModuleType("constants.statistics")
    module.ModelDescriptor = type("ModelDescriptor", (), {"__module__": "constants.statistics"})
    sys.modules |= {"constants": types.ModuleType("constants"), "constants.statistics": module}
    record = module.ModelDescriptor()
    record.__dict__ |= {"depth": 2, "initial_features": 2, "semantic_classes": ["a", "b"]}
    record.__dict__ |= {"model_name": "m", "training_set": ["t"]}
    yield record
    del sys.modules["constants"], sys.modules["constants.statistics"]


# --- the original's files


@pytest.mark.parametrize("name", ["segment3d/ribo_IF4_D2_BN", "models/ribosome_vpp_IF4_D2_BN"])
def test_reference_checkpoints_load_with_their_descriptor(shared, name):
    path = shared / "reference" / f"{name}.pth"
    model = load_checkpoint(path)
    assert model.architecture == Architecture(2, 4)
    assert model.card.classes == ("ribosome",)
    assert model.card.name == path.stem
    assert model.card.training_data[0].startswith("TS_0")
    with zipfile.ZipFile(path) as archive:  # the first tensor's bytes, past any unpickler
        raw = np.frombuffer(archive.read(f"{path.stem}/data/0"), "<f4")
    np.testing.assert_array_equal(model.state["encoder.0.0.weight"].ravel(), raw)
    module = UNet3D.from_architecture(model.architecture)
    module.load_state_dict({k: torch.tensor(v) for k, v in model.state.items()}, strict=True)


@pytest.mark.parametrize("legacy", [False, True])
def test_saved_with_a_descriptor_in_both_of_torchs_formats(tmp_path, net, descriptor, legacy):
    path = tmp_path / "m.pth"
    content = {"model_descriptor": descriptor, "epoch": 3, "loss": 0.25, "model_state_dict": net.state_dict()}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    model = load_checkpoint(path)
    assert_same_weights(model.state, net)
    assert (model.card.classes, model.card.metrics) == (("a", "b"), {"epoch": 3.0, "loss": 0.25})


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"model_state_dict": s}, lambda s: {"state_dict": s}]
)
def test_dataparallel_names_and_no_descriptor(tmp_path, net, wrap):
    torch.save(wrap(torch.nn.DataParallel(net).state_dict()), tmp_path / "m.pth")
    model = load_checkpoint(tmp_path / "m.pth")
    assert_same_weights(model.state, net)
    assert model.card.classes == ("class_0", "class_1")
    assert model.architecture == net.architecture


def test_half_precision_views_and_numpy_scalars_are_read(tmp_path, net):
    state = net.state_dict()
    state["base.0.weight"] = state["base.0.weight"].half()
    state["base.3.weight"] = state["base.3.weight"].bfloat16()
    state["out_conv.weight"] = (
        state["out_conv.weight"].repeat(1, 2, 1, 1, 1).transpose(0, 1)[1:3].transpose(0, 1)
    )
    torch.save({"model_state_dict": state, "loss": np.float64(0.5)}, tmp_path / "m.pth")
    loaded = load_checkpoint(tmp_path / "m.pth").state
    for name in ("base.0.weight", "base.3.weight", "out_conv.weight"):
        np.testing.assert_array_equal(loaded[name], state[name].float().numpy())


def test_another_network_is_refused_with_a_sentence(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    with pytest.raises(FormatError, match="not of DeePiCt's U-Nets"):
        load_checkpoint(tmp_path / "linear.pth")


def test_weights_that_are_not_finite_are_refused(tmp_path, net):
    with torch.no_grad():
        net.base[0].weight[0, 0, 0, 0, 0] = float("nan")
    torch.save(net.state_dict(), tmp_path / "m.pth")
    with pytest.raises(FormatError, match=r"base\.0\.weight holds NaN"):
        load_checkpoint(tmp_path / "m.pth")


# --- hostile and broken files


class Hostile:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


ATTACKS = {
    "os.system": lambda mark: Hostile(os.system, f"touch {mark}"),
    "builtins.eval": lambda mark: Hostile(eval, f"open({str(mark)!r}, 'w')"),
    "builtins.getattr": lambda mark: Hostile(getattr, dict, "get"),
    "torch.load": lambda mark: Hostile(torch.load, str(mark)),
    "collections.defaultdict": lambda mark: collections.defaultdict(int),
}


@pytest.mark.parametrize("protocol", [2, 4])  # GLOBAL, STACK_GLOBAL
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_pickle_that_names_anything_else_is_refused_and_nothing_runs(
    tmp_path, net, attack, protocol, legacy
):
    mark, path = tmp_path / "ran", tmp_path / "m.pth"
    content = {"model_state_dict": net.state_dict(), "extra": ATTACKS[attack](mark)}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    name = attack.replace("os.system", "(posix|nt).system").replace("torch.load", "torch.serialization.load")
    name = name.replace("builtins.", "(builtins|__builtin__).")
    with pytest.raises(UnsafeCheckpointError, match=f"asks to run {name}"):
        load_checkpoint(path)
    assert not mark.exists()


def zip_with(path, data, **storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", data)
        for key, value in storages.items():
            archive.writestr(f"m/data/{key}", value)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"cos\nsystem\n(S'touch ran'\ntR.", UnsafeCheckpointError),
        (b"(ios\nsystem\n.", UnsafeCheckpointError),  # INST
        (b"(S'ls'\nios\nsystem\n.", UnsafeCheckpointError),
        (b"ctorch.nn.modules.linear\nLinear\n.", UnsafeCheckpointError),
        (b"ccollections\nOrderedDict.__init__\n.", UnsafeCheckpointError),
        (b"\x80\x02\x82\x01.", FormatError),  # extension registry
        (b"\x80\x04N.", FormatError),  # None
        (b"\x80\x04", FormatError),
        (b"", FormatError),
        (b"not a pickle", FormatError),
        (pickle.dumps({"model_state_dict": {}}), FormatError),
    ],
)
def test_hand_made_pickles_are_refused(tmp_path, data, error):
    zip_with(tmp_path / "m.pth", data)
    with pytest.raises(error) as caught:
        load_checkpoint(tmp_path / "m.pth")
    assert str(tmp_path / "m.pth") in str(caught.value)


class TensorPickler(pickle.Pickler):
    """Write a tensor the way torch does, with any persistent id, size and stride."""

    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Stored) else None


class Stored:
    def __init__(self, pid):
        self.pid = pid


class Tensor:
    def __init__(self, pid, *description):
        self.parts = (Stored(pid), *description)

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.parts


GOOD = ("storage", torch.FloatStorage, "0", "cpu", 2)


@pytest.mark.parametrize(
    ("pid", "description"),
    [
        (GOOD, (0, (3,), (1,))),  # beyond the storage
        (GOOD, (1, (2,), (1,))),
        (GOOD, (0, (2,), (10**9,))),
        (GOOD, (0, (10**9,), (0,))),  # a bomb: one number, a thousand million times
        (GOOD, (0, (2,), (-1,))),
        (GOOD, (-1, (2,), (1,))),
        (GOOD, (0, (2, 1), (1,))),
        (GOOD, (0, "22", (1, 1))),
        (("storage", torch.FloatStorage, "../../etc/passwd", "cpu", 2), (0, (2,), (1,))),
        (("storage", torch.FloatStorage, "0", "cpu", 3), (0, (2,), (1,))),  # says three, holds two
        (("module", torch.FloatStorage, "0", "cpu", 2), (0, (2,), (1,))),
        (("storage", "os", "0", "cpu", 2), (0, (2,), (1,))),
        ((), (0, (2,), (1,))),
        (7, (0, (2,), (1,))),
    ],
)
def test_tensors_that_lie_about_their_storage_are_refused(tmp_path, pid, description):
    state = {name: Tensor(pid, *description, False, None) for name in Architecture(1, 2).state_shapes()}
    buffer = io.BytesIO()
    TensorPickler(buffer, protocol=2).dump(state)
    zip_with(tmp_path / "m.pth", buffer.getvalue(), **{"0": np.ones(2, "<f4").tobytes()})
    with pytest.raises(FormatError):
        load_checkpoint(tmp_path / "m.pth")


@pytest.mark.parametrize("description", [((0, (3,), (1,))), ((0, (2,), (10**9,))), ((0, (2,), (0,)))])
def test_memory_outside_a_storage_is_never_read(tmp_path, description):
    from deepict_dask.networks.torch_files import read_torch_checkpoint

    buffer = io.BytesIO()
    TensorPickler(buffer, protocol=2).dump({"t": Tensor(GOOD, *description, False, None)})
    zip_with(tmp_path / "m.pth", buffer.getvalue(), **{"0": np.ones(2, "<f4").tobytes()})
    content, materialize = read_torch_checkpoint(tmp_path / "m.pth")
    if description[2] == (0,):  # within its storage, if odd
        assert materialize(content["t"]).tolist() == [1, 1]
    else:
        with pytest.raises(FormatError, match="reaches beyond its 2 stored numbers"):
            materialize(content["t"])


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_pth_is_refused_with_a_sentence(tmp_path, net, keep, legacy):
    path = tmp_path / "m.pth"
    torch.save({"model_state_dict": net.state_dict()}, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(FormatError, match=r"m\.pth"):
        load_checkpoint(path)


def test_one_flipped_bit_in_the_weights_of_a_pth_is_noticed(tmp_path, net):
    path = tmp_path / "m.pth"
    torch.save(net.state_dict(), path)
    content = bytearray(path.read_bytes())
    at = content.find(net.base[0].weight.detach().numpy().tobytes())
    content[at + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="CRC"):
        load_checkpoint(path)


# --- our own format


def test_own_format_round_trip_and_single_file(tmp_path, net, card):
    path = save_checkpoint(tmp_path, net.state_dict(), card)
    assert path == tmp_path / "two.safetensors"
    assert json.loads((tmp_path / "two.json").read_text())["voxel_size"] == 13.48
    assert_same_weights(load_file(path), net)  # a third party's reader
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two.json", "two.safetensors"]
    for source in (path, tmp_path):
        model = load_checkpoint(source)
        assert model.card == card
        assert_same_weights(model.state, net)
    (tmp_path / "two.json").unlink()
    assert load_checkpoint(path).card == card


def test_the_facade_holds_no_weights(tmp_path, net, card):
    model = load_model(save_checkpoint(tmp_path / "n.safetensors", net.state_dict(), card))
    assert (model.halo, model.classes, model.architecture) == (24, ("ribosome", "fas"), net.architecture)
    assert model.checksum == file_checksum(model.path)
    assert len(pickle.dumps(model)) < 2000


def test_a_card_edited_beside_the_weights_is_not_silently_ignored(tmp_path, net, card):
    path = save_checkpoint(tmp_path, net.state_dict(), card)
    beside = tmp_path / "two.json"
    beside.write_text(beside.read_text().replace("13.48", "10.0"))
    with pytest.raises(FormatError, match="differs from the one inside"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"surprise": 1}, "surprise"),
        ({"classes": ["one"]}, "one name per class"),
        ({"voxel_size": -1}, "voxel_size"),
        ({"card_version": 2}, "card_version"),
        ({"architecture": {"depth": 2, "initial_features": 2, "out_classes": 2, "width": 3}}, "width"),
        ({"architecture": {"depth": 0, "initial_features": 2, "out_classes": 2}}, "depth"),
        ({"name": "../escape"}, "name"),
        ({"classes": ["40S/60S", "b"]}, "never a path"),
        ({"classes": ["x/../../evil", "b"]}, "never a path"),
        ({"classes": ["a", "a"]}, "'a' twice"),
        ({"classes": ["a" * 300, "b"]}, "300 bytes"),
        ({"classes": ["a\0", "b"]}, "cannot be shown"),
    ],
)
def test_a_card_with_unknown_or_wrong_entries_is_refused(tmp_path, net, card, edit, message):
    from safetensors.numpy import save_file

    text = json.dumps(json.loads(card.model_dump_json()) | edit)
    save_file({k: v.numpy() for k, v in net.state_dict().items()}, tmp_path / "m.safetensors")
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(FormatError, match=message):
        load_checkpoint(tmp_path / "m.safetensors")


def test_weights_and_card_must_agree(tmp_path, net, card):
    other = card.model_copy(update={"architecture": Architecture(1, 2, out_classes=2)})
    with pytest.raises(FormatError, match="another network"):
        save_checkpoint(tmp_path, net.state_dict(), other)
    assert not list(tmp_path.iterdir())


def test_a_truncated_or_cardless_safetensors_is_refused(tmp_path, net, card):
    from safetensors.numpy import save_file

    save_file({k: v.numpy() for k, v in net.state_dict().items()}, tmp_path / "bare.safetensors")
    with pytest.raises(FormatError, match="no model card"):
        load_checkpoint(tmp_path / "bare.safetensors")
    path = save_checkpoint(tmp_path / "m.safetensors", net.state_dict(), card)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="cannot be read as safetensors"):
        load_checkpoint(path)


def test_convert_writes_safetensors_with_what_the_user_adds(tmp_path, net):
    torch.save(net.state_dict(), tmp_path / "m.pth")
    new = convert_checkpoint(tmp_path / "m.pth", tmp_path / "out", voxel_size=10.0, classes=("a", "b"))
    model = load_checkpoint(new)
    assert (model.card.voxel_size, model.card.classes, model.card.name) == (10.0, ("a", "b"), "m")
    assert_same_weights(model.state, net)
    with pytest.raises(InputError, match="colour"):
        convert_checkpoint(tmp_path / "m.pth", tmp_path / "out", colour="red")


def test_missing_ambiguous_and_keras_files_are_refused(tmp_path, net, card):
    with pytest.raises(MissingFileError, match="there is no checkpoint"):
        load_model(tmp_path / "none.pth")
    with pytest.raises(FormatError, match=r"holds 0 \.safetensors files"):
        load_model(tmp_path)
    (tmp_path / "m.keras").write_bytes(b"PK")
    with pytest.raises(FormatError, match="Keras"):
        load_model(tmp_path / "m.keras")


def test_a_card_that_is_no_text_is_refused(tmp_path, net, card):
    path = save_checkpoint(tmp_path, net.state_dict(), card)
    path.with_suffix(".json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match=r"two\.json cannot be read as UTF-8 text"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a/b", "c"], "never a path"),
        (["a", "a"], "twice"),
        (["a" * 300, "b"], "300 bytes"),
        (["\0", "b"], "shown"),
    ],
)
def test_classes_of_a_descriptor_that_cannot_be_names_are_refused(
    tmp_path, net, descriptor, classes, message
):
    descriptor.semantic_classes = classes
    torch.save({"model_descriptor": descriptor, "model_state_dict": net.state_dict()}, tmp_path / "m.pth")
    with pytest.raises(FormatError, match=f"m.pth.*{message}"):
        load_checkpoint(tmp_path / "m.pth")
    new = convert_checkpoint(tmp_path / "m.pth", tmp_path / "out", classes=("a", "b"))
    assert load_model(new).classes == ("a", "b")


@pytest.mark.parametrize("odd", [None, 7, "text", [1], {"depth": {}}, {3: 4}, {"model_name": 5}])
def test_odd_descriptors_are_no_descriptors(tmp_path, net, odd):
    torch.save(
        {"model_descriptor": odd, "model_state_dict": net.state_dict(), "loss": None}, tmp_path / "m.pth"
    )
    card = load_checkpoint(tmp_path / "m.pth").card
    assert (card.name, card.classes, card.metrics) == ("m", ("class_0", "class_1"), {})


def test_the_bundled_network_has_a_name_and_a_short_repr(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = load_model("demo_network")
    assert model.path.name == "demo_network.safetensors" and model.path.is_absolute()
    assert repr(model) == f"<Model {model.card.name}: {', '.join(model.classes)}; 13.48 A; halo {model.halo}>"
    (tmp_path / "demo_network").mkdir()  # what is there is meant
    with pytest.raises(FormatError, match="holds 0"):
        load_model("demo_network")
