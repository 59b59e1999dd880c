"""Training settings: printed, read back, refused with a sentence."""

from __future__ import annotations

import pytest
import yaml

from deepict_dask.config import commented_yaml, load_settings
from deepict_dask.config.section import keys_of, meanings, section_of
from deepict_dask.config.training import EXAMPLE, TrainSettings
from deepict_dask.errors import MissingFileError, SettingsError

BASE = """
tomograms:
  - {tomogram: a.mrc, positions: a.csv}
  - {tomogram: b.mrc, positions: b.csv, name: second, box: {x: [0, 128]}}
classes:
  - {name: ribosome, radius: 8, unit: voxels}
  - {name: fas, radius: 10, unit: voxels}
"""


def write(tmp_path, text):
    path = tmp_path / "train.yaml"
    path.write_text(text)
    return path


def test_printed_defaults_read_back_as_the_defaults(tmp_path):
    assert load_settings(write(tmp_path, commented_yaml(EXAMPLE)), None, TrainSettings) == EXAMPLE


def test_printed_settings_read_back_as_themselves(tmp_path):
    given = load_settings(
        write(tmp_path, BASE), {"epochs": 3, "rotation": 180.0, "output": "x"}, TrainSettings
    )
    assert load_settings(write(tmp_path, commented_yaml(given)), None, TrainSettings) == given
    assert given.tomograms[1].box == {"x": [0, 128]} and given.class_names == ("ribosome", "fas")


def test_every_setting_says_what_it_means():
    for name, field in TrainSettings.model_fields.items():
        if field.default is not None and name not in ("name", "output", "description", "license"):
            section = type(field.default)
            if hasattr(section, "__mro__") and name in (
                "split",
                "network",
                "patches",
                "fit",
                "hardware",
                "augmentation",
            ):
                known = meanings(section)
                keys = yaml.safe_load(commented_yaml(EXAMPLE))[name]
                assert set(known) == set(keys) and all(known[k].endswith(".") for k in keys), name
        else:
            assert field.description and field.description.endswith(".")


def test_names_are_distinct_over_all_sections_so_that_options_need_no_prefix():
    sections = yaml.safe_load(commented_yaml(EXAMPLE))
    names = [k for v in sections.values() if isinstance(v, dict) for k in v]
    names += [k for k, v in sections.items() if not isinstance(v, dict)]
    sections = {name: section_of(field) for name, field in TrainSettings.model_fields.items()}
    keys = {key for name, section in sections.items() for key in (keys_of(section) if section else [name])}
    assert len(names) == len(set(names)) and set(names) == keys


def test_options_win_over_the_file(tmp_path):
    path = write(tmp_path, BASE + "fit: {epochs: 7, learning_rate: 0.01}\naugmentation: {flips: false}\n")
    given = load_settings(path, {"epochs": 9, "seed": None, "elastic": 2.0, "depth": 3}, TrainSettings)
    assert (given.fit.epochs, given.fit.learning_rate, given.fit.seed) == (9, 0.01, 0)
    assert given.augmentation.elastic == 2 and not given.augmentation.flips
    assert given.architecture.depth == 3 and given.architecture.out_classes == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("fit: {epoch: 3}", "no setting 'fit.epoch'"),
        ("epochs: 3", "no setting 'epochs'"),
        ("augmentation: {flip: true}", "no setting 'augmentation.flip'"),
        ("augmentation: {rotation: 270}", "rotation is 270"),
        ("fit: {learning_rate: 0}", "fit.learning_rate is 0"),
        ("fit: {loss: dise}", "fit.loss is 'dise'"),
        (
            "network: {depth: 3}\npatches: {patch: 60}",
            "a patch of 60 voxels is no multiple of 2**depth = 8; use 64",
        ),
        ("patches: {overlap: 40}", "an overlap of 40 leaves nothing of a patch of 64"),
        ("split: {split: patch, validation: [second]}", "must be a share such as 0.2"),
        ("split: {validation: 1.5}", "split.validation"),
        ("name: a/b", "name: the name 'a/b' holds '/', and a name is never a path"),
        ("name: 00255", 'name is 00255, which is no text to YAML; write it in quotes: "00255"'),
        ("fit: 3", "fit is 3, but must hold `key: value` lines"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(tmp_path, more, said):
    with pytest.raises(SettingsError) as error:
        load_settings(write(tmp_path, BASE + more), None, TrainSettings)
    assert said in str(error.value) and "\n" not in str(error.value) and "train.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("classes: [{name: a, radius: 3}]", "tomograms is missing"),
        ("tomograms: []\nclasses: [{name: a}]", "tomograms is []"),
        ("tomograms: [{tomogram: a.mrc}]\nclasses: [{name: a}]", "a.mrc needs positions or masks"),
        (
            "tomograms: [{tomogram: a.mrc, positions: a.csv}]\nclasses: [{name: a}]",
            "positions of class 'a', which has no radius",
        ),
        (
            "tomograms: [{tomogram: a.mrc, masks: {a: m.mrc}}]\nclasses: [{name: a}, {name: b}]",
            "a.mrc names no masks for class 'b'",
        ),
        (
            "tomograms: [{tomogram: a.mrc, positions: {a: a.csv}, masks: {c: m.mrc}}]\n"
            "classes: [{name: a, radius: 1}, {name: b}, {name: c}]",
            "a.mrc names no positions and no mask for class 'b'",
        ),
        (
            "tomograms: [{tomogram: a.mrc, positions: {a: a.csv}, masks: {a: m.mrc}}]\nclasses: [{name: a, radius: 1}]",
            "a.mrc has positions and a mask of class 'a'",
        ),
        (
            "tomograms: [{tomogram: a.mrc, positions: a.csv, masks: m.zarr}]\nclasses: [{name: a, radius: 1}]",
            "beside positions name a volume per class",
        ),
        (
            "tomograms: [{tomogram: a.mrc, masks: {a: m.mrc, c: n.mrc}}]\nclasses: [{name: a}]",
            "a.mrc names masks for class 'c'",
        ),
        (
            "tomograms: [{tomogram: a.mrc, positions: a.csv}]\nclasses: [{name: a, radius: 1}, {name: b}]",
            "positions of class 'b', which has no radius",
        ),
        (
            "tomograms: [{tomogram: a.mrc, positions: a.csv}]\nclasses: [{name: a, radius: 1}, {name: a, radius: 1}]",
            "class 'a' is named twice",
        ),
        (
            "tomograms: [{tomogram: a.mrc, positions: a.csv, box: {x: [9, 3]}}]\nclasses: [{name: a, radius: 1}]",
            "x from 9 to 3 holds nothing",
        ),
        ("- a", "must hold keys"),
        ("tomograms: {", "not readable as YAML"),
    ],
)
def test_incomplete_settings_are_refused(tmp_path, text, said):
    with pytest.raises(SettingsError) as error:
        load_settings(write(tmp_path, text), None, TrainSettings)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_and_an_unknown_option_say_how_to_go_on(tmp_path):
    with pytest.raises(MissingFileError, match="train --defaults >"):
        load_settings(tmp_path / "none.yaml", None, TrainSettings)
    with pytest.raises(SettingsError, match="no setting 'epoch'; did you mean epochs"):
        load_settings(write(tmp_path, BASE), {"epoch": 1}, TrainSettings)
