"""Settings of cross-validations and sweeps."""

from __future__ import annotations

import pytest
import yaml

from deepict_dask.config import commented_yaml, load_settings
from deepict_dask.config.sweep import CrossValidateSettings, SweepSettings, with_hyperparameters
from deepict_dask.config.training import EXAMPLE
from deepict_dask.errors import MissingFileError, SettingsError

TRAINING = {
    "tomograms": [{"tomogram": "a.mrc", "positions": "a.csv"}, {"tomogram": "b.mrc", "positions": "b.csv"}],
    "classes": [{"name": "ribosome", "radius": 10.8}],
}
MODELS = (CrossValidateSettings, SweepSettings)


def write(folder, content):
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("model", MODELS)
def test_what_defaults_prints_can_be_read_again_and_says_the_same(model, tmp_path):
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(TRAINING))
    path = tmp_path / "settings.yaml"
    path.write_text(commented_yaml(model.example()))
    settings = load_settings(path, None, model)
    assert settings == model(training=TRAINING)
    path.write_text(commented_yaml(settings))
    assert load_settings(path, None, model) == settings


def test_options_win_over_the_file(tmp_path):
    path = write(tmp_path, {"training": TRAINING, "output": "a", "cluster": {"workers": 3}})
    found = load_settings(path, {"output": "b", "workers": 2, "threads": None, "at_once": 1}, SweepSettings)
    assert (found.output, found.cluster.workers, found.cluster.threads, found.at_once) == ("b", 2, None, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fold": 3}, "there is no setting 'fold'"),
        ({"search": {"method": "random"}}, "search.method is 'random'"),
        ({"search": {"space": {"width": [1]}}}, "no hyperparameter 'width' to search; there are "),
        ({"search": {"space": {"epochs": [1]}}}, "no hyperparameter 'epochs'"),
        ({"search": {"space": {"depth": [1, 1]}}}, "depth has a value twice"),
        ({"search": {"space": {"depth": []}}}, "search.space.depth"),
        ({"search": {"score": "f1"}}, "the score f1 needs tomograms that are held out; set folds"),
        ({"search": {"prune": True}}, "only optuna prunes"),
        ({"folds": {"folds": 1}}, "folds.folds"),
        ({"folds": {"folds": [["a"]], "held_out": 1}}, "held_out must be left out"),
        (
            {"folds": {}, "training": TRAINING | {"split": {"validation": ["a"]}}},
            "must be a share, such as 0.2",
        ),
        ({"segment": {"model": "net.pth"}}, "segment.model must be left out"),
        ({"training": TRAINING | {"fit": {"epoch": 1}}}, "there is no setting 'training.fit.epoch'"),
        ({"training": None}, "training is missing"),
    ],
)
def test_mistakes_are_said_in_a_sentence(changes, said, tmp_path):
    path = write(tmp_path, {"training": TRAINING} | changes)
    with pytest.raises(SettingsError) as error:
        load_settings(path, None, SweepSettings)
    assert said in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(MissingFileError, match="deepict-dask crossvalidate --defaults >"):
        load_settings(tmp_path / "none.yaml", None, CrossValidateSettings)


def test_hyperparameters_keep_their_types_and_reach_the_settings():
    space = {
        "depth": [1, 2],
        "batch_norm": [False, True],
        "encoder_dropout": [0.0, 0.1],
        "loss": ["dice", "bce"],
    }
    settings = SweepSettings(training=TRAINING, search={"space": space})
    for name, values in settings.search.space.items():
        assert [type(v) for v in values] == [type(v) for v in space[name]]
    chosen = {"depth": 3, "batch_norm": False, "encoder_dropout": 0.1, "loss": "bce"}
    found = with_hyperparameters(EXAMPLE, chosen)
    assert (found.network.depth, found.network.batch_norm, found.fit.loss) == (3, False, "bce")
    assert (
        with_hyperparameters(
            found, {n: getattr(EXAMPLE.network, n) for n in chosen if n != "loss"} | {"loss": "dice"}
        )
        == EXAMPLE
    )
