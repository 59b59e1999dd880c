"""Three levels of settings, and what is given over what there was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepict_dask.config import NONE, Settings, commented_yaml, load_settings, merge_given
from deepict_dask.errors import SettingsError


def write(folder, text):
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_classes_in_the_file_and_as_options_meet(tmp_path):
    path = write(tmp_path, "pick:\n  threshold: {ribosome: 0.4}\n  min_size: 30\n")
    pick = load_settings(path, {"threshold": {"fas": 0.3}, "min_size": {"fas": 9}}).pick
    assert [pick.of_class(n).threshold for n in ("ribosome", "fas", "tric")] == [0.4, 0.3, 0.5]
    assert [pick.of_class(n).min_size for n in ("ribosome", "fas")] == [30, 9]
    assert load_settings(path, {"threshold": 0.7}).pick.threshold == 0.7, "a plain value replaces all"
    mixed = load_settings(path, {"threshold": {"*": 0.6, "fas": 0.3}}).pick
    assert [mixed.of_class(n).threshold for n in ("ribosome", "fas")] == [0.6, 0.3]


def test_picking_again_starts_from_what_the_run_used(tmp_path):
    run = Settings(
        ingest={"voxel_size": 13.48},
        pick={"threshold": 0.4, "min_size": 7, "region": "cytosol.mrc", "formats": ["csv", "star"]},
    )
    assert merge_given(run) == run
    again = merge_given(run, write(tmp_path, "pick: {min_size: {fas: 20}}\n"), {"threshold": {"fas": 0.3}})
    assert again.pick.of_class("fas").threshold == 0.3 and again.pick.of_class("ribosome").threshold == 0.4
    assert again.pick.of_class("fas").min_size == 20 and again.pick.of_class("ribosome").min_size == 7
    assert (again.pick.region, again.pick.formats) == ("cytosol.mrc", ["csv", "star"])
    assert again.ingest == run.ingest
    assert merge_given(run, {"pick": {"region": None}}).pick.region is None, "null in a file takes it back"
    assert merge_given(run, None, {"region": NONE, "min_size": None}).pick == run.pick.model_copy(
        update={"region": None}
    )


def test_a_tomogram_has_its_own_settings_over_those_of_the_run(tmp_path):
    path = write(
        tmp_path,
        """
ingest: {zarr_version: "0.4"}
pick: {threshold: {ribosome: 0.6, "*": 0.5}, min_size: 10}
tomograms:
  TS_014: {pick: {threshold: {fas: 0.3}, max_size: 50}, ingest: {voxel_size: 13.48}}
  TS_015:
""",
    )
    settings = load_settings(path)
    own = settings.for_tomogram("TS_014")
    assert [own.pick.of_class(n).threshold for n in ("ribosome", "fas", "tric")] == [0.6, 0.3, 0.5]
    assert (own.pick.min_size, own.pick.max_size) == (10, 50)
    assert (own.ingest.voxel_size, own.ingest.zarr_version) == ((13.48, 13.48, 13.48), "0.4")
    assert own.tomograms == {}
    plain = settings.model_copy(update={"tomograms": {}})
    assert settings.for_tomogram("TS_015") == settings.for_tomogram("TS_016") == plain


def test_options_win_over_what_single_tomograms_have():
    base = Settings(tomograms={"a": {"pick": {"threshold": 0.4, "min_size": 5}}, "b": {}})
    assert merge_given(base, None, {"threshold": 0.7}).for_tomogram("a").pick.threshold == 0.7
    pick = merge_given(base, None, {"threshold": {"fas": 0.3}}).for_tomogram("a").pick
    assert (pick.of_class("fas").threshold, pick.of_class("other").threshold, pick.min_size) == (0.3, 0.4, 5)
    more = merge_given(base, {"tomograms": {"a": {"pick": {"border": 2}}, "c": {"pick": {"border": 3}}}})
    assert more.for_tomogram("a").pick.border == (2, 2, 2) and more.for_tomogram("a").pick.threshold == 0.4
    assert more.for_tomogram("c").pick.border == (3, 3, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tomograms:\n  a: {pick: {treshold: 1}}\n",
            "line 2: there is no setting 'tomograms.a.pick.treshold'",
        ),
        ("tomograms:\n  a: {pik: {}}\n", "no setting 'tomograms.a.pik'; did you mean pick?"),
        ("tomograms:\n  a: {pick: {threshold: 2}}\n", "line 2: tomograms.a.pick.threshold is 2, but"),
        (
            "tomograms:\n  a: {cluster: {workers: 2}}\n",
            "tomograms.a: settings of the cluster are those of the whole",
        ),
        (
            "pick: {min_size: 60}\ntomograms: {a: {pick: {max_size: 50}}}\n",
            "tomograms.a: max_size 50 must be larger",
        ),
        ("tomograms: {../a: {}}\n", "a name is never a path"),
        ("tomograms: {a: {}, A: {}}\n", "named twice"),
        ("tomograms: [a]\n", "tomograms is ['a'], but must hold `key: value` lines"),
        ("tomograms: {a: 3}\n", "tomograms.a is 3, but must hold `key: value` lines"),
    ],
)
def test_what_a_tomogram_has_otherwise_is_checked_when_it_is_read(tmp_path, text, said):
    with pytest.raises(SettingsError) as error:
        load_settings(write(tmp_path, text))
    assert said in str(error.value) and "s.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_mistake_in_an_option_does_not_blame_the_file(tmp_path):
    path = write(tmp_path, "pick:\n  min_size: 3\n  threshold: 0.4\n")
    with pytest.raises(SettingsError) as error:
        load_settings(path, {"threshold": 2})
    assert str(error.value).startswith("pick.threshold is 2, but")
    with pytest.raises(SettingsError, match=r"s.yaml, line 3: pick.threshold is 2, but"):
        load_settings(write(tmp_path, "pick:\n  min_size: 3\n  threshold: 2\n"))


NAMES = st.text(min_size=1, max_size=8).filter(lambda name: _can_be_a_name(name))
PATHS = st.none() | st.text(max_size=10)


def _can_be_a_name(name):
    from deepict_dask.names import what_is_wrong

    return what_is_wrong(name, is_class=True) is None


def per_class(values):
    return values | st.dictionaries(
        NAMES | st.just("*"),
        values,
        min_size=1,
        max_size=3,
    ).filter(lambda mapping: len({name.casefold() for name in mapping}) == len(mapping))


PICK = st.fixed_dictionaries(
    {},
    optional={
        "threshold": per_class(st.floats(0, 1, exclude_max=True)),
        "min_size": per_class(st.integers(0, 10**6) | st.sampled_from(["90A", "9 nm", "1.5Å"])),
        "connectivity": per_class(st.sampled_from([6, 18, 26])),
        "border": per_class(st.integers(0, 99) | st.tuples(*[st.integers(0, 99)] * 3)),
        "region": per_class(PATHS),
        "region_threshold": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "classes": st.none() | st.lists(NAMES, min_size=1, max_size=2, unique_by=str.casefold),
        "write_labels": st.booleans(),
    },
)
INGEST = st.fixed_dictionaries(
    {},
    optional={
        "voxel_size": st.none() | st.floats(1e-300, 1e4),
        "dataset": PATHS,
    },
)
TREES = st.fixed_dictionaries(
    {},
    optional={
        "ingest": INGEST,
        "pick": PICK,
        "segment": st.fixed_dictionaries({"model": PATHS, "block": st.integers(8, 1024)}),
        "tomograms": st.dictionaries(
            NAMES, st.fixed_dictionaries({}, optional={"ingest": INGEST, "pick": PICK}), max_size=2
        ).filter(lambda mapping: len({name.casefold() for name in mapping}) == len(mapping)),
    },
)


@given(tree=TREES)
def test_what_is_written_is_read_back_as_it_was(tree, tmp_path_factory):
    settings = Settings.model_validate(tree)
    path = tmp_path_factory.mktemp("yaml") / "s.yaml"
    path.write_text(commented_yaml(settings), encoding="utf-8", newline="")
    assert load_settings(path) == settings
    assert merge_given(Settings(pick={"threshold": 0.9}), path) == settings, "all is in the file"
