"""The same network, whatever a training program wrote around it."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch

from deepict_dask.errors import FormatError
from deepict_dask.networks.checkpoint import load_checkpoint
from deepict_dask.networks.unet3d import UNet3D


@pytest.fixture
def net():
    torch.manual_seed(3)
    return UNet3D(2, 2)


def before(prefix):
    return lambda state: {prefix + name: value for name, value in state.items()}


def compiled_parts(state):
    return {name.replace("encoder.1.", "encoder.1._orig_mod."): value for name, value in state.items()}


def parameters(state):
    return collections.OrderedDict(
        (n, torch.nn.Parameter(v) if v.is_floating_point() else v) for n, v in state.items()
    )


def attributed(state):
    made = parameters(state)
    for value in made.values():
        value.tag = "weight decay"
    return made


WAYS = {
    "compiled": lambda s: {"model_state_dict": before("_orig_mod.")(s)},
    "distributed": lambda s: {"model_state_dict": before("module._orig_mod.")(s)},
    "the other way around": before("_orig_mod.module."),
    "lightning": lambda s: {"state_dict": before("model.")(s), "pytorch-lightning_version": "2.0"},
    "lightning with a loss": lambda s: {"state_dict": before("model.")(s) | {"loss.weight": torch.ones(2)}},
    "net": before("net."),
    "any": before("a.long_name.module.net."),
    "averaged": lambda s: before("module.")(s) | {"n_averaged": torch.tensor(3)},
    "compiled parts": compiled_parts,
    "model": lambda s: {"model": s, "epoch": 3},
    "deep": lambda s: {"checkpoint": {"state": {"model": before("module.")(s)}}, "args": {"lr": 0.1}},
    "usual beside average": lambda s: {"model_state_dict": s, "ema": {k: v * 0 for k, v in s.items()}},
    "parameters": parameters,
    "attributes": attributed,
    "no counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
    "numpy": lambda s: {"model_state_dict": s, "best": np.float64(0.9), "history": np.arange(3.0)},
    "no descriptor": lambda s: {"model_state_dict": s, "model_descriptor": None},
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_network_is_read_from_all_ways_to_save_it(tmp_path, net, way, legacy):
    state = net.state_dict()
    torch.save(WAYS[way](state), tmp_path / "m.pth", _use_new_zipfile_serialization=not legacy)
    found = load_checkpoint(tmp_path / "m.pth")
    assert sorted(found.state) == sorted(state) and found.architecture == net.architecture
    for name, value in state.items():
        np.testing.assert_array_equal(found.state[name], value.numpy(), err_msg=name)
    assert found.card.classes == ("class_0",)


def test_two_networks_in_one_file_are_asked_about(tmp_path, net):
    state = net.state_dict()
    torch.save({"student": state, "teacher": dict(state)}, tmp_path / "m.pth")
    with pytest.raises(FormatError, match=r"weights of 2 networks \(student, teacher\)"):
        load_checkpoint(tmp_path / "m.pth")
