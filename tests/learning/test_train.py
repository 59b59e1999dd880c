"""Training as a stage: files in, a model that `segment` uses out."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.config import load_settings
from deepict_dask.config.training import TrainSettings
from deepict_dask.errors import InputError, MissingFileError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.learning.train import make_patches, train
from deepict_dask.learning.training_data import prepare_training_data
from deepict_dask.networks.checkpoint import load_checkpoint, load_model
from deepict_dask.simulation import simulate_cell
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from tests.conftest import write_mrc

CELL = {
    "shape": (28, 60, 68),
    "n_ribosome": 4,
    "n_fas": 2,
    "n_vesicles": 0,
    "organelle_radius": 0,
    "crowding": 0.05,
    "allow_cut": True,
}


class Listening(Reporter):
    def __init__(self):
        self.said, self.warned = [], []

    def say(self, sentence):
        self.said.append(sentence)

    def warn(self, sentence):
        self.warned.append(sentence)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Two cells in files, one int8, with their tables of positions."""
    folder = tmp_path_factory.mktemp("cells")
    for k, name in enumerate(("a", "b")):
        cell = simulate_cell(seed=k, **CELL)
        voxels = cell.tomogram
        if k:
            voxels = np.clip(np.rint(voxels / voxels.std() * 20), -128, 127).astype("i1")
        write_mrc(folder / f"{name}.mrc", voxels)
        pd.DataFrame(cell.truth).to_csv(folder / f"{name}.csv", index=False)
    return folder


def tree(cells, output, **changes):
    settings = {
        "name": "tiny",
        "output": str(output),
        "tomograms": [
            {"tomogram": str(cells / f"{n}.mrc"), "positions": str(cells / f"{n}.csv")} for n in "ab"
        ],
        "classes": [
            {"name": "ribosome", "radius": 6, "unit": "voxels"},
            {"name": "fas", "radius": 8.1, "unit": "nm"},
        ],
        "split": {"validation": ["b"]},
        "network": {"depth": 1, "initial_features": 2},
        "patches": {"patch": 16, "overlap": 2, "patches_per_epoch": 6},
        "fit": {"epochs": 2, "batch_size": 2, "learning_rate": 0.01},
        "augmentation": {"rotation": 180, "gaussian_noise": 0.2},
        "hardware": {"device": "cpu", "threads": 1},
    }
    for key, value in changes.items():
        settings[key] = settings[key] | value if isinstance(settings.get(key), dict) else value
    return settings


def settings(cells, output, **changes):
    return TrainSettings.model_validate(tree(cells, output, **changes))


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    output = tmp_path_factory.mktemp("trained")
    reporter = Listening()
    return train(settings(cells, output), Work(reporter)), output, reporter


def test_the_model_card_says_what_the_network_was_trained_on(trained):
    result, output, reporter = trained
    model = load_model(result.model_path)
    assert result.model_path == Location.of(output / "tiny.safetensors")
    assert model.card.classes == ("ribosome", "fas") and model.architecture.depth == 1
    assert model.card.voxel_size == pytest.approx(13.48)
    assert model.card.training_data == ("a", "b (validation)")
    assert model.card.preprocessing.equalization == "none"
    assert model.card.metrics["validation_loss"] == result.best.validation_loss
    assert model.card.metrics["epoch"] == result.best_epoch
    assert "dice loss" in model.card.description and model.card.package_version
    assert not reporter.warned
    assert sum("epoch" in s and "patches/s" in s for s in reporter.said) == 2


def test_logs_tables_and_pictures_are_written(trained):
    result, output, _ = trained
    rows = list(csv.DictReader((output / "history.csv").open()))
    assert [float(r["validation_loss"]) for r in rows] == [e.validation_loss for e in result.history]
    assert {"dice_ribosome", "dice_fas"} <= set(rows[0])
    assert (output / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(output / "tensorboard")).Reload()
    assert [e.value for e in log.Scalars("loss/validation")] == pytest.approx(
        [e.validation_loss for e in result.history]
    )
    assert len(log.Scalars("dice/fas")) == 2


def test_segment_uses_the_model_as_it_is(trained, cells, tmp_path):
    result, _, _ = trained
    chosen = load_settings(None, {"model": str(result.model_path), "dtype": "float32", "threads": 1})
    (outcome,) = run(
        plan_run([str(cells / "b.mrc")], Location.of(tmp_path), chosen, until="segment"), threads=1
    )
    assert outcome.error is None
    image = open_image(tmp_path / "b" / "probability.zarr")
    assert image.classes == ["ribosome", "fas"] and image.shape == (2, *CELL["shape"])
    assert np.ptp(image.array[:]) > 0


def test_patches_are_standardized_like_inference_and_labelled_at_the_particles(cells, tmp_path):
    chosen = settings(cells, tmp_path, patches={"min_label_fraction": None}, augmentation={"rotation": 0})
    data = prepare_training_data(chosen, Work())
    image = open_image(tmp_path / "data" / "b" / "tomogram.zarr")
    b = data.tomograms[1]
    voxels = image.array[:].astype("f8")
    assert (b.mean, b.std) == (pytest.approx(voxels.mean()), pytest.approx(voxels.std()))
    patches = make_patches(data, chosen)
    place, (x, y) = patches.validation.patches[0], patches.validation[0]
    first = tuple(slice(2, 16) for _ in range(3))  # without the mirrored margin
    assert place.start == (-2, -2, -2) and place.tomogram == "b"
    np.testing.assert_allclose(x[0][first], ((voxels - b.mean) / b.std)[:14, :14, :14], rtol=1e-5, atol=1e-5)
    truth = pd.read_csv(cells / "b.csv")
    grid = np.stack(np.indices(CELL["shape"]), -1)
    for channel, (name, radius) in enumerate((("ribosome", 6), ("fas", 81 / 13.48))):
        centers = truth[truth["class"] == name][["z", "y", "x"]].to_numpy()
        near = (np.linalg.norm(grid[..., None, :] - centers, axis=-1) <= radius).any(-1)
        np.testing.assert_array_equal(b.target[channel, :, :, :], near)
        np.testing.assert_array_equal(y[channel][first], near[:14, :14, :14])


def test_an_interrupted_training_gives_the_same_model(trained, cells, tmp_path):
    class Stop(Exception):
        pass

    def stop(epoch):
        raise Stop

    result, _, _ = trained
    with pytest.raises(Stop):
        train(settings(cells, tmp_path, fit={"epochs": 1}), Work(), on_epoch=stop)
    train(settings(cells, tmp_path, fit={"epochs": 1}), Work())
    reporter = Listening()
    again = train(settings(cells, tmp_path), Work(reporter))
    assert any("goes on after epoch 1" in s for s in reporter.said)
    assert again.model_path.read_bytes() == result.model_path.read_bytes()
    assert len(list(csv.reader((tmp_path / "history.csv").open()))) == 3


def test_a_finished_training_is_not_trained_again_and_other_settings_are_refused(cells, tmp_path):
    first = train(settings(cells, tmp_path, fit={"epochs": 1}), Work())
    before = first.model_path.read_bytes()
    seen = []
    again = train(settings(cells, tmp_path, fit={"epochs": 1}), Work(), on_epoch=seen.append)
    assert not seen and again.history == first.history and again.model_path.read_bytes() == before
    with pytest.raises(OutputExistsError, match="--overwrite"):
        train(settings(cells, tmp_path, fit={"epochs": 1, "loss": "bce"}), Work())
    other = train(settings(cells, tmp_path, fit={"epochs": 1, "loss": "bce"}), Work(overwrite=True))
    assert other.history[0].loss != first.history[0].loss


def test_masks_in_files_are_the_same_as_positions(cells, tmp_path, trained):
    _, output, _ = trained
    made = open_image(output / "data" / "a" / "masks.zarr").array[:]
    own = []
    for n in "ab":
        made = open_image(output / "data" / n / "masks.zarr").array[:]
        for k, c in enumerate(("ribosome", "fas")):
            write_mrc(tmp_path / f"{n}_{c}.mrc", (made[k] * 3).astype("i1"))
    files = {n: {c: str(tmp_path / f"{n}_{c}.mrc") for c in ("ribosome", "fas")} for n in "ab"}
    one = [{"tomogram": str(cells / f"{n}.mrc"), "masks": files[n]} for n in "ab"]
    other = [
        {"tomogram": str(cells / f"{n}.mrc"), "masks": str(output / "data" / n / "masks.zarr")} for n in "ab"
    ]
    positions = tree(cells, tmp_path)["tomograms"]
    # Of one class positions, of the other a volume; and both by name.
    both = [dict(t, masks={"fas": files[n]["fas"]}) for n, t in zip("ab", positions, strict=True)]
    named = [dict(t, positions={"ribosome": t["positions"]}) for t in both]
    for k, tomograms in enumerate((positions, one, other, both, named)):
        data = prepare_training_data(settings(cells, tmp_path / str(k), tomograms=tomograms), Work())
        own.append([t.target[:, :, :, :] for t in data.tomograms])
    for others in own[1:]:
        for ours, theirs in zip(own[0], others, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_class_may_be_missing_in_one_tomogram_but_not_in_all(cells, tmp_path):
    table = pd.read_csv(cells / "a.csv")
    table[table["class"] == "ribosome"].to_csv(tmp_path / "a.csv", index=False)
    tomograms = tree(cells, tmp_path)["tomograms"]
    tomograms[0]["positions"] = str(tmp_path / "a.csv")
    data = prepare_training_data(settings(cells, tmp_path, tomograms=tomograms), Work())
    assert data.tomograms[0].target[0, :, :, :].any() and not data.tomograms[0].target[1, :, :, :].any()
    with pytest.raises(InputError, match="class 'fas' is labelled nowhere in the .* patches to train on"):
        train(settings(cells, tmp_path, tomograms=tomograms), Work())
    reporter = Listening()
    train(
        settings(cells, tmp_path, tomograms=tomograms, split={"validation": ["a"]}, fit={"epochs": 1}),
        Work(reporter),
    )
    assert any("class 'fas' is labelled nowhere in the" in s and "validate" in s for s in reporter.warned)


def test_other_voxel_sizes_are_refused_or_resampled(cells, tmp_path):
    coarse = simulate_cell(seed=3, **CELL)
    write_mrc(tmp_path / "coarse.mrc", coarse.tomogram[:, ::2, ::2][::2], 2 * 13.48)
    truth = pd.DataFrame(coarse.truth)
    truth[["z", "y", "x"]] /= 2
    truth.to_csv(tmp_path / "coarse.csv", index=False)
    tomograms = tree(cells, tmp_path)["tomograms"]
    tomograms[1] = {
        "tomogram": str(tmp_path / "coarse.mrc"), "positions": str(tmp_path / "coarse.csv"), "name": "b",
        "box": {"x": [0, 14]},
    }  # fmt: skip
    with pytest.raises(InputError, match=r"b has voxels of 26.96 A, but a of 13.48 A; set model_voxel_size"):
        prepare_training_data(settings(cells, tmp_path, tomograms=tomograms), Work())
    data = prepare_training_data(
        settings(cells, tmp_path, tomograms=tomograms, model_voxel_size=13.48), Work()
    )
    resampled = data.tomograms[1]
    assert data.voxel_size == 13.48 and resampled.target.shape[1:] == resampled.tomogram.shape
    assert resampled.region[2] == slice(0, round(14 * resampled.tomogram.shape[2] / 34))
    centers = truth[truth["class"] == "ribosome"][["z", "y", "x"]].to_numpy() * 2
    for center in np.rint(centers).astype(int):
        if (center < np.array(resampled.tomogram.shape)).all():
            assert resampled.target[0, center[0], center[1], center[2]] == 1


def test_masks_are_resampled_with_their_tomogram(cells, tmp_path, trained):
    _, output, _ = trained
    made = open_image(output / "data" / "a" / "masks.zarr").array[:]
    files = {}
    for k, c in enumerate(("ribosome", "fas")):
        files[c] = str(write_mrc(tmp_path / f"{c}.mrc", made[k].astype("i1")))
    tomograms = [{"tomogram": str(cells / "a.mrc"), "masks": files}]
    data = prepare_training_data(
        settings(cells, tmp_path, tomograms=tomograms, model_voxel_size=2 * 13.48, patches={"patch": 8}),
        Work(),
    )
    (coarse,) = data.tomograms
    assert coarse.tomogram.shape == tuple((n + 1) // 2 for n in made.shape[1:])
    np.testing.assert_array_equal(coarse.target[:, :, :, :], made[:, ::2, ::2, ::2] > 0)
    np.testing.assert_array_equal(coarse.target[1, 3:9, -5:, :4], made[1, ::2, ::2, ::2][3:9, -5:, :4] > 0)


def test_equalized_training_goes_into_the_card(cells, tmp_path):
    result = train(
        settings(cells, tmp_path, equalize={"target_spectrum": str(cells / "a.mrc")}, fit={"epochs": 1}),
        Work(),
    )
    preprocessing = load_checkpoint(result.model_path).card.preprocessing
    assert preprocessing.equalization == "physical" and preprocessing.target_spectrum == "a.mrc"


def test_one_tomogram_is_split_by_patch(cells, tmp_path):
    one = tree(cells, tmp_path)["tomograms"][:1]
    with pytest.raises(InputError, match="split by patch"):
        train(settings(cells, tmp_path, tomograms=one, split={"validation": 0.3}), Work())
    result = train(
        settings(
            cells,
            tmp_path,
            tomograms=one,
            split={"split": "patch", "validation": 0.3},
            fit={"epochs": 1},
        ),
        Work(),
    )
    card = load_checkpoint(result.model_path).card
    assert card.training_data == ("a",) and "same tomograms" in card.description


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ({"masks": {"ribosome": "nowhere.mrc", "fas": "nowhere.mrc"}}, MissingFileError, "nowhere.mrc"),
        ({"positions": "nowhere.csv"}, MissingFileError, "nowhere.csv"),
        ({"masks": {"ribosome": "FOLDER/short.mrc", "fas": "FOLDER/other.mrc"}}, InputError,
         r"class 'ribosome' .* has 27 x 60 x 68 voxels .*, but the tomogram has 28 x 60 x 68"),
        ({"masks": {"ribosome": "FOLDER/short.mrc", "fas": "FOLDER/short.mrc"}}, InputError,
         r"short.mrc is given for the classes 'ribosome' and 'fas' of .*a.mrc, and holds the values 1; say which"),
        ({"masks": {"ribosome": {"path": "FOLDER/short.mrc", "values": [1, 2]},
                    "fas": {"path": "FOLDER/short.mrc", "values": [2]}}}, InputError, "holds the values 1; say which"),
        ({"masks": {"ribosome": "FOLDER/whole.mrc", "fas": "FOLDER/other.mrc"}}, InputError,
         r"'ribosome' .*whole.mrc is above 0 in all of its 114240 voxels"),
        ({"positions": {"ribosome": "FOLDER/plain.csv", "fas": "FOLDER/plain.csv"}}, InputError,
         "plain.csv is given for the classes 'ribosome' and 'fas', and has no column class"),
        ({"positions": "FOLDER/none.csv"}, InputError, "no particles of class 'ribosome', 'fas', but of tric"),
        ({"positions": "FOLDER/none.csv", "masks": {"fas": "FOLDER/short.mrc"}}, InputError,
         "no particles of class 'ribosome', but of tric"),
        ({"positions": "FOLDER/../NAME/a.csv", "masks": {"fas": "FOLDER/short.mrc"}}, InputError,
         r"class 'fas' .* has 27 x 60 x 68 voxels"),
        ({"positions": "FOLDER/plain.csv"}, InputError, "no column class"),
        ({"masks": "FOLDER/short.mrc"}, InputError, "short.mrc"),
        ({"positions": "FOLDER/none.csv", "name": "b"}, InputError, "called 'b'"),
    ],
)  # fmt: skip
def test_data_that_does_not_fit_is_said(cells, tmp_path, what, kind, said):
    write_mrc(tmp_path / "short.mrc", np.ones((27, 60, 68), "i1"))
    write_mrc(tmp_path / "other.mrc", np.ones((27, 60, 68), "i1"))
    write_mrc(tmp_path / "whole.mrc", np.ones((28, 60, 68), "i1"))
    (tmp_path / "none.csv").write_text("class,z,y,x\ntric,3,4,5\n")
    (tmp_path / "plain.csv").write_text("z,y,x\n3,4,5\n")
    filled = json.loads(
        json.dumps(what).replace("FOLDER/../NAME", str(cells)).replace("FOLDER", str(tmp_path))
    )
    tomograms = tree(cells, tmp_path)["tomograms"]
    tomograms[0] = {"tomogram": tomograms[0]["tomogram"], **filled}
    with pytest.raises(kind, match=said) as error:
        train(settings(cells, tmp_path, tomograms=tomograms), Work())
    assert "\n" not in str(error.value)


def test_without_the_extra_training_goes_on_and_says_what_is_missing(cells, tmp_path, monkeypatch):
    from deepict_dask.learning import diary as training_diary

    monkeypatch.setattr(training_diary, "find_spec", lambda name: None)
    reporter = Listening()
    result = train(settings(cells, tmp_path, fit={"epochs": 1}), Work(reporter))
    assert result.model_path.exists() and not (tmp_path / "learning_curve.png").exists()
    assert any(
        "without tensorboard and matplotlib there are no TensorBoard logs" in s for s in reporter.warned
    )


def test_tomograms_without_particles_are_background(cells, tmp_path):
    (tmp_path / "none.csv").write_text("z,y,x\n")
    write_mrc(tmp_path / "none.mrc", np.zeros((28, 60, 68), "i1"))
    tomograms = tree(cells, tmp_path)["tomograms"]
    empty = [
        {"name": "t", "tomogram": str(cells / "a.mrc"), "positions": str(tmp_path / "none.csv")},
        {"name": "m", "tomogram": str(cells / "a.mrc"),
         "masks": {"ribosome": str(tmp_path / "none.mrc")}, "positions": {"fas": str(tmp_path / "none.csv")}},
    ]  # fmt: skip
    chosen = settings(cells, tmp_path, tomograms=[*tomograms, *empty])
    data = prepare_training_data(chosen, Work())
    assert [bool(t.target[:, :, :, :].any()) for t in data.tomograms] == [True, True, False, False]
    patches = make_patches(data, chosen)
    assert {p.tomogram for p in patches.training.patches} == {"a", "t", "m"}
    assert len({i["target"] if isinstance(i["target"], str) else "m" for i in data.identities.values()}) == 2


def test_a_volume_of_labels_serves_two_classes_by_value(cells, tmp_path):
    labels = np.zeros((28, 60, 68), "i1")
    labels[3:9, 5:20, 7:30], labels[12:20, 30:50, 40:60] = 1, 2
    labels[22:25, 30:50, 40:60] = 3
    write_mrc(tmp_path / "labels.mrc", labels)
    path = str(tmp_path / "labels.mrc")
    masks = {"ribosome": {"path": path, "values": [1]}, "fas": {"path": path, "values": [2, 3]}}
    one = {"tomogram": str(cells / "a.mrc"), "masks": masks}
    data = prepare_training_data(
        settings(cells, tmp_path, tomograms=[one], split={"split": "patch", "validation": 0.3}), Work()
    )
    target = data.tomograms[0].target[:, :, :, :]
    np.testing.assert_array_equal(target, np.stack([labels == 1, labels >= 2]))
    # A value that is nowhere in the file means "nothing here", which is not passed over.
    masks["fas"]["values"] = [2, 7]
    listening = Listening()
    prepare_training_data(
        settings(cells, tmp_path / "b", tomograms=[one], split={"split": "patch", "validation": 0.3}),
        Work(listening),
    )
    (warning,) = [s for s in listening.warned if "no voxel of the value" in s]
    assert "of class 'fas'" in warning and "value 7, and holds the values 1, 2, 3;" in warning


def test_a_radius_in_angstrom_is_named_as_such(cells, tmp_path):
    classes = [{"name": "ribosome", "radius": 135}, {"name": "fas", "radius": 6, "unit": "voxels"}]
    with pytest.raises(
        InputError, match=r"135 nm .* is 200 voxels wide.*in A, the radius is 13.5 nm or 10 voxels"
    ):
        prepare_training_data(settings(cells, tmp_path / "a", classes=classes), Work())
    classes[0] |= {"radius": 10, "unit": "voxels"}
    listening = Listening()
    prepare_training_data(settings(cells, tmp_path / "b", classes=classes), Work(listening))
    assert len(listening.warned) == 2 and "more than a patch of 16; if 10 is in A" in listening.warned[0]


def test_what_has_changed_since_a_training_is_said_in_words(cells, tmp_path):
    (tmp_path / "a.csv").write_text((cells / "a.csv").read_text())
    given = tree(cells, tmp_path / "t", fit={"epochs": 1})
    given["tomograms"][0]["positions"] = str(tmp_path / "a.csv")
    train(TrainSettings.model_validate(given), Work())
    other = given | {"augmentation": {"rotation": 10, "gaussian_noise": 0.2}}
    with pytest.raises(OutputExistsError, match="made with augmentation: rotation 180.0 and not 10.0"):
        train(TrainSettings.model_validate(other), Work())
    rows = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(OutputExistsError, match=r"the positions of a have changed \(class") as error:
        train(TrainSettings.model_validate(given), Work())
    assert "sha256" not in str(error.value)
    elsewhere = given | {"data": str(tmp_path / "elsewhere")}
    with pytest.raises(OutputExistsError, match="the positions of a have changed; use --overwrite"):
        train(TrainSettings.model_validate(elsewhere), Work())
