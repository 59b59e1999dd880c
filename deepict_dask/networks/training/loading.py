"""From a dataset of patches to the batches of an epoch, the same whoever loads them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

Order = Callable[[int], Sequence[int]]
"""Epoch (from 1) -> indices of the patches to train on, in their order."""


def shuffled(n: int, seed: int) -> Order:
    """Give every patch once per epoch, in an order that depends on seed and epoch alone."""
    return lambda epoch: np.random.default_rng([seed, epoch]).permutation(n).tolist()


class SampledOrder:
    """The order of a sampler with a method ``set_epoch``; picklable if that is.

    Parameters
    ----------
    sampler : iterable of int
        Gives the same indices for the same epoch. What it was told of other processes must be "none".
    """

    def __init__(self, sampler: Any):
        self.sampler = sampler

    def __call__(self, epoch: int) -> Sequence[int]:
        self.sampler.set_epoch(epoch)
        return list(self.sampler)


class EpochBatches(Sampler):
    """Batches of indices for one of several processes; `epoch` is set before each pass.

    Every process gets an equal share of every batch. The last batch is filled up from the beginning where it cannot be
    shared equally, since processes wait for each other.
    """

    def __init__(self, order: Order, batch_size: int, rank: int = 0, n_processes: int = 1):
        self.order, self.batch_size = order, batch_size
        self.rank, self.n_processes = rank, n_processes
        self.epoch = 1

    def batches(self) -> list[list[int]]:
        """Give the whole batches of this epoch, all processes together."""
        indices = [int(i) for i in self.order(self.epoch)]
        missing = -len(indices) % self.n_processes
        filled = indices + list(islice(cycle(indices), missing))
        return [filled[i : i + self.batch_size] for i in range(0, len(filled), self.batch_size)]

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches():
            yield batch[self.rank :: self.n_processes]

    def __len__(self) -> int:
        return len(self.batches())


def make_loader(dataset: Any, batches: EpochBatches, workers: int, pinned: bool) -> DataLoader:
    """Load batches, in worker processes that read ahead and stay for all epochs if there are any.

    Processes that may not start others, such as those of a Dask nanny, load by themselves.
    """
    if multiprocessing.current_process().daemon:
        workers = 0
    # Forked workers would inherit threads and locks of Zarr, Dask and torch.
    more: dict[str, Any] = (
        {"multiprocessing_context": "spawn", "persistent_workers": True, "prefetch_factor": 2}
        if workers
        else {}
    )
    # Its own generator, so that loading takes nothing from the random numbers of dropout.
    generator = torch.Generator().manual_seed(0)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=pinned,
        generator=generator,
        **more,
    )
