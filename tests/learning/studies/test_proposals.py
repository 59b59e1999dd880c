"""Which hyperparameters are tried, in what order, and what is kept."""

from __future__ import annotations

import itertools

import pytest

from deepict_dask.config.sweep import PAPER_ORDER, SearchSettings
from deepict_dask.config.training import EXAMPLE
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.learning.studies.proposals import GridSearch, PaperSearch

SPACE = {
    "depth": [1, 2, 3],
    "initial_features": [4, 8],
    "batch_norm": [False, True],
    "encoder_dropout": [0.0, 0.2],
}
BEST = {"depth": 3, "initial_features": 4, "batch_norm": True, "encoder_dropout": 0.2}


def closeness(chosen):
    return sum(chosen[n] == v for n, v in BEST.items()) / len(BEST)


def ask_all(search):
    found = []
    while (proposal := search.take()) is not None:
        found.append(proposal)
    return found


def test_the_default_space_is_the_papers():
    assert tuple(SearchSettings().space) == PAPER_ORDER


def test_the_papers_search_takes_one_hyperparameter_after_the_other_and_keeps_the_best():
    search, rounds = PaperSearch(SPACE, EXAMPLE), []
    while tried := ask_all(search):
        rounds.append([p.chosen for p in tried])
        for proposal in reversed(tried):
            search.done(proposal, closeness(proposal.chosen))
    base = {"initial_features": 8, "batch_norm": True, "encoder_dropout": 0.0}
    assert rounds == [
        [{"depth": d, **base} for d in (1, 2, 3)],
        # 8 features were tried with depth 3 already, and so on.
        [{"depth": 3, **base, "initial_features": 4}],
        [{"depth": 3, **base, "initial_features": 4, "batch_norm": False}],
        [BEST],
    ]
    assert search.best == BEST and search.take() is None


def test_failed_values_are_passed_over_and_a_worse_one_does_not_replace_the_best():
    search = PaperSearch({"depth": [1, 2, 3], "encoder_dropout": [0.1, 0.3]}, EXAMPLE)
    scores = iter([None, 0.4, None])
    for proposal in ask_all(search):
        search.done(proposal, next(scores))
    assert search.best["depth"] == 2
    for proposal in ask_all(search):
        assert proposal.chosen["depth"] == 2
        search.done(proposal, 0.3)
    # 0.0 is not among the values to try, but it is what the best so far was scored with.
    assert search.best == {"depth": 2, "encoder_dropout": 0.0}


def test_where_all_fail_the_search_goes_on_from_the_settings():
    search = PaperSearch({"depth": [1], "batch_norm": [False]}, EXAMPLE)
    for _ in range(2):
        (proposal,) = ask_all(search)
        search.done(proposal, None)
    assert proposal.chosen == {"depth": 2, "batch_norm": False} and search.take() is None


def test_the_grid_has_every_combination_once():
    tried = [p.chosen for p in ask_all(GridSearch(SPACE))]
    assert [tuple(c.values()) for c in tried] == list(itertools.product(*SPACE.values()))
    assert len(tried) == SearchSettings(space=SPACE).size == 24


def optuna_search(folder, **changes):
    pytest.importorskip("optuna")
    from deepict_dask.learning.studies.proposals import OptunaSearch

    options = {"made_by": {"on": "data"}, "overwrite": False}
    own = {k: changes.pop(k) for k in tuple(options) if k in changes}
    settings = SearchSettings.model_validate({"method": "optuna", "space": SPACE, "trials": 8, **changes})
    return OptunaSearch(Location.of(folder), settings, **(options | own))


def test_a_study_goes_on_where_it_ended_and_counts_what_was_done(tmp_path):
    search = optuna_search(tmp_path, trials=3)
    for proposal in (search.take(), search.take(), search.take()):
        search.done(proposal, closeness(proposal.chosen))
    assert search.take() is None
    again = optuna_search(tmp_path, trials=5)
    assert again.n_before == 3
    tried = ask_all(again)
    assert [p.number for p in tried] == [4, 5]
    again.done(tried[0], 0.9)
    again.done(tried[1], None)
    # A failed trial does not count: there is one more to do.
    third = optuna_search(tmp_path, trials=5)
    assert third.n_before == 4 and len(ask_all(third)) == 1
    assert third.study.best_trial.number == 3


def test_what_was_interrupted_is_proposed_again(tmp_path):
    search = optuna_search(tmp_path, trials=3)
    search.done(search.take(), 0.1)
    lost = [search.take(), search.take()]
    again = optuna_search(tmp_path, trials=3)
    assert [p.chosen for p in ask_all(again)] == [p.chosen for p in lost]


def test_another_study_is_refused_or_replaced(tmp_path):
    search = optuna_search(tmp_path)
    search.done(search.take(), 0.1)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        optuna_search(tmp_path, made_by={"on": "other data"})
    anew = optuna_search(tmp_path, made_by={"on": "other data"}, overwrite=True)
    assert anew.n_before == 0 and anew.take().number == 1


def test_trainings_below_the_median_are_ended_after_the_first_epochs(tmp_path):
    search = optuna_search(tmp_path, prune=True, prune_after=2)
    for _ in range(3):
        proposal = search.take()
        assert all(search.report(proposal, epoch, 0.5) for epoch in (1, 2, 3))
        search.done(proposal, 0.5)
    worse, better = search.take(), search.take()
    assert [search.report(worse, epoch, 0.1) for epoch in (1, 2)] == [True, False]
    assert all(search.report(better, epoch, 0.9) for epoch in (1, 2, 3))
    search.done(worse, 0.1, pruned=True)
    assert search.earlier()[-1][1:] == ("pruned", 0.1)


def test_without_optuna_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    from deepict_dask.learning.studies import proposals as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"pip install 'deepict_dask\[train\]', or use the method paper or grid"
    ):
        module.OptunaSearch(tmp_path, SearchSettings(method="optuna"), {})
