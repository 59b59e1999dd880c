"""The bodies of ``evaluate`` and ``merge``."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from deepict_dask.cli.evaluate import evaluate_picks
from deepict_dask.cli.merge import merge_tables
from deepict_dask.errors import OutputExistsError
from deepict_dask.io.tables import read_particles, write_particles
from deepict_dask.particles import Particles
from tests.conftest import write_mrc

OPTIONS = {
    "pair": (),
    "tolerance": 135.0,
    "voxel_size": None,
    "class_name": (),
    "resample": False,
    "threshold": 0.5,
    "truth_value": None,
    "plot": True,
    "overwrite": False,
    "output": None,
}


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.random((40, 3)) * 100
    picks = Particles.from_positions(
        np.concatenate([truth[:30], truth[:10] + 50]), score=rng.random(40), voxel_size=(13.48,) * 3
    )
    return write_particles(picks, tmp_path / "picks.csv"), write_particles(
        Particles.from_positions(truth), tmp_path / "truth.csv"
    )


def test_scores_are_printed_and_written(tables, tmp_path, capsys):
    picks, truth = map(str, tables)
    evaluate_picks(False, picks=picks, truth=truth, **OPTIONS | {"output": tmp_path / "out"})
    said = capsys.readouterr()
    scores = json.loads((tmp_path / "out" / "evaluation.json").read_text())["pooled"][0]
    for name in ("precision", "recall", "f1", "auprc"):
        assert f"{scores[name]:.3f}" in said.out
    assert "precision_recall.png" in said.err
    with pytest.raises(OutputExistsError):
        evaluate_picks(False, picks=picks, truth=truth, **OPTIONS | {"output": tmp_path / "out"})


def test_without_matplotlib_everything_but_the_plot_is_written(tables, tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else find(name, *a)
    )
    picks, truth = map(str, tables)
    evaluate_picks(True, picks=picks, truth=truth, **OPTIONS | {"output": tmp_path / "out"})
    said = capsys.readouterr()
    assert "deepict_dask[plot]" in said.err and said.out == ""
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "curves.csv",
        "evaluation.json",
        "scores.csv",
    ]


def test_volumes_are_compared_voxel_by_voxel(tmp_path, capsys):
    truth = np.zeros((8, 12, 16), np.int8)
    truth[2:4] = 1
    predicted = np.zeros_like(truth)
    predicted[3:6] = 1
    a, b = (str(write_mrc(tmp_path / f"{k}.mrc", v)) for k, v in (("a", predicted), ("b", truth)))
    evaluate_picks(False, picks=a, truth=b, **OPTIONS, workers=1, threads=1, dashboard_port=0)
    assert "0.333" in (said := capsys.readouterr().out) and "0.500" in said and "Dice" in said


def test_merge_writes_the_union(tables, tmp_path, capsys):
    out = tmp_path / "union.csv"
    merge_tables(
        False,
        tables=[str(t) for t in tables],
        output=out,
        abc="50",
        unit="angstrom",
        direction=None,
        class_name=None,
        voxel_size=None,
        first_wins=False,
        overwrite=False,
    )
    assert "80" in capsys.readouterr().out
    assert 40 < len(read_particles(out)) < 80
