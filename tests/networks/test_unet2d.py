"""The 2D network: slices each by themselves, and a core of a block as of the whole slice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepict_dask.errors import FormatError, InputError
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.card import ModelCard
from deepict_dask.networks.checkpoint import load_model, save_checkpoint
from deepict_dask.networks.predictor import ModelSpec, get_predictor
from deepict_dask.networks.unet2d import UNet2D, build_unet


def arch(depth=2, features=4, **more):
    return Architecture(depth, features, **({"batch_norm": False, "network": "unet2d"} | more))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_one_changed_pixel_reaches_exactly_the_receptive_radius_and_no_other_slice(depth):
    net = UNet2D(depth, 1, batch_norm=False).double().eval()
    for p in net.parameters():
        torch.nn.init.constant_(p, 0.1)
    radius, step = arch(depth).receptive_radius(), 2**depth
    n = (2 * radius // step + 3) * step
    x = torch.ones(1, 1, 3, n, n, dtype=torch.float64)
    reach = 0
    with torch.no_grad():
        before = net(x)
        for shift in range(step):
            changed = x.clone()
            middle = n // 2 + shift
            changed[0, 0, 1, middle, middle] = 100
            differs = (net(changed) != before).nonzero()
            assert set(differs[:, 2].tolist()) == {1}
            reach = max(reach, *(int((differs[:, axis] - middle).abs().max()) for axis in (3, 4)))
    assert reach == radius
    assert arch(depth).halo_zyx == (0, arch(depth).halo(), arch(depth).halo())


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("more", [{}, {"batch_norm": True, "out_classes": 2}, {"elu": True}])
def test_the_core_of_a_block_is_that_of_the_whole_slice(tmp_path, runtime, more):
    a = arch(**more)
    torch.manual_seed(1)
    net = build_unet(a).eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(layer.weight)
    card = ModelCard(name="net", classes=tuple(f"c{i}" for i in range(a.out_classes)), architecture=a)
    model = load_model(save_checkpoint(tmp_path, net.state_dict(), card))
    assert model.card == card
    halo = a.halo()
    x = np.random.default_rng(0).normal(size=(5, 2 * halo + 8, 2 * halo + 12)).astype("f4")
    with torch.no_grad():
        whole = net(torch.from_numpy(x)[None, None]).sigmoid()[0].numpy()
    predictor = get_predictor(ModelSpec.of(model, runtime=runtime, device="cpu", threads=1))
    np.testing.assert_allclose(
        predictor.predict_core(x, (1, halo, halo)), whole[:, 1:-1, halo:-halo, halo:-halo], atol=1e-6
    )
    padded = predictor.predict_boxes(x[:, None])[:, :, 0].swapaxes(0, 1)
    np.testing.assert_allclose(padded, whole, atol=1e-6)


def test_many_slices_go_through_in_parts_that_do_not_show(tmp_path, monkeypatch):
    a = arch()
    net = build_unet(a).eval()
    model = load_model(
        save_checkpoint(tmp_path, net.state_dict(), ModelCard(name="n", classes=("c",), architecture=a))
    )
    predictor = get_predictor(ModelSpec.of(model, runtime="torch", device="cpu", threads=1))
    x = np.random.default_rng(0).normal(size=(5, 72, 64)).astype("f4")
    whole = predictor.predict_core(x, (0, 28, 28))
    monkeypatch.setattr("deepict_dask.networks.predictor.PIXELS", 2 * 72 * 64)
    np.testing.assert_allclose(predictor.predict_core(x, (0, 28, 28)), whole, rtol=0, atol=1e-6)


def test_shapes_of_weights_say_which_network_it_is():
    a = arch(3, 4, batch_norm=True, out_classes=2)
    assert Architecture.from_state_dict_shapes(a.state_shapes()) == a
    shapes = {name: tuple(value.shape) for name, value in build_unet(a).state_dict().items()}
    assert shapes == a.state_shapes()
    with pytest.raises(FormatError, match=r"upsamplers\.0\.weight has the shape"):
        Architecture.from_state_dict_shapes(a.state_shapes() | {"upsamplers.0.weight": (32, 16, 2, 2)})


def test_a_network_of_another_kind_is_refused():
    with pytest.raises(InputError, match="unet3d or unet2d, not 'unet4d'"):
        arch(network="unet4d")
