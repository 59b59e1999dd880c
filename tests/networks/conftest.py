"""Networks with random weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.unet3d import UNet3D


@pytest.fixture
def random_net() -> Callable[..., UNet3D]:
    """Give a maker of networks: random weights and running statistics, scales of both signs or positive."""

    def make(architecture: Architecture, seed: int = 0, signed: bool = True) -> UNet3D:
        torch.manual_seed(seed)
        net = UNet3D.from_architecture(architecture).eval()
        with torch.no_grad():
            for layer in net.modules():
                if isinstance(layer, torch.nn.BatchNorm3d):
                    layer.running_mean.normal_()
                    layer.running_var.uniform_(0.5, 2)
                    layer.weight.normal_() if signed else layer.weight.uniform_(0.5, 2)
                    layer.bias.normal_()
        return net

    return make
