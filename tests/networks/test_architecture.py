import itertools

import numpy as np
import pytest
import torch

from deepict_dask.errors import FormatError, InputError
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.unet3d import UNet3D


def smooth_net(depth: int) -> UNet3D:
    """A network in which nothing cancels and no maximum hides a change: positive weights."""
    torch.manual_seed(0)
    net = UNet3D(depth, 1, batch_norm=False).double().eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.rand_like(weight) + 0.5)
    return net


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_one_changed_voxel_reaches_exactly_the_receptive_radius(depth):
    net, radius = smooth_net(depth), Architecture(depth, 1).receptive_radius()
    step = 2**depth
    thick, long = 2 * step, -(-(2 * radius + 3 * step) // step) * step
    start = long // 2 // step * step
    reaches = []
    for axis in range(3):
        shape = [thick, thick, thick]
        shape[axis] = long
        for phase in range(step):
            x = torch.zeros(1, 1, *shape, dtype=torch.float64)
            before = net(x)
            at = [0, 0, 0]
            at[axis] = start + phase
            # Larger than all around it, so that every maximum takes it.
            x[(0, 0, *at)] = 1.0
            other = tuple(i for i in range(3) if i != axis)
            changed = np.flatnonzero(((net(x) - before)[0, 0].abs().amax(other) > 0).numpy())
            reaches.append((start + phase - changed[0], changed[-1] - start - phase))
    assert max(itertools.chain(*reaches)) == radius
    assert Architecture(depth, 1).halo() % step == 0
    assert 0 <= Architecture(depth, 1).halo() - radius < step


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_shapes_are_those_of_the_module_and_give_the_architecture_back(depth, batch_norm):
    architecture = Architecture(depth, 3, in_channels=2, out_classes=4, batch_norm=batch_norm)
    shapes = {k: tuple(v.shape) for k, v in UNet3D.from_architecture(architecture).state_dict().items()}
    assert list(shapes) == list(architecture.state_shapes())
    assert shapes == architecture.state_shapes()
    assert Architecture.from_state_dict_shapes(shapes) == architecture


def test_weights_of_other_networks_are_refused():
    shapes = Architecture(2, 4).state_shapes()
    with pytest.raises(FormatError, match="not of DeePiCt's U-Nets"):
        Architecture.from_state_dict_shapes({"conv1.weight": (64, 3, 7, 7)})
    with pytest.raises(FormatError, match=r"lack base\.0\.bias"):
        Architecture.from_state_dict_shapes({k: v for k, v in shapes.items() if k != "base.0.bias"})
    with pytest.raises(FormatError, match=r"decoder\.0\.0\.weight has the shape"):
        Architecture.from_state_dict_shapes(shapes | {"decoder.0.0.weight": (8, 8, 3, 3, 3)})
    with pytest.raises(FormatError, match="hold attention"):
        Architecture.from_state_dict_shapes(shapes | {"attention": (1,)})
    with pytest.raises(FormatError, match="before the activation"):
        Architecture.from_state_dict_shapes(shapes | {"encoder.0.1.running_mean": (4,)})


@pytest.mark.parametrize(
    "wrong", [{"depth": 0}, {"depth": 9}, {"initial_features": 0}, {"decoder_dropout": 1.0}]
)
def test_impossible_hyperparameters_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Architecture(**({"depth": 2, "initial_features": 4} | wrong))


def test_crops_refuse_a_small_halo_and_an_unaligned_core():
    net = Architecture(2, 4)
    with pytest.raises(InputError, match="receptive radius of 23"):
        net.crops(20 + 16, 10)
    with pytest.raises(InputError, match="multiple of 2\\*\\*depth = 4"):
        net.crops(18 + 48, 24)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_crops_leave_exactly_the_core_and_cut_less_than_one_pooling_before_the_join(depth):
    net = Architecture(depth, 4)
    halo, core = net.halo(), 2**depth * 3
    crops = net.crops(core + 2 * halo, halo)
    n = core + 2 * halo - sum(crops.block)
    sizes = []
    for _ in range(depth):
        n -= 4
        sizes.append(n)
        assert n % 2 == 0
        n //= 2
    n -= 4
    for level in reversed(range(depth)):
        assert min(*crops.up[level], *crops.skip[level]) >= 0
        assert max(crops.up[level]) <= 1
        n = 2 * n - sum(crops.up[level])
        assert n == sizes[level] - sum(crops.skip[level])
        n -= 4
    assert n == core
