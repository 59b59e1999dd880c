"""``deepict-dask crossvalidate`` and ``deepict-dask sweep``: what the commands do with their words."""

from __future__ import annotations

import pytest
import yaml

from deepict_dask.cli.crossvalidate import crossvalidate_network
from deepict_dask.cli.sweep import sweep_hyperparameters
from deepict_dask.config import commented_yaml
from deepict_dask.config.sweep import SweepSettings
from deepict_dask.errors import SettingsError
from deepict_dask.networks.checkpoint import load_checkpoint
from tests.learning.cells import training_tree, write_cells

WORKERS = {"workers": 1, "threads": 2, "memory_limit": "2GB", "dashboard_port": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_cells(tmp_path_factory.mktemp("cells"), "ab")
    (folder / "train.yaml").write_text(yaml.safe_dump(training_tree(folder, "ab", fit={"epochs": 1})))
    return folder


@pytest.mark.parametrize("body", [crossvalidate_network, sweep_hyperparameters])
def test_settings_must_be_given_unless_they_are_asked_for(body, capsys):
    with pytest.raises(SettingsError, match="--defaults >"):
        body(True, settings=None)
    body(True, settings=None, defaults=True)
    assert yaml.safe_load(capsys.readouterr().out)["training"] == "train.yaml"


def test_a_cross_validation_from_file_to_table(folder, capsys):
    content = {"training": "train.yaml", "folds": {"folds": 2}, "cluster": WORKERS, "pick": {"min_size": 5}}
    (folder / "folds.yaml").write_text(yaml.safe_dump(content))
    crossvalidate_network(False, settings=folder / "folds.yaml", output=str(folder / "folds"))
    said = capsys.readouterr()
    assert "Tomograms held out" in said.out and "mean" in said.out and "folds.csv" in said.out
    assert "fold_1: epoch 1 of 1" in said.err and "fold_2 is done" in said.err


def test_a_sweep_from_file_to_the_best_settings(folder, capsys):
    content = {
        "training": "train.yaml",
        "search": {"space": {"initial_features": [2, 3]}},
        "cluster": WORKERS,
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(content))
    sweep_hyperparameters(False, settings=folder / "sweep.yaml", output=str(folder / "sweep"))
    said = capsys.readouterr()
    assert "initial_features" in said.out and "best.yaml" in said.out and " *" in said.out
    best = yaml.safe_load((folder / "sweep" / "best.yaml").read_text())["network"]["initial_features"]
    trained = folder / "sweep" / "trials" / f"initial_features={best}"
    (model,) = trained.glob("*.safetensors")
    assert load_checkpoint(model).architecture.initial_features == best


def test_exit_code_1_where_a_trial_failed(folder, capsys):
    content = {"training": "train.yaml", "search": {"space": {"depth": [1, 6]}}, "cluster": WORKERS}
    (folder / "failing.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SystemExit) as stop:
        sweep_hyperparameters(True, settings=folder / "failing.yaml", output=str(folder / "sweep2"))
    assert stop.value.code == 1 and "multiple of 2**depth = 64" in capsys.readouterr().err


def test_defaults_with_a_file_print_what_it_means(folder, capsys):
    content = {"training": "train.yaml", "folds": {"folds": 2}}
    (folder / "some.yaml").write_text(yaml.safe_dump(content))
    sweep_hyperparameters(True, settings=folder / "some.yaml", defaults=True)
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["folds"]["folds"] == 2 and printed["training"]["name"] == "tiny"
    assert SweepSettings.model_validate(printed).search.method == "paper"
    assert "# Values to try" in commented_yaml(SweepSettings.example())
