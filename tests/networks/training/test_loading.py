"""Batches: equal shares, whoever loads them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError
from deepict_dask.networks.training.loading import EpochBatches, SampledOrder, shuffled
from deepict_dask.networks.training.processes import team_size


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5))
def test_every_patch_is_seen_and_all_processes_have_as_many_steps(n, size, per_process, epoch):
    batches = [EpochBatches(shuffled(n, 7), size * per_process, rank, size) for rank in range(size)]
    for b in batches:
        b.epoch = epoch
    shares = [list(b) for b in batches]
    assert {len(s) for s in shares} == {len(batches[0])}
    for step in zip(*shares, strict=True):
        assert len({len(part) for part in step}) == 1
    seen = Counter(i for share in shares for part in share for i in part)
    assert set(seen) == set(range(n)) and sum(seen.values()) - n < size


def test_epochs_differ_and_repeat():
    order = shuffled(50, seed=1)
    assert order(1) != order(2) and order(1) == order(1) and sorted(order(2)) == list(range(50))
    assert order(1) != shuffled(50, seed=2)(1)


def test_a_sampler_is_told_the_epoch():
    class Sampler:
        def set_epoch(self, epoch):
            self.epoch = epoch

        def __iter__(self):
            return iter([self.epoch, 3])

    assert SampledOrder(Sampler())(5) == [5, 3]


def test_a_team_is_as_large_as_a_batch_can_be_shared(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert team_size("cuda", None, 8) == 4 and team_size("cuda", None, 6) == 3
    assert team_size("cpu", None, 8) == 1
    with pytest.raises(InputError, match="torch finds 4; use gpus: 4"):
        team_size("cuda", 5, 10)
    with pytest.raises(InputError, match="multiple of 4"):
        team_size("cuda", 4, 6)
