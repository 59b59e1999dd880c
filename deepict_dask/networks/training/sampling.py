"""Which patches are trained on and which validate, and in which order they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from torch.utils.data import Sampler

from deepict_dask.errors import InputError
from deepict_dask.kernels.patches import PatchIndex


class Patches(Protocol):
    """A dataset that knows its patches."""

    patches: list[PatchIndex]


def split_patches(
    patches: Sequence[PatchIndex],
    validation: float | Sequence[str] = 0.2,
    *,
    by: str = "tomogram",
    seed: int = 0,
) -> tuple[list[PatchIndex], list[PatchIndex]]:
    """Split patches into those to train on and those to validate with.

    Parameters
    ----------
    patches : sequence of PatchIndex
        Of all tomograms.
    validation : float or sequence of str
        Share in (0, 1) to validate with, drawn with the seed; or names of tomograms.
    by : {"tomogram", "patch"}
        Whole tomograms, or the same share of every tomogram's patches. Neighboring patches share voxels,
        so a network that was split by patch has seen part of what it is validated with.
    seed : int
        Of the drawing.

    Returns
    -------
    train, validation : list of PatchIndex

    Raises
    ------
    InputError
        If a side would be empty, or a name is unknown.
    """
    names = list(dict.fromkeys(p.tomogram for p in patches))
    rng = np.random.default_rng(seed)
    if isinstance(validation, (int, float)) and not 0 < validation < 1:
        raise InputError(f"the share {validation} to validate with is not between 0 and 1; take 0.2")
    if by == "tomogram":
        if isinstance(validation, (int, float)):
            n = min(max(1, round(validation * len(names))), len(names) - 1)
            chosen = {names[k] for k in rng.permutation(len(names))[:n]} if n > 0 else set()
        else:
            chosen = set(validation)
            if unknown := sorted(chosen - set(names)):
                raise InputError(
                    f"tomogram {unknown[0]} to validate with has no patches; there are patches of {', '.join(names)}"
                )
        held = [p.tomogram in chosen for p in patches]
    elif by == "patch":
        if not isinstance(validation, (int, float)):
            raise InputError("a split by patch needs a share to validate with, such as 0.2, not names")
        held = [False] * len(patches)
        for name in names:
            of_tomogram = [k for k, p in enumerate(patches) if p.tomogram == name]
            n = min(max(1, round(validation * len(of_tomogram))), len(of_tomogram) - 1)
            for k in rng.permutation(len(of_tomogram))[: max(n, 0)]:
                held[of_tomogram[k]] = True
    else:
        raise InputError(f"patches are split by tomogram or by patch, not by {by!r}")
    train = [p for p, out in zip(patches, held, strict=True) if not out]
    kept = [p for p, out in zip(patches, held, strict=True) if out]
    if not train or not kept:
        raise InputError(
            f"{len(patches)} patches of {len(names)} tomogram{'s' * (len(names) != 1)} split by {by} leave "
            f"{len(train)} to train on and {len(kept)} to validate with; "
            + ("give more tomograms or split by patch" if by == "tomogram" else "give more patches")
        )
    return train, kept


class PatchSampler(Sampler[int]):
    """The order in which patches are seen: the same for the same seed and epoch, however often it is asked.

    Parameters
    ----------
    n_patches : int
        Of the dataset.
    weights : sequence of float, optional
        Patches are drawn with replacement with these; without them each is seen once, shuffled.
    n_samples : int, optional
        Patches per epoch in all; as many as there are by default.
    seed : int
        Of the order.
    """

    def __init__(
        self,
        n_patches: int,
        weights: Sequence[float] | None = None,
        n_samples: int | None = None,
        *,
        seed: int = 0,
    ):
        self.n_patches, self.n_samples = n_patches, n_samples or n_patches
        self.weights = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is given."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_samples

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        n = self.n_samples
        if self.weights is not None:
            drawn = rng.choice(self.n_patches, n, p=self.weights)
        else:
            rounds = -(-n // self.n_patches)
            drawn = np.concatenate([rng.permutation(self.n_patches) for _ in range(rounds)])[:n]
        # A patch that comes again is asked for as a repetition, with an augmentation of its own.
        times: dict[int, int] = {}
        order = []
        for k in drawn.tolist():
            order.append(k + times.get(k, 0) * self.n_patches)
            times[k] = times.get(k, 0) + 1
        yield from order


def balanced_sampler(dataset: Patches, seed: int = 0, *, n_samples: int | None = None) -> PatchSampler:
    """Draw patches so that every class, and patches without any, come as often as the others.

    Parameters
    ----------
    dataset : PatchDataset
        Whose patches know their labelled voxels.
    seed, n_samples
        As in `PatchSampler`.

    Returns
    -------
    PatchSampler
        A patch's weight is the sum over its classes of 1 / (patches with that class).
    """
    present = np.array([[n > 0 for n in p.labelled] or [False] for p in dataset.patches])
    present = np.column_stack([present, ~present.any(axis=1)])
    weights = (present / np.maximum(present.sum(axis=0), 1)).sum(axis=1)
    return PatchSampler(len(dataset.patches), weights.tolist(), n_samples, seed=seed)


def shuffled_sampler(dataset: Patches, seed: int = 0, *, n_samples: int | None = None) -> PatchSampler:
    """Give every patch once an epoch, in another order each time; parameters as in `PatchSampler`."""
    return PatchSampler(len(dataset.patches), None, n_samples, seed=seed)
