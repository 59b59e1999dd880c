"""DeePiCt's 2D U-Net as a torch module: the layers of the 3D one in two dimensions, over slices."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepict_dask.networks.architecture import Architecture, NetworkKind
from deepict_dask.networks.unet3d import Layers, UNet3D


class UNet2D(UNet3D):
    """The original's 2D U-Net: logits out, the sigmoid is the caller's.

    It takes and gives what the 3D network does, (n, channel, z, y, x), and sees every slice along z by itself. The
    original's ``n_filters`` is a fourth of ``initial_features``, its depth 4, without batch normalization.

    References
    ----------
    de Teresa-Trueba et al., Nature Methods 20, 284 (2023); the original's ``2d_cnn``.

    Examples
    --------
    >>> net = UNet2D(depth=1, initial_features=2, batch_norm=False).eval()
    >>> net(torch.zeros(1, 1, 3, 6, 8)).shape
    torch.Size([1, 1, 3, 6, 8])
    """

    network: ClassVar[NetworkKind] = "unet2d"
    layers: ClassVar[Layers] = Layers(
        nn.Conv2d,
        nn.ConvTranspose2d,
        nn.BatchNorm2d,
        functional.conv2d,
        functional.max_pool2d,
        3,
        torch.channels_last,
    )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits with zero padding in y and x, as in training.

        Parameters
        ----------
        x : torch.Tensor of float, shape (n, in_channels, z, y, x)
            Normalized slices; y and x must be multiples of ``2**depth``.

        Returns
        -------
        torch.Tensor of float, shape (n, out_classes, z, y, x)
        """
        return _stack(super().forward(_slices(x)), len(x))

    def forward_core(self, x: Tensor, halo: int | tuple[int, int, int]) -> Tensor:
        """Compute the logits of a block's core only, with no padding anywhere.

        Parameters
        ----------
        x : torch.Tensor of float, shape (n, in_channels, z, y, x)
            Core and halo, normalized.
        halo : int or (int, int, int)
            Pixels of context on each side in y and x; with three numbers those along z are slices that are left out.

        Returns
        -------
        torch.Tensor of float, shape (n, out_classes, *core)

        Raises
        ------
        InputError
            Where the halo is too small or the core not a multiple of ``2**depth``.
        """
        halos = (0, halo, halo) if isinstance(halo, int) else halo
        along_z, *axes = self.architecture.block_crops(tuple(x.shape[2:]), halos)
        low, high = along_z.block
        x = x.narrow(2, low, x.shape[2] - low - high)
        return _stack(self._core(_slices(x), axes), len(x))

    def _up(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Transposed convolution of 3x3 pixels, ``same`` as Keras has it: without the last row and column."""
        return layer(x)[..., :-1, :-1]


def build_unet(architecture: Architecture) -> UNet3D:
    """Build the module of an architecture, with random weights."""
    return (UNet2D if architecture.is_2d else UNet3D).from_architecture(architecture)


def _slices(x: Tensor) -> Tensor:
    """(n, channel, z, y, x) to (n * z, channel, y, x)."""
    return x.transpose(1, 2).flatten(0, 1)


def _stack(x: Tensor, n: int) -> Tensor:
    """Undo `_slices`."""
    return x.unflatten(0, (n, -1)).transpose(1, 2)
