"""DeePiCt's 3D U-Net as a torch module; its state dict is the original's, name for name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepict_dask.networks.architecture import Architecture, AxisCrops, NetworkKind, Trim


@dataclass(frozen=True)
class Layers:
    """What a U-Net is made of, in three dimensions or in two.

    Attributes
    ----------
    convolution, transposed, batch_norm : type of torch.nn.Module
    convolve, pool : callable
        The unpadded convolution, and the largest value of two voxels along each axis.
    up_kernel : int
        Of the transposed convolution, whose stride is 2.
    memory_format : torch.memory_format
        In which it is fast.
    """

    convolution: Any
    transposed: Any
    batch_norm: Any
    convolve: Any
    pool: Any
    up_kernel: int
    memory_format: torch.memory_format


class UNet3D(nn.Module):
    """The original's 3D U-Net: logits out, the sigmoid is the caller's.

    Parameters
    ----------
    depth : int
        Number of poolings.
    initial_features : int
        Channels of the first level, doubled at each further one.
    in_channels, out_classes : int
        Channels of input and output.
    batch_norm : bool
        Batch normalization after each activation, none in the base.
    encoder_dropout, decoder_dropout : float
        Probability of dropping a value in training (the base has the encoder's).
    elu : bool
        ELU instead of ReLU.

    Examples
    --------
    >>> net = UNet3D(depth=1, initial_features=2).eval()
    >>> net(torch.zeros(1, 1, 4, 6, 8)).shape
    torch.Size([1, 1, 4, 6, 8])
    """

    network: ClassVar[NetworkKind] = "unet3d"
    layers: ClassVar[Layers] = Layers(
        nn.Conv3d,
        nn.ConvTranspose3d,
        nn.BatchNorm3d,
        functional.conv3d,
        functional.max_pool3d,
        2,
        torch.channels_last_3d,
    )

    def __init__(
        self,
        depth: int,
        initial_features: int,
        in_channels: int = 1,
        out_classes: int = 1,
        batch_norm: bool = True,
        encoder_dropout: float = 0.0,
        decoder_dropout: float = 0.0,
        elu: bool = False,
    ) -> None:
        super().__init__()
        self.architecture = net = Architecture(
            depth,
            initial_features,
            in_channels,
            out_classes,
            batch_norm,
            elu,
            encoder_dropout,
            decoder_dropout,
            self.network,
        )
        widths = [net.features(level) for level in range(depth + 1)]
        ins = [in_channels, *widths]
        self.encoder = nn.ModuleList(
            self._block(ins[level], widths[level], batch_norm, encoder_dropout, elu) for level in range(depth)
        )
        self.base = self._block(widths[-2], widths[-1], False, encoder_dropout, elu)
        # The decoder counts from the deepest level, as the original's names do.
        pairs = [(widths[depth - level], widths[depth - level - 1]) for level in range(depth)]
        self.decoder = nn.ModuleList(self._block(a, b, batch_norm, decoder_dropout, elu) for a, b in pairs)
        self.upsamplers = nn.ModuleList(
            self.layers.transposed(a, b, self.layers.up_kernel, stride=2) for a, b in pairs
        )
        self.out_conv = self.layers.convolution(initial_features, out_classes, 1)

    @classmethod
    def from_architecture(cls, architecture: Architecture) -> Self:
        """Build the module with the given hyperparameters and random weights."""
        return cls(
            depth=architecture.depth,
            initial_features=architecture.initial_features,
            in_channels=architecture.in_channels,
            out_classes=architecture.out_classes,
            batch_norm=architecture.batch_norm,
            encoder_dropout=architecture.encoder_dropout,
            decoder_dropout=architecture.decoder_dropout,
            elu=architecture.elu,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits with zero padding, as in training.

        Parameters
        ----------
        x : torch.Tensor of float, shape (n, in_channels, z, y, x)
            Normalized patches; z, y and x must be multiples of ``2**depth``.

        Returns
        -------
        torch.Tensor of float, shape (n, out_classes, z, y, x)
        """
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
            x = self.layers.pool(x, 2)
        x = self.base(x)
        for up, block in zip(self.upsamplers, self.decoder, strict=True):
            x = block(torch.cat((skips.pop(), self._up(up, x)), dim=1))
        return self.out_conv(x)

    def forward_core(self, x: Tensor, halo: int | tuple[int, int, int]) -> Tensor:
        """Compute the logits of a block's core only, with no padding anywhere.

        Every stage works on just what the core needs, so the result equals
        ``forward(x)[core]`` at a fraction of the work.

        Parameters
        ----------
        x : torch.Tensor of float, shape (n, in_channels, z, y, x)
            Core and halo, normalized.
        halo : int or (int, int, int)
            Voxels of context on each side in z, y, x; at least the receptive radius.

        Returns
        -------
        torch.Tensor of float, shape (n, out_classes, *core)

        Raises
        ------
        InputError
            Where the halo is too small or the core not a multiple of ``2**depth``.
        """
        halos = (halo,) * 3 if isinstance(halo, int) else halo
        return self._core(x, [self.architecture.crops(n, h) for n, h in zip(x.shape[2:], halos, strict=True)])

    def _core(self, x: Tensor, axes: Sequence[AxisCrops]) -> Tensor:
        x = _crop(x, [axis.block for axis in axes])
        skips = []
        for level, block in enumerate(self.encoder):
            x = self._unpadded(block, x)
            skips.append(_crop(x, [axis.skip[level] for axis in axes]))
            x = self.layers.pool(x, 2)
        x = self._unpadded(self.base, x)
        for i, (up, block) in enumerate(zip(self.upsamplers, self.decoder, strict=True)):
            level = self.architecture.depth - 1 - i
            x = _crop(self._up(up, x), [axis.up[level] for axis in axes])
            x = self._unpadded(block, torch.cat((skips.pop(), x), dim=1))
        return self.out_conv(x)

    def _up(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Give two voxels for each, along each axis."""
        return layer(x)

    def _block(self, a: int, b: int, batch_norm: bool, dropout: float, elu: bool) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels in (a, b):
            layers += [self.layers.convolution(channels, b, 3, padding=1), nn.ELU() if elu else nn.ReLU()]
            if batch_norm:
                layers.append(self.layers.batch_norm(b))
            layers.append(nn.Dropout(dropout))
        return nn.Sequential(*layers)

    def _unpadded(self, block: nn.Module, x: Tensor) -> Tensor:
        for layer in block.children():
            is_convolution = isinstance(layer, self.layers.convolution)
            x = self.layers.convolve(x, layer.weight, layer.bias) if is_convolution else layer(x)
        return x


def _crop(x: Tensor, trims: list[Trim]) -> Tensor:
    for axis, (low, high) in enumerate(trims, 2):
        x = x.narrow(axis, low, x.shape[axis] - low - high)
    return x
