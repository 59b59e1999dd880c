"""DeePiCt's 3D U-Net as a torch module; its state dict is the original's, name for name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepict_dask.networks.architecture import Architecture, Trim


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
        )
        widths = [net.features(level) for level in range(depth + 1)]
        ins = [in_channels, *widths]
        self.encoder = nn.ModuleList(
            _block(ins[level], widths[level], batch_norm, encoder_dropout, elu) for level in range(depth)
        )
        self.base = _block(widths[-2], widths[-1], False, encoder_dropout, elu)
        # The decoder counts from the deepest level, as the original's names do.
        pairs = [(widths[depth - level], widths[depth - level - 1]) for level in range(depth)]
        self.decoder = nn.ModuleList(_block(a, b, batch_norm, decoder_dropout, elu) for a, b in pairs)
        self.upsamplers = nn.ModuleList(nn.ConvTranspose3d(a, b, 2, stride=2) for a, b in pairs)
        self.out_conv = nn.Conv3d(initial_features, out_classes, 1)

    @classmethod
    def from_architecture(cls, architecture: Architecture) -> UNet3D:
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
            x = functional.max_pool3d(x, 2)
        x = self.base(x)
        for up, block in zip(self.upsamplers, self.decoder, strict=True):
            x = block(torch.cat((skips.pop(), up(x)), dim=1))
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
        axes = [self.architecture.crops(n, h) for n, h in zip(x.shape[2:], halos, strict=True)]
        x = _crop(x, [axis.block for axis in axes])
        skips = []
        for level, block in enumerate(self.encoder):
            x = _unpadded(block, x)
            skips.append(_crop(x, [axis.skip[level] for axis in axes]))
            x = functional.max_pool3d(x, 2)
        x = _unpadded(self.base, x)
        for i, (up, block) in enumerate(zip(self.upsamplers, self.decoder, strict=True)):
            level = self.architecture.depth - 1 - i
            x = _crop(up(x), [axis.up[level] for axis in axes])
            x = _unpadded(block, torch.cat((skips.pop(), x), dim=1))
        return self.out_conv(x)


def _block(a: int, b: int, batch_norm: bool, dropout: float, elu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (a, b):
        layers += [nn.Conv3d(channels, b, 3, padding=1), nn.ELU() if elu else nn.ReLU()]
        if batch_norm:
            layers.append(nn.BatchNorm3d(b))
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def _unpadded(block: nn.Module, x: Tensor) -> Tensor:
    for layer in block.children():
        x = functional.conv3d(x, layer.weight, layer.bias) if isinstance(layer, nn.Conv3d) else layer(x)
    return x


def _crop(x: Tensor, trims: list[Trim]) -> Tensor:
    for axis, (low, high) in enumerate(trims, 2):
        x = x.narrow(axis, low, x.shape[axis] - low - high)
    return x
