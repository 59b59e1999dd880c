"""Settings: one word per thing, everything validated, errors that name the key."""

from __future__ import annotations

import pytest
import yaml

from deepict_dask.config import Settings, commented_yaml, load_settings
from deepict_dask.config.section import section_of
from deepict_dask.errors import MissingFileError, SettingsError

SECTIONS = [section for field in Settings.model_fields.values() if (section := section_of(field))]


def test_printed_defaults_read_back_as_the_defaults(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(commented_yaml())
    assert load_settings(path) == Settings()
    assert all(isinstance(value, dict) for value in yaml.safe_load(commented_yaml()).values()), (
        "every section holds keys"
    )


def test_names_are_distinct_over_all_sections_so_that_options_need_no_prefix():
    names = [n for section in SECTIONS for n in section.model_fields]
    assert len(names) == len(set(names))


def test_every_setting_says_what_it_means():
    for section in (*SECTIONS, Settings):
        for name, field in section.model_fields.items():
            if section_of(field):
                continue
            assert field.description and field.description.endswith((".", ")")), name


def test_options_win_over_the_file(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("pick:\n  threshold: 0.4\n  min_size: 7\n")
    settings = load_settings(path, {"threshold": 0.6, "border": "2,3,1", "max_size": None})
    assert (settings.pick.threshold, settings.pick.min_size, settings.pick.border) == (0.6, 7, (2, 3, 1))


def test_one_number_stands_for_three_axes():
    settings = load_settings(None, {"border": "4", "voxel_size": 13.48})
    assert settings.pick.border == (4, 4, 4)
    assert settings.ingest.voxel_size == (13.48, 13.48, 13.48)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pick:\n  treshold: 0.4\n", "pick.treshold"),
        ("pik:\n  threshold: 0.4\n", "no setting 'pik'; did you mean pick? at the top has ingest, "),
        ("pick:\n  threshold: 1.5\n", "pick.threshold is 1.5"),
        ("pick:\n  threshold: .nan\n", "pick.threshold"),
        ("pick:\n  min_size: 10\n  max_size: 5\n", "max_size 5 must be larger than min_size 10"),
        ("pick:\n  connectivity: 8\n", "pick.connectivity is 8"),
        ("pick:\n  border: [1, 2]\n", "pick.border"),
        ("pick: 3\n", "pick is 3, but must hold `key: value` lines"),
        ("- a\n", "must hold keys"),
        ("pick: {threshold: 0.4\n", "not readable as YAML"),
        ("segment:\n  tiling: exakt\n", "segment.tiling is 'exakt'"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(tmp_path, text, said):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(MissingFileError, match="deepict-dask settings >"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="no setting 'treshold'"):
        load_settings(None, {"treshold": 1})
