"""Augmentation of training patches: drawn from (seed, epoch, index) alone, then applied to x and y alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepict_dask.errors import InputError
from deepict_dask.networks.training.augmentation_settings import AugmentationSettings
from deepict_dask.networks.training.density import (
    add_colored_noise,
    add_noise,
    apply_spectrum,
    keep_moments,
    salt_and_pepper,
    widen_wedge,
)
from deepict_dask.networks.training.warp import Warp, turn

__all__ = ["Augmentation", "AugmentationSettings", "Draw"]

# Purposes of the random streams of one patch.
_PLAN, _FIELD, _NOISE = 0, 1, 2


@dataclass(frozen=True)
class Draw:
    """What was drawn for one patch: plain numbers; nothing is random any more.

    Attributes
    ----------
    key : tuple of int
        Seed, epoch and index, of which fields and noise are made.
    flips : (bool, bool, bool)
        Mirror along z, y, x.
    turns : tuple of ((int, int), int)
        Planes of axes (0 to 2 for z, y, x) and quarter turns in them, one after another.
    warp : Warp or None
        Rotation and elastic deformation.
    gaussian, colored, salt : float
        Strengths; 0 for none.
    wedge : (float, float) or None
        Tilt in degrees that remains, and direction of the tilt axis in the xy plane in radians.
    spectrum : tuple of float
        Logarithms of the gain at equally spaced radial frequencies; empty for none.
    """

    key: tuple[int, int, int]
    flips: tuple[bool, bool, bool] = (False, False, False)
    turns: tuple[tuple[tuple[int, int], int], ...] = ()
    warp: Warp | None = None
    gaussian: float = 0.0
    colored: float = 0.0
    salt: float = 0.0
    wedge: tuple[float, float] | None = None
    spectrum: tuple[float, ...] = ()

    def margin(self, patch: int) -> tuple[int, int, int]:
        """Voxels on each side that a patch must be read with, so that a rotation brings in real ones."""
        margin = (0, 0, 0) if self.warp is None else self.warp.margin(patch)
        # Turns come after the warp; the margin is of what is read.
        return margin

    def apply(self, x: Tensor, y: Tensor, patch: int | None = None) -> tuple[Tensor, Tensor]:
        """Apply to one patch.

        Parameters
        ----------
        x : torch.Tensor of float32, shape (1, z, y, x)
            Standardized voxels.
        y : torch.Tensor, shape (class, z, y, x)
            Targets.
        patch : int, optional
            Edge of the result in voxels, where x and y have a margin around it.

        Returns
        -------
        x, y : torch.Tensor
            New ones; y holds no values that it did not hold before.
        """
        if self.warp is not None:
            x, y = self.warp.apply(x, y, patch, self._rng(_FIELD))
        elif patch is not None:
            x, y = _center(x, patch), _center(y, patch)
        flipped = [axis - 3 for axis, flip in enumerate(self.flips) if flip]
        x, y = turn(x, flipped, self.turns), turn(y, flipped, self.turns)
        return self._densities(x), y

    def _densities(self, x: Tensor) -> Tensor:
        before, rng = x, self._rng(_NOISE)
        if self.spectrum:
            x = apply_spectrum(x, self.spectrum)
        # Noise comes before the wedge: detectors add it before anything is reconstructed.
        if self.colored:
            x = add_colored_noise(x, self.colored, rng)
        if self.gaussian:
            x = add_noise(x, self.gaussian, rng)
        if self.wedge is not None:
            x = widen_wedge(x, *self.wedge)
        if x is not before:
            x = keep_moments(x, before)
        if self.salt:
            x = salt_and_pepper(x, self.salt, rng)
        return x

    def _rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([*self.key, purpose])


class Augmentation:
    """Random changes to training patches, the same for the same seed, epoch and index.

    Parameters
    ----------
    settings : AugmentationSettings
        What is done.
    seed : int
        At least 0.

    Notes
    -----
    No global random state is read or changed, so neither the number of loader workers nor what else draws
    random numbers shows.

    Examples
    --------
    >>> augment = Augmentation(AugmentationSettings(rotation=180), seed=1)
    >>> x, y = torch.rand(1, 8, 8, 8), torch.ones(2, 8, 8, 8)
    >>> augment(x, y, epoch=3, index=5)[0].equal(augment(x, y, epoch=3, index=5)[0])
    True
    """

    def __init__(self, settings: AugmentationSettings | None = None, seed: int = 0):
        if seed < 0:
            raise InputError(f"the seed {seed} is negative; give a whole number of at least 0")
        self.settings, self.seed = settings or AugmentationSettings(), seed

    def __call__(
        self, x: Tensor, y: Tensor, *, epoch: int = 0, index: int | Sequence[int] = 0
    ) -> tuple[Tensor, Tensor]:
        """Augment one patch (1, z, y, x) and (class, z, y, x), or a batch of them with an index for each."""
        if x.ndim == 4:
            return self.draw(epoch, int(index)).apply(x, y)  # type: ignore[arg-type]
        indices = list(range(index, index + len(x))) if isinstance(index, int) else list(index)
        pairs = [self.draw(epoch, int(i)).apply(a, b) for i, a, b in zip(indices, x, y, strict=True)]
        return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])

    def draw(self, epoch: int, index: int) -> Draw:
        """Draw what is done to one patch in one epoch."""
        s, key = self.settings, (self.seed, int(epoch), int(index))
        rng = np.random.default_rng([*key, _PLAN])
        # All numbers are drawn every time: switching one augmentation on does not change the others.
        coins, strengths = rng.random(8), rng.random(8)
        flips = tuple((rng.random(3) < 0.5).tolist())
        quarters = rng.integers(0, 4, 3).tolist()
        angle = np.radians(s.rotation) * (2 * strengths[0] - 1)
        axis = rng.normal(size=3)
        knots = rng.normal(size=6)
        azimuth = float(rng.random() * np.pi)
        chosen = coins < s.probability

        turns: list[tuple[tuple[int, int], int]] = []
        if s.rot90 or s.rot90_all_axes:
            turns.append(((1, 2), quarters[0]))
        if s.rot90_all_axes:
            turns += [((0, 2), quarters[1]), ((0, 1), quarters[2])]
        rotates, bends = s.rotation > 0 and chosen[0], s.elastic > 0 and chosen[1]
        warp = None
        if rotates or bends:
            direction = axis / np.linalg.norm(axis) if s.rotation_all_axes else np.array([1.0, 0, 0])
            vector = direction * (angle if rotates else 0.0)
            warp = Warp(tuple(vector.tolist()), s.elastic if bends else 0.0, s.elastic_spacing)
        return Draw(
            key=key,
            flips=flips if s.flips else (False, False, False),  # type: ignore[arg-type]
            turns=tuple(t for t in turns if t[1]),
            warp=warp,
            gaussian=float(s.gaussian_noise * strengths[2]) if chosen[2] else 0.0,
            colored=float(s.colored_noise * strengths[3]) if chosen[3] else 0.0,
            salt=float(s.salt_and_pepper * strengths[4]) if chosen[4] else 0.0,
            wedge=(max(s.tilt_limit - s.missing_wedge * strengths[5], 1.0), azimuth)
            if s.missing_wedge > 0 and chosen[5]
            else None,
            spectrum=tuple((s.spectrum * knots).tolist()) if s.spectrum > 0 and chosen[6] else (),
        )


def _center(values: Tensor, patch: int) -> Tensor:
    for axis in (-3, -2, -1):
        values = values.narrow(axis, (values.shape[axis] - patch) // 2, patch)
    return values
