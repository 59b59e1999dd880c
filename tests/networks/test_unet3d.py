import numpy as np
import pytest
import torch

from deepict_dask.errors import InputError
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.folding import fold_batch_norm
from deepict_dask.networks.torch_runtime import build_module
from deepict_dask.networks.unet3d import UNet3D


def numpy_state(net: UNet3D) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("elu", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_cropping_forward_equals_the_core_of_the_padded_forward(random_net, depth, elu, batch_norm):
    architecture = Architecture(depth, 2, out_classes=2, batch_norm=batch_norm, elu=elu)
    net, halo, step = random_net(architecture), architecture.halo(), architecture.alignment
    core = (step, 2 * step, 3 * step) if depth < 3 else (step, step, 2 * step)
    x = torch.randn(1, 1, *(n + 2 * halo for n in core))
    with torch.inference_mode():
        whole = net(x)[(..., *(slice(halo, halo + n) for n in core))]
        cropped = net.forward_core(x, halo)
    assert cropped.shape == (1, 2, *core)
    assert (cropped - whole).abs().max() <= 2e-6 * whole.abs().max()


def test_cropping_forward_takes_a_halo_per_axis_and_any_excess(random_net):
    net = random_net(Architecture(2, 2))
    x = torch.randn(1, 1, 8 + 2 * 24, 4 + 2 * 23, 12 + 2 * 31)
    with torch.inference_mode():
        got = net.forward_core(x, (24, 23, 31))
        # The same core with all of its halos 24 (the padded forward needs blocks aligned to 4).
        want = net.forward_core(torch.nn.functional.pad(x, (-7, -7, 1, 1, 0, 0)), 24)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-6)


def test_cropping_forward_refuses_a_halo_below_the_receptive_radius():
    with pytest.raises(InputError, match="receptive radius"):
        UNet3D(2, 2).forward_core(torch.zeros(1, 1, 48, 48, 48), 22)


@pytest.mark.parametrize("signed", [True, False])
def test_folded_batch_normalization_computes_the_same_core(random_net, signed):
    architecture = Architecture(2, 3)
    net = random_net(architecture, signed=signed)
    state = numpy_state(net)
    folded = fold_batch_norm(architecture, state)
    # A scale below zero keeps the normalization before a pooling; otherwise only the one before an upsampler stays.
    left = {name for name in folded if name.endswith("running_mean")}
    assert left == {"decoder.0.6.running_mean"} | (
        {"encoder.0.6.running_mean", "encoder.1.6.running_mean"} if signed else set()
    )
    x = torch.randn(1, 1, 56, 52, 60)
    with torch.inference_mode():
        want, got = net.forward_core(x, 24), build_module(architecture, folded).forward_core(x, 24)
    assert (got - want).abs().max() <= 2e-6 * want.abs().max()
    assert set(state) == set(architecture.state_shapes()), "the weights given must stay as they are"


def test_without_batch_normalization_the_layers_have_the_originals_numbers():
    names = set(UNet3D(1, 2, batch_norm=False).state_dict())
    assert {"encoder.0.0.weight", "encoder.0.3.weight", "decoder.0.3.bias", "base.3.weight"} <= names


def test_dropout_acts_in_training_only():
    net = UNet3D(1, 4, batch_norm=False, encoder_dropout=0.5)
    x = torch.randn(1, 1, 8, 8, 8)
    torch.manual_seed(1)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
