"""Paths in settings are made absolute at all three levels."""

from __future__ import annotations

from deepict_dask.config import Settings, with_paths


def test_paths_of_the_run_of_tomograms_and_of_classes_change_and_nothing_else():
    settings = Settings(
        equalize={"target_spectrum": "t.tsv"},
        pick={"region": {"fas": "r.mrc"}, "threshold": 0.3},
        tomograms={
            "a": {"pick": {"region": "own.mrc"}, "segment": {"model": "n.pth"}},
            "b": {"pick": {"border": 1}},
        },
    )
    changed = with_paths(settings, lambda key, path: f"/{key}/{path}")
    assert changed.equalize.target_spectrum == "/target_spectrum/t.tsv" and changed.segment.model is None
    assert changed.pick.region == {"fas": "/region/r.mrc", "*": None}
    own = changed.for_tomogram("a")
    assert (own.pick.region, own.segment.model) == ("/region/own.mrc", "/model/n.pth")
    assert changed.tomograms["b"] == settings.tomograms["b"] and changed.pick.threshold == 0.3
    assert with_paths(settings, lambda key, path: path) == settings
