"""Toy data and networks; in a module of its own, so that other processes can import it."""

from __future__ import annotations

import torch
from torch import nn

from deepict_dask.networks.training.recipe import Recipe

QUICK = Recipe(learning_rate=0.02, batch_size=2, epochs=4, threads=1, device="cpu")


class Blobs(torch.utils.data.Dataset):
    """Bright voxels in noise, to be found again; ``dims`` spatial axes, ``noise`` that each epoch draws anew."""

    def __init__(self, n=6, seed=0, dims=3, edge=8, classes=1, spoiled=(), noise=0.0):
        self.noise, self.epoch = noise, torch.zeros((), dtype=torch.int64).share_memory_()
        generator = torch.Generator().manual_seed(seed)
        shape = (n, classes, *(edge,) * dims)
        self.y = (torch.rand(shape, generator=generator) < 0.2).float()
        background = torch.randn((n, 1, *shape[2:]), generator=generator)
        self.x = 0.3 * background + 2 * self.y.sum(1, keepdim=True)
        for index in spoiled:
            self.x[index, 0, 3] = float("nan")

    def __len__(self):
        return len(self.x)

    def set_epoch(self, epoch):
        self.epoch.fill_(epoch)

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(1000 * int(self.epoch) + index)
        return self.x[index] + self.noise * torch.randn(self.x[index].shape, generator=generator), self.y[
            index
        ]


class FailsElsewhere(Blobs):
    """Cannot be read in the second process of a team."""

    def __getitem__(self, index):
        if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            raise ValueError("fails in the other")
        return super().__getitem__(index)


class FilledOrder:
    """All patches in order, and the first once more."""

    def __init__(self, n):
        self.n = n

    def __call__(self, epoch):
        return [*range(self.n), 0]


class Net2D(nn.Module):
    """A network of two spatial axes, as the paper's other one will be."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(4), nn.Dropout(0.1), nn.Conv2d(4, 1, 1)
        )

    def forward(self, x):
        return self.layers(x)
