"""A block's probabilities are numbers, or an error says which network failed on which block."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.errors import FormatError, WorkError
from deepict_dask.networks import blocks
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.blocks import BlockPredictor
from deepict_dask.networks.card import ModelCard
from deepict_dask.networks.checkpoint import load_checkpoint, load_model, save_checkpoint
from deepict_dask.networks.predictor import ModelSpec


def saved(folder, net, change):
    state = {name: change(name, value.numpy().copy()) for name, value in net.state_dict().items()}
    card = ModelCard(name="wild", classes=("a",), architecture=net.architecture)
    return save_checkpoint(folder, state, card)


class Broken:
    """What a runtime gives where numbers overflow."""

    def __init__(self, value):
        self.value = value

    def predict_core(self, block, halo):
        map_ = np.full((2, 4, 4, 4), 0.5, "f4")
        map_[1, 2, 3, 0] = self.value
        return map_

    def predict_boxes(self, block):
        return self.predict_core(block, 0)


@pytest.mark.parametrize("in_boxes", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.25])
def test_what_is_not_a_number_is_said_and_not_stored(monkeypatch, in_boxes, value):
    monkeypatch.setattr(blocks, "get_predictor", lambda spec: Broken(value))
    predict = BlockPredictor(ModelSpec("wild.pth", "sha256:0"), (2, 2, 2), in_boxes)
    block = np.linspace(-1, 3, 512, dtype="f4").reshape(8, 8, 8)
    if np.isfinite(value):
        assert predict(block).shape == (2, 4, 4, 4)
        return
    said = r"wild\.pth gave 1 of 128 .* NaN or infinite in a block of 8 x 8 x 8 voxels between -1 and 3"
    with pytest.raises(WorkError, match=said):
        predict(block)


def test_weights_that_overflow_are_refused_before_any_runtime_hides_it(tmp_path, random_net):
    net = random_net(Architecture(2, 2))
    assert load_model(saved(tmp_path / "good", net, lambda name, a: a)).classes == ("a",)
    path = saved(tmp_path / "wild", net, lambda name, a: a * 1e6 if name.endswith("weight") else a)
    with pytest.raises(
        FormatError, match=r"wild\.safetensors: the weights multiply what they see by about 1e1\d\d"
    ):
        load_model(path)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("weight", 1e30, "output is infinite"),
        ("running_var", -1.0, "a variance is never negative"),
        ("bias", np.inf, "NaN or infinity"),
    ],
)
def test_weights_with_which_nothing_can_be_computed_are_refused(tmp_path, random_net, part, value, message):
    path = saved(
        tmp_path, random_net(Architecture(1, 2)), lambda n, a: a * 0 + value if n.endswith(part) else a
    )
    with pytest.raises(FormatError, match=f"wild.safetensors: .*{part} holds .*{message}"):
        load_checkpoint(path)
