"""YAML as people write it: what is misread in silence elsewhere is read right here, or refused with its line."""

from __future__ import annotations

import pytest

from deepict_dask.config import load_settings
from deepict_dask.config.training import TrainSettings
from deepict_dask.errors import SettingsError


def write(folder, content):
    path = folder / "s.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "pick:\n  threshold: 0.4\n  threshold: 0.5\n",
            "line 3: the key 'threshold' is there already, in line 2",
        ),
        (
            "pick: {threshold: 0.4}\npick: {min_size: 3}\n",
            "line 2: the key 'pick' is there already, in line 1",
        ),
        (
            "pick:\n  threshold:\n    00255: 0.4\n",
            'line 3: the key 00255 is no text to YAML; write it in quotes: "00255"',
        ),
        ("pick:\n  threshold: {no: 0.4}\n", 'the key no is no text to YAML; write it in quotes: "no"'),
        (
            "segment:\n  model: 00255\n",
            'line 2: segment.model is 00255, which is no text to YAML; write it in quotes: "00255"',
        ),
        (
            "pick:\n  classes: [a, 2024-01-01]\n",
            "line 2: pick.classes.1 is 2024-01-01, which is no text to YAML",
        ),
        ("? [a]\n: 3\n", "a key is a name"),
        ("pick: {threshold: 0.4\n", "is not readable as YAML: line 2: "),
        ("pick:\n\tthreshold: 0.4\n", "is not readable as YAML: line 2: "),
        ("pick: !!python/object/apply:os.getcwd []\n", "is not readable as YAML: line 1: "),
        ("a: 1\n---\nb: 2\n", "is not readable as YAML: line 2: "),
        ("pick: \x00\n", "is not readable as YAML"),
        ("pick:\n  region: R\u00e9gion.mrc\n".encode("latin-1"), "is not UTF-8 (at byte 17)"),
        ("pick: {}".encode("utf-16"), "is not UTF-8"),
        ("a: &a [*a]\n", "more than 100000 values"),
        (BOMB, "line 1: it stands for more than 100000 values; write fewer, or no aliases"),
        ("[" * 5000, "is not readable as YAML"),
        ("- a\n", "must hold keys with their values"),
        ("just words", "must hold keys with their values"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, content, said):
    path = write(tmp_path, content)
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).count(str(path)) == 1


def test_numbers_are_what_people_mean(tmp_path):
    settings = load_settings(write(tmp_path, "pick: {threshold: {a: 1e-3, b: .5e0}, min_size: 0100}\n"))
    assert settings.pick.threshold == {"a": 0.001, "b": 0.5, "*": None} and settings.pick.min_size == 100


def test_a_byte_order_mark_windows_lines_and_empty_sections_are_read(tmp_path):
    settings = load_settings(write(tmp_path, b"\xef\xbb\xbfpick:\r\n  threshold: 0.4\r\ningest:\r\n"))
    assert settings.pick.threshold == 0.4
    assert load_settings(write(tmp_path, "")) == load_settings()


def test_anchors_and_merged_mappings_work_and_may_be_overridden(tmp_path):
    text = (
        "pick: &common {threshold: 0.4, min_size: 3}\ntomograms:\n  a: {pick: {<<: *common, min_size: 5}}\n"
    )
    own = load_settings(write(tmp_path, text)).for_tomogram("a").pick
    assert (own.threshold, own.min_size) == (0.4, 5)


def test_names_in_lists_of_sections_are_asked_to_be_quoted(tmp_path):
    text = "tomograms:\n  - {tomogram: a.mrc, positions: a.csv, name: 00255}\nclasses: [{name: fas, radius: 3}]\n"
    with pytest.raises(
        SettingsError, match=r'line 2: tomograms.0.name is 00255, which is no text .* quotes: "00255"'
    ):
        load_settings(write(tmp_path, text), None, TrainSettings)
