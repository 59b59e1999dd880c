"""Splits that share nothing, and orders that depend on seed and epoch alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from deepict_dask.errors import InputError
from deepict_dask.kernels.patches import PatchIndex
from deepict_dask.networks.training.sampling import balanced_sampler, shuffled_sampler, split_patches


def of(names):
    return [PatchIndex((k, 0, 0), (1,), name) for k, name in enumerate(names)]


def test_a_split_by_tomogram_shares_no_tomogram():
    patches = of("aabbbcccddee")
    train, validation = split_patches(patches, 0.4, seed=3)
    assert {p.tomogram for p in train} & {p.tomogram for p in validation} == set()
    assert len({p.tomogram for p in validation}) == 2
    assert sorted(train + validation, key=patches.index) == patches
    assert split_patches(patches, 0.4, seed=3) == (train, validation)
    assert len({split_patches(patches, 0.4, seed=s)[1][0].tomogram for s in range(10)}) > 1


def test_a_split_by_name_takes_those_named():
    assert {p.tomogram for p in split_patches(of("aabbcc"), ["b", "c"])[1]} == {"b", "c"}


def test_a_split_by_patch_takes_the_same_share_of_every_tomogram():
    _, validation = split_patches(of("a" * 10 + "b" * 20), 0.2, by="patch")
    assert [p.tomogram for p in validation].count("a") == 2
    assert [p.tomogram for p in validation].count("b") == 4


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        ("aaaa", {}, "split by patch"),
        ("ab", {"validation": ["c"]}, "'?c'? to validate with has no patches"),
        ("ab", {"validation": ["a", "b"]}, "leave 0 to train on"),
        ("ab", {"by": "patch"}, "more patches"),
        ("ab", {"by": "day"}, "not by 'day'"),
        ("ab", {"validation": 1.5}, "between 0 and 1"),
    ],
)
def test_a_split_that_leaves_nothing_is_refused(names, options, words):
    with pytest.raises(InputError, match=words):
        split_patches(of(names), **options)


def holding(counts):
    return SimpleNamespace(patches=[PatchIndex((0, 0, 0), c, "a") for c in counts])


def test_a_balanced_sampler_shows_rare_classes_as_often():
    counts = [(5, 0)] * 90 + [(0, 3)] * 6 + [(0, 0)] * 30
    sampler = balanced_sampler(holding(counts), 1, n_samples=6000)
    drawn = [counts[i % len(counts)] for i in sampler]
    for kind in set(counts):
        assert drawn.count(kind) == pytest.approx(2000, rel=0.1)
    assert len(set(sampler)) == len(sampler) == 6000  # repetitions have indices of their own


def test_a_patch_of_two_classes_counts_for_both():
    counts = [(1, 0)] * 50 + [(1, 1)] * 10
    drawn = [i % 60 for i in balanced_sampler(holding(counts), n_samples=4000)]
    # (10 / 60 + 1) to 50 / 60
    assert sum(i >= 50 for i in drawn) / 4000 == pytest.approx(7 / 12, abs=0.03)


def test_a_shuffled_sampler_gives_every_patch_once_and_then_again():
    dataset = holding([(1,)] * 40)
    sampler = shuffled_sampler(dataset, 3)
    first = list(sampler)
    assert sorted(first) == list(range(40)) and first == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert sorted(shuffled_sampler(dataset, 3, n_samples=80)) == list(range(80))


@pytest.mark.parametrize("make", [balanced_sampler, shuffled_sampler])
def test_epochs_and_seeds_have_orders_of_their_own(make):
    dataset, orders = holding([(1,)] * 40), []
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        sampler = make(dataset, seed)
        sampler.set_epoch(epoch)
        orders.append(tuple(sampler))
        assert orders[-1] == tuple(sampler)
    assert len(set(orders)) == 3
