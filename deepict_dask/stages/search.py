"""Which hyperparameters to try next: all combinations, or one hyperparameter after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

from deepict_dask.config.sweep import hyperparameter
from deepict_dask.config.training import TrainSettings

Chosen = dict[str, Any]


@dataclass(frozen=True)
class Proposal:
    """Hyperparameters to try.

    Attributes
    ----------
    chosen : dict
        Name to value.
    number : int
        Of the trial, from 1.
    """

    chosen: Chosen
    number: int


class Search(Protocol):
    """What a sweep asks for choices and tells of results."""

    def take(self) -> Proposal | None:
        """Give what to try next; None if there is nothing now, or nothing any more."""

    def heard(self, proposal: Proposal, epoch: int, value: float) -> bool:
        """Hear of an epoch; say whether the training should go on."""

    def done(self, proposal: Proposal, score: float | None, *, pruned: bool = False) -> None:
        """Hear of the score; None if the trial failed."""


class GridSearch:
    """Tries every combination, the last hyperparameter changing fastest."""

    def __init__(self, space: Mapping[str, Sequence[Any]]):
        combinations = product(*space.values())
        self._left = [Proposal(dict(zip(space, c, strict=True)), k) for k, c in enumerate(combinations, 1)]

    def take(self) -> Proposal | None:
        """Give the next combination."""
        return self._left.pop(0) if self._left else None

    def heard(self, proposal: Proposal, epoch: int, value: float) -> bool:
        """Let every training go on."""
        return True

    def done(self, proposal: Proposal, score: float | None, *, pruned: bool = False) -> None:
        """Nothing depends on scores."""


class PaperSearch:
    """Tries all values of the first hyperparameter, keeps the best, goes on to the next.

    The first values of the others are those of the training settings. What was kept is a contender at every step, and
    stays if none is better; a choice that was scored before is not tried again.

    Parameters
    ----------
    space : mapping of str to sequence
        Values of each, in the order in which to try them.
    training : TrainSettings
        Where to begin.

    Examples
    --------
    >>> from deepict_dask.config.training import EXAMPLE
    >>> search = PaperSearch({"depth": [1, 2], "batch_norm": [False, True]}, EXAMPLE)
    >>> for score in (0.3, 0.7):
    ...     search.done(search.take(), score)
    >>> search.take().chosen
    {'depth': 2, 'batch_norm': False}
    """

    def __init__(self, space: Mapping[str, Sequence[Any]], training: TrainSettings):
        self.space = {name: list(values) for name, values in space.items()}
        self.best: Chosen = {name: hyperparameter(training, name) for name in space}
        self.scores: dict[tuple[Any, ...], float | None] = {}
        self._names = list(space)
        self._waiting: list[Chosen] = []
        self._out: list[Chosen] = []
        self._number = 0
        self._begin()

    def take(self) -> Proposal | None:
        """Give the next value of the present hyperparameter; None while its last ones are awaited."""
        if not self._waiting:
            return None
        chosen = self._waiting.pop(0)
        self._out.append(chosen)
        self._number += 1
        return Proposal(chosen, self._number)

    def heard(self, proposal: Proposal, epoch: int, value: float) -> bool:
        """Let every training go on."""
        return True

    def done(self, proposal: Proposal, score: float | None, *, pruned: bool = False) -> None:
        """Note a score; with the last of a hyperparameter, keep the best and go on to the next."""
        self._out.remove(proposal.chosen)
        self.scores[_key(proposal.chosen)] = score
        while self._names and not self._waiting and not self._out:
            self._keep(self._names.pop(0))
            self._begin()

    def _begin(self) -> None:
        if self._names:
            candidates = [self.best | {self._names[0]: value} for value in self.space[self._names[0]]]
            self._waiting = [c for c in candidates if _key(c) not in self.scores]

    def _keep(self, name: str) -> None:
        """Choose the best value, the first of those that are equal; what was kept before comes first of all."""
        candidates = [self.best, *(self.best | {name: value} for value in self.space[name])]
        scored = [(self.scores.get(_key(c)), c) for c in candidates]
        known = [(score, c) for score, c in scored if score is not None]
        if known:
            self.best = max(known, key=lambda pair: pair[0])[1]


def _key(chosen: Chosen) -> tuple[Any, ...]:
    return tuple((type(v) is bool, v) for v in chosen.values())
