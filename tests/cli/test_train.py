"""``deepict-dask train``: what the command does with its words."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from deepict_dask.cli.terminal import TerminalReporter
from deepict_dask.cli.train import _show, train_network
from deepict_dask.config import load_settings
from deepict_dask.config.training import EXAMPLE, TrainSettings
from deepict_dask.errors import SettingsError
from deepict_dask.io.location import Location
from deepict_dask.learning.train import TrainingResult
from deepict_dask.networks.checkpoint import load_model
from deepict_dask.networks.training.recipe import Epoch
from deepict_dask.simulation import simulate_cell
from tests.conftest import write_mrc


@pytest.fixture
def file(tmp_path):
    cell = simulate_cell(
        shape=(28, 48, 52),
        n_ribosome=2,
        n_fas=0,
        n_vesicles=0,
        organelle_radius=0,
        crowding=0,
        allow_cut=True,
    )
    write_mrc(tmp_path / "cell.mrc", cell.tomogram)
    pd.DataFrame(cell.truth).to_csv(tmp_path / "cell.csv", index=False)
    content = {
        "output": str(tmp_path / "out"),
        "tomograms": [{"tomogram": str(tmp_path / "cell.mrc"), "positions": str(tmp_path / "cell.csv")}],
        "classes": [{"name": "ribosome", "radius": 6, "unit": "voxels"}],
        "split": {"split": "patch", "validation": 0.3},
        "network": {"depth": 1, "initial_features": 2},
        "patches": {"patch": 16, "overlap": 2, "patches_per_epoch": 4},
        "hardware": {"device": "cpu", "threads": 1},
    }
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_settings_in_a_model_out(file, capsys):
    train_network(True, settings=file, epochs=1, name="net", gpus=None, assign=["initial-features=3"])
    assert capsys.readouterr().out == ""
    model = load_model(file.parent / "out" / "net.safetensors")
    assert model.architecture.initial_features == 3 and model.card.metrics["epoch"] == 1
    train_network(False, settings=file, epochs=1, name="net", assign=["initial-features=3"])
    said = capsys.readouterr().out
    assert "ribosome" in said and "patches/s" in said and "deepict-dask run TOMOGRAM.mrc --model" in said


@pytest.mark.parametrize(("dice", "is_offered"), [((0.4,), True), ((0.0,), False), ((float("nan"),), True)])
def test_a_network_that_never_learned_is_not_offered(file, capsys, dice, is_offered):
    epoch = Epoch(1, 1.0, 1.0, dice, 1e-3, 1.0, 1.0, True)
    result = TrainingResult(Location.of("out/net.safetensors"), (epoch,), 1, 1.0, 1.0, "all 1 epochs")
    _show(load_settings(file, None, TrainSettings), result)
    said = capsys.readouterr().out
    assert ("deepict-dask run TOMOGRAM.mrc --model" in said) == is_offered
    assert ("found nothing of ribosome" in said) != is_offered


def test_defaults_are_printed_to_be_filled_in(file, capsys, tmp_path):
    train_network(False, settings=None, defaults=True)
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert load_settings(tmp_path / "printed.yaml", None, TrainSettings) == EXAMPLE
    train_network(False, settings=file, defaults=True, epochs=7)
    assert yaml.safe_load(capsys.readouterr().out)["fit"]["epochs"] == 7


def test_values_of_other_settings_are_read_as_in_a_file_and_text_as_it_is(file, capsys):
    pairs = ["name=00255", "learning-rate=1e-3", "validation=0.25", "data=null", "description=on: off"]
    train_network(False, settings=file, defaults=True, assign=pairs)
    chosen = yaml.safe_load(capsys.readouterr().out)
    assert (chosen["name"], chosen["description"], chosen["data"]) == ("00255", "on: off", None)
    assert chosen["fit"]["learning_rate"] == 0.001 and chosen["split"]["validation"] == 0.25


def test_mistakes_on_the_command_line_are_said(file):
    with pytest.raises(SettingsError, match="train --defaults > train.yaml"):
        train_network(False, settings=None)
    with pytest.raises(SettingsError, match="KEY=VALUE"):
        train_network(False, settings=file, assign=["depth"])
    with pytest.raises(SettingsError, match="no setting 'dept'; did you mean depth"):
        train_network(False, settings=file, assign=["dept=3"])
    with pytest.raises(SettingsError, match="YAML"):
        train_network(False, settings=file, assign=["depth={"])


def test_the_last_line_of_a_stage_that_ended_early_says_how_far_it_came(capsys):
    reporter = TerminalReporter()
    for done in (3, 8, 0):
        with reporter.progress("train", "net", 8, "step") as advance:
            advance(done)
    first, second, third = (line.partition(" in ")[0] for line in capsys.readouterr().err.splitlines())
    assert first == "net: train done, 3 of 8 steps"
    # What is stored in one call counts no blocks.
    assert second == third == "net: train done, 8 steps"
