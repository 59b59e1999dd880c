"""Losses against plain numpy formulas, finite differences and their own claims."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError
from deepict_dask.networks.training.losses import (
    LOSSES,
    dice_loss,
    dice_scores,
    generalized_dice_loss,
    loss_sums,
    overlap_counts,
)


def numpy_loss(name: str, logits: np.ndarray, target: np.ndarray) -> float:
    """The formulas, class by class, in float64."""
    n_classes = logits.shape[1]
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    t = target.astype(np.float64)
    p, t = (np.moveaxis(a, 1, 0).reshape(n_classes, -1) for a in (p, t))
    bce = float(np.mean(-(t * np.log(p) + (1 - t) * np.log(1 - p))))
    dice = float(
        np.mean([1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, t, strict=True)])
    )
    volumes = t.sum(axis=1)
    largest = max([1 / v**2 for v in volumes if v > 0], default=1.0)
    w = np.array([1 / v**2 if v > 0 else largest for v in volumes])
    above = sum(k * (a * b).sum() for k, a, b in zip(w, p, t, strict=True))
    below = sum(k * (a.sum() + b.sum()) for k, a, b in zip(w, p, t, strict=True))
    generalized = float(1 - (2 * above + w.sum()) / (below + w.sum()))
    return {
        "bce": bce,
        "dice": dice,
        "generalized_dice": generalized,
        "dice_bce": dice + bce,
        "generalized_dice_bce": generalized + bce,
    }[name]


def sample(spatial, n=2, classes=3, seed=0, empty=False):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes, *spatial))
    target = rng.random((n, classes, *spatial)) < np.array([0.3, 0.05, 0.6])[:classes].reshape(
        1, -1, *[1] * len(spatial)
    )
    if empty:
        target[:, 1] = False
    return logits, target


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("spatial", [(5, 6, 7), (9, 11)])
@pytest.mark.parametrize("empty", [False, True])
def test_a_loss_is_its_formula_in_two_and_three_dimensions(name, spatial, empty):
    logits, target = sample(spatial, empty=empty)
    ours = LOSSES[name](loss_sums(torch.from_numpy(logits), torch.from_numpy(target)))
    assert ours.item() == pytest.approx(numpy_loss(name, logits, target), rel=1e-12)
    half = LOSSES[name](loss_sums(torch.from_numpy(logits).float(), torch.from_numpy(target)))
    assert half.item() == pytest.approx(ours.item(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name):
    logits, target = sample((3, 2, 3), n=2, classes=2, seed=1)
    x = torch.from_numpy(logits).requires_grad_()
    y = torch.from_numpy(target)
    assert torch.autograd.gradcheck(lambda a: LOSSES[name](loss_sums(a, y)), (x,))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.sampled_from(sorted(LOSSES)))
def test_the_loss_of_the_whole_does_not_depend_on_the_batches(cut, name):
    logits, target = (torch.from_numpy(a) for a in sample((4, 3, 5), n=6))
    whole = LOSSES[name](loss_sums(logits, target))
    parts = loss_sums(logits[:cut], target[:cut]) + loss_sums(logits[cut:], target[cut:])
    assert LOSSES[name](parts).item() == pytest.approx(whole.item(), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_answer_costs_nothing_and_a_wrong_one_costs_more(name):
    _, target = sample((6, 6, 6), classes=2)
    t = torch.from_numpy(target)
    right = (t.double() * 2 - 1) * 40
    values = [LOSSES[name](loss_sums(logits, t)).item() for logits in (right, 0 * right, -right)]
    assert values[0] == pytest.approx(0, abs=1e-9)
    assert values[0] < values[1] < values[2]


def test_for_one_class_generalized_dice_is_dice():
    logits, target = (torch.from_numpy(a) for a in sample((4, 5, 6), classes=1))
    sums = loss_sums(logits, target)
    assert generalized_dice_loss(sums).item() == pytest.approx(dice_loss(sums).item(), rel=1e-12)


def test_generalized_dice_cares_about_a_rare_class_as_much_as_about_a_common_one():
    target = torch.zeros(1, 2, 10, 10, 10)
    target[0, 0, :5] = 1
    target[0, 1, 0, 0, :5] = 1
    right = (target * 2 - 1) * 40
    missed = right.clone()
    missed[0, 1] = -40
    plain, weighted = (f(loss_sums(missed, target)).item() for f in (dice_loss, generalized_dice_loss))
    assert weighted > plain and weighted > 0.7


def test_logits_of_any_size_give_finite_losses():
    target = torch.ones(1, 1, 2, 2, 2)
    for name in LOSSES:
        assert torch.isfinite(LOSSES[name](loss_sums(torch.full_like(target, -1e4), target)))


def test_shapes_that_differ_are_refused_with_both():
    with pytest.raises(InputError, match=r"\(1, 2, 4, 4, 4\).*\(1, 1, 4, 4, 4\)"):
        loss_sums(torch.zeros(1, 2, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4))


def test_dice_scores_are_those_of_sets():
    rng = np.random.default_rng(2)
    logits, target = rng.normal(size=(3, 2, 4, 5)), rng.random((3, 2, 4, 5)) < 0.4
    ours = dice_scores(overlap_counts(torch.from_numpy(logits), torch.from_numpy(target)))
    for c in range(2):
        a, b = set(np.flatnonzero(logits[:, c] > 0)), set(np.flatnonzero(target[:, c]))
        assert ours[c] == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
