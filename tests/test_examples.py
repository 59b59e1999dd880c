"""The scripts and settings of examples/ go with the package as it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from deepict_dask.config import load_settings
from deepict_dask.config.sweep import CrossValidateSettings, SweepSettings
from deepict_dask.simulation import simulate_cell
from tests.conftest import write_mrc

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, EXAMPLES / script, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("script", sorted(p.name for p in EXAMPLES.glob("*.py")))
def test_scripts_say_how_they_are_used(script):
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


@pytest.mark.parametrize(
    ("name", "kind", "train", "validate"),
    [
        ("crossvalidate_phantom.yaml", CrossValidateSettings, ["TS_1", "TS_2"], []),
        ("sweep_phantom.yaml", SweepSettings, ["TS_1"], ["TS_2"]),
    ],
)
def test_settings_go_with_what_train_phantom_prints(tmp_path, name, kind, train, validate):
    for tomogram in ("TS_1", "TS_2"):
        (tmp_path / tomogram).mkdir()
        (tmp_path / tomogram / "tomogram.mrc.gz").touch()
    options = ("--train", *train, "--validate", *validate, "--classes", "ribosome", "organelle")
    printed = run(
        "train_phantom.py",
        tmp_path,
        *options,
        "--output",
        tmp_path / "out",
        "--set",
        "depth=3",
        "--print-settings",
    )
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "phantom.yaml").write_text(printed.stdout)
    shutil.copy(EXAMPLES / name, tmp_path)
    training = load_settings(tmp_path / name, None, kind).training
    assert training.network.depth == 3 and training.split.validation == (validate or 0.1)
    first = training.tomograms[0]
    assert first.masks == {"organelle": str(tmp_path / "TS_1" / "organelle.mrc.gz")}
    assert first.at_positions(training.class_names) == ("ribosome",)


def test_half_of_a_tomogram_finds_the_other(tmp_path):
    cell = simulate_cell(
        shape=(40, 56, 112), n_ribosome=5, n_fas=0, n_vesicles=0, organelle_radius=0, crowding=0, seed=1
    )
    tomogram = write_mrc(tmp_path / "cell.mrc", cell.tomogram)
    truth = pd.DataFrame(cell.truth)
    truth = truth[truth["class"] == "ribosome"][["z", "y", "x"]]
    truth.to_csv(tmp_path / "cell.csv", index=False)
    settings = ("batch_size=4", "initial_features=2", "depth=1", "threads=1", "loader_workers=0")
    done = run(
        "real_half.py", tomogram, tmp_path / "cell.csv", "--output", tmp_path / "out", "--train", "x=0:56",
        "--test", "x=56:112", "--radius", "6", "--best", "1", "20", "--epochs", "2",
        *(word for s in settings for word in ("--set", s)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    there = int((truth["x"] >= 56).sum())
    assert f"{there} published positions" in done.stdout
    assert (tmp_path / "out" / "particles.csv").exists() and "Laplacian of Gaussian" in done.stdout
