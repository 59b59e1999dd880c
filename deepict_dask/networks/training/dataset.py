"""Training patches as a torch Dataset: read from the stored tomograms by region, when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deepict_dask.errors import InputError
from deepict_dask.kernels.patches import (
    OVERLAP,
    PATCH,
    Box,
    PatchIndex,
    particle_patches,
    patch_grid,
    read_patch,
    select_patches,
)
from deepict_dask.kernels.probability import standardize
from deepict_dask.networks.training.augmentation import Augmentation
from deepict_dask.networks.training.sampling import (
    PatchSampler,
    balanced_sampler,
    shuffled_sampler,
    split_patches,
)

__all__ = [
    "PatchDataset",
    "PatchIndex",
    "PatchSampler",
    "TrainingTomogram",
    "balanced_sampler",
    "draw_patches",
    "particle_patches",
    "patch_grid",
    "select_patches",
    "shuffled_sampler",
    "split_patches",
]


@dataclass(frozen=True, eq=False)
class TrainingTomogram:
    """A tomogram to train on or to validate with.

    Attributes
    ----------
    name : str
        Unique among those of a training.
    tomogram : array-like, shape (z, y, x)
        Any real dtype; sliced by region. A ``zarr.Array`` or a ``Source`` travels to loader workers as a
        path and is opened there.
    mean, std : float
        Of the whole tomogram, as for inference.
    target : array-like, shape (class, z, y, x), or (z, y, x) for one class
        Labelled where it is above 0.
    region : tuple of three slices, optional
        Box (z, y, x) to train on; patches are mirrored at its edges, so nothing beyond it is seen.

    Raises
    ------
    InputError
        If the shapes differ, the standard deviation is not above 0, or the region is empty.
    """

    name: str
    tomogram: Any
    mean: float
    std: float
    target: Any
    region: Box | None = None

    def __post_init__(self) -> None:
        shape, target = tuple(self.tomogram.shape), tuple(self.target.shape)
        if len(shape) != 3 or len(target) not in (3, 4) or target[-3:] != shape:
            raise InputError(
                f"{self.name}: the tomogram has shape {shape} and its target {target}; a target must have the "
                "tomogram's shape, with classes before it"
            )
        if not (np.isfinite(self.mean) and np.isfinite(self.std) and self.std > 0):
            raise InputError(
                f"{self.name}: mean {self.mean} and standard deviation {self.std} cannot standardize a tomogram"
            )
        for axis, part, n in zip("zyx", self.region or (), shape, strict=False):
            start, stop, step = part.indices(n)
            if stop <= start or step != 1:
                raise InputError(
                    f"{self.name}: region {part} leaves nothing of the {n} voxels on axis {axis}"
                )

    @property
    def n_classes(self) -> int:
        """Classes of the target."""
        return int(self.target.shape[0]) if len(self.target.shape) == 4 else 1


def draw_patches(
    tomograms: Sequence[TrainingTomogram],
    patch: int = PATCH,
    overlap: int = OVERLAP,
    min_label_fraction: float | None = 0.002,
    *,
    max_label_fraction: float = 1.0,
) -> list[PatchIndex]:
    """Choose the patches of several tomograms; see `select_patches` for the rule.

    A tomogram in which nothing is labelled teaches what is none: all of its patches are taken.

    Raises
    ------
    InputError
        If a tomogram in which something is labelled has none.
    """
    patches: list[PatchIndex] = []
    for t in tomograms:
        every = select_patches(t.target, patch, overlap, None, box=t.region, tomogram=t.name)
        selected = [
            p
            for p in every
            if min_label_fraction is None
            or min_label_fraction < max(p.labelled) / patch**3 < max_label_fraction
        ]
        if not selected and not any(map(any, (p.labelled for p in every))):
            selected = every
        if not selected:
            raise InputError(
                f"{t.name} has no patch of {patch} voxels with more than {min_label_fraction} of it labelled; "
                "lower min_label_fraction, or check its mask"
            )
        patches += selected
    return patches


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Training patches with their targets.

    Item ``i`` is ``(x, y)``: x float32 (1, patch, patch, patch), standardized with the tomogram's mean and
    standard deviation, y float32 (class, patch, patch, patch) of 0 and 1. Item ``i + k * len(self)`` is the
    k-th repetition of item i in an epoch: the same patch, with offset and augmentation drawn anew.

    Parameters
    ----------
    tomograms : sequence of TrainingTomogram
        Of one number of classes; dtypes, shapes and voxel sizes may differ.
    patches : sequence of PatchIndex
        From `draw_patches`, `select_patches` or `particle_patches`; ``tomogram`` names one of the above.
    patch : int
        Edge in voxels.
    augmentation : Augmentation, optional
        Applied to x and y; leave it out to validate.
    jitter : int
        Patches are moved by up to so many voxels on each axis, drawn anew in every epoch.
    seed : int
        Of the jitter.

    Raises
    ------
    InputError
        If names are not unique or unknown, or the numbers of classes differ.

    Notes
    -----
    What is drawn depends on (seed, epoch, index) alone, so the number of loader workers does not show.
    """

    def __init__(
        self,
        tomograms: Sequence[TrainingTomogram],
        patches: Sequence[PatchIndex],
        patch: int = PATCH,
        *,
        augmentation: Augmentation | None = None,
        jitter: int = 0,
        seed: int = 0,
    ):
        self.tomograms = {t.name: t for t in tomograms}
        if len(self.tomograms) != len(tomograms):
            raise InputError("two tomograms to train on have the same name; give them different ones")
        classes = {t.name: t.n_classes for t in tomograms}
        if len(set(classes.values())) > 1:
            raise InputError(f"all tomograms need the same classes, but their numbers are {classes}")
        for p in patches:
            if p.tomogram not in self.tomograms:
                raise InputError(
                    f"a patch is of tomogram {p.tomogram!r}, which is not given; add it or drop it"
                )
        if patch < 1 or jitter < 0:
            raise InputError(f"patch is {patch} and jitter {jitter}; they must be at least 1 and 0 voxels")
        self.patches, self.patch = list(patches), patch
        self.augmentation, self.jitter, self.seed = augmentation, jitter, seed
        # Shared memory, so that loader workers that live on see the epoch change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # What was pickled for another process, a Dask worker for one, has loader workers of its own there.
        self._epoch.share_memory_()

    @property
    def n_classes(self) -> int:
        """Channels of y."""
        return next(iter(self.tomograms.values())).n_classes

    @property
    def epoch(self) -> int:
        """The epoch for which offsets and augmentation are drawn."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, in workers too; call it before the loader is iterated."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.patches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Repetitions have no end, so Python's own way to iterate would not end either.
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        place = self.patches[index % len(self.patches)]
        tomogram, start, epoch = self.tomograms[place.tomogram], place.start, self.epoch
        if self.jitter:
            rng = np.random.default_rng([self.seed, epoch, index])
            offset = rng.integers(-self.jitter, self.jitter + 1, 3).tolist()
            start = (start[0] + offset[0], start[1] + offset[1], start[2] + offset[2])
        draw = None if self.augmentation is None else self.augmentation.draw(epoch, index)
        margin = (0, 0, 0) if draw is None else draw.margin(self.patch)
        z, y, x = (s - m for s, m in zip(start, margin, strict=True))
        a, b, c = (self.patch + 2 * m for m in margin)
        voxels = read_patch(tomogram.tomogram, (z, y, x), (a, b, c), tomogram.region)
        labels = read_patch(tomogram.target, (z, y, x), (a, b, c), tomogram.region) > 0
        source = torch.from_numpy(standardize(voxels, tomogram.mean, tomogram.std))[None]
        target = torch.from_numpy(labels.astype(np.float32)).reshape(-1, a, b, c)
        return (source, target) if draw is None else draw.apply(source, target, self.patch)
