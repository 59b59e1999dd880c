"""Losses as functions of sums, so that batches, patches and GPUs can be added up exactly.

Every loss here is a function of five sums per class. A batch gives its sums, and those of many batches,
or of several GPUs, add up; the loss of the whole does not depend on how it was cut. Any number of spatial
axes will do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from deepict_dask.errors import InputError

# Columns of the sums.
_OVERLAP, _PROBABILITY, _TARGET, _CROSS_ENTROPY, _VOXELS = range(5)
N_SUMS = 5


def loss_sums(logits: Tensor, target: Tensor) -> Tensor:
    """Sum up what a loss needs to know of a batch.

    Parameters
    ----------
    logits : torch.Tensor of float, shape (n, class, ...)
        What the network gives; the sigmoid is taken here.
    target : torch.Tensor, shape (n, class, ...)
        0 or 1 (anything between is taken as a fraction).

    Returns
    -------
    torch.Tensor, shape (class, 5)
        Per class: sum of p * t, of p, of t, of the binary cross-entropy, and the number of voxels. In
        float32, or float64 if the logits are.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if logits.shape != target.shape:
        raise InputError(
            f"the network gives {tuple(logits.shape)} where the target is {tuple(target.shape)}; batch, class and "
            "spatial axes must be the same"
        )
    # Half precision would lose the small ones of a million voxels.
    logits = logits if logits.dtype == torch.float64 else logits.float()
    target = target.to(logits.dtype)
    axes = (0, *range(2, logits.ndim))
    probability = torch.sigmoid(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    voxels = logits.new_full((logits.shape[1],), logits.numel() / logits.shape[1])
    sums = ((probability * target).sum(axes), probability.sum(axes), target.sum(axes), entropy.sum(axes))
    return torch.stack((*sums, voxels), dim=1)


def dice_loss(sums: Tensor, smooth: float = 1.0) -> Tensor:
    """Give one minus the soft Dice coefficient, averaged over the classes.

    ``1 - mean_c (2 sum(p t) + s) / (sum(p) + sum(t) + s)``. The smoothing ``s``, in voxels, makes an absent
    class that is predicted absent perfect.
    """
    overlap, both = sums[:, _OVERLAP], sums[:, _PROBABILITY] + sums[:, _TARGET]
    return 1 - ((2 * overlap + smooth) / (both + smooth)).mean()


def generalized_dice_loss(sums: Tensor, smooth: float = 1.0) -> Tensor:
    """Give the Generalized Dice loss of Sudre et al. (2017): classes weigh by their inverse squared volume.

    ``1 - (2 sum_c w_c sum(p t) + s') / (sum_c w_c (sum(p) + sum(t)) + s')`` with ``w_c = 1 / sum(t)**2``; a class
    that is absent has the largest weight of those present (1 if none is). Channels are independent here
    and the background is none of them, so for one class this is the Dice loss. The smoothing of
    ``smooth`` voxels weighs as much as the classes' voxels do on average.
    """
    volume = sums[:, _TARGET].detach()
    present = volume > 0
    weight = torch.where(present, 1 / volume.clamp_min(1) ** 2, torch.zeros_like(volume))
    weight = torch.where(present, weight, weight.max()) if bool(present.any()) else torch.ones_like(volume)
    weight = weight / weight.mean()
    overlap = (weight * sums[:, _OVERLAP]).sum()
    both = (weight * (sums[:, _PROBABILITY] + sums[:, _TARGET])).sum()
    smooth = smooth * float(len(sums))
    return 1 - (2 * overlap + smooth) / (both + smooth)


def cross_entropy_loss(sums: Tensor) -> Tensor:
    """Give the binary cross-entropy in nats, averaged over voxels and classes."""
    return (sums[:, _CROSS_ENTROPY] / sums[:, _VOXELS]).mean()


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "dice": dice_loss,
    "generalized_dice": generalized_dice_loss,
    "bce": cross_entropy_loss,
    "dice_bce": lambda sums: dice_loss(sums) + cross_entropy_loss(sums),
    "generalized_dice_bce": lambda sums: generalized_dice_loss(sums) + cross_entropy_loss(sums),
}
"""From sums, shape (class, 5), to a number; combinations are plain sums."""


def overlap_counts(logits: Tensor, target: Tensor) -> Tensor:
    """Count voxels for the Dice score of the segmentation at a probability of 0.5.

    Returns
    -------
    torch.Tensor of float64, shape (class, 2)
        Per class: voxels in both, and the sum of voxels in each.
    """
    axes = (0, *range(2, logits.ndim))
    predicted, labelled = logits > 0, target > 0.5
    both = (predicted & labelled).sum(axes)
    return torch.stack((both, predicted.sum(axes) + labelled.sum(axes)), dim=1).double()


def dice_scores(counts: Tensor) -> list[float]:
    """Give the Dice score of each class from `overlap_counts`; NaN for one neither predicted nor there.

    >>> dice_scores(torch.tensor([[2.0, 8.0], [0.0, 0.0]]))
    [0.5, nan]
    """
    return [2 * both / sizes if sizes else float("nan") for both, sizes in counts.tolist()]
