"""Settings by class: one value, or a mapping in which "*" stands for all others."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from deepict_dask.config import PickSettings, check_class_names
from deepict_dask.errors import InputError, SettingsError


def test_a_plain_value_is_that_of_every_class():
    own = PickSettings(threshold=0.3, border=2, region="cytosol.mrc").of_class("anything")
    assert (own.threshold, own.border, own.region, own.min_size) == (0.3, (2, 2, 2), "cytosol.mrc", 100)


def test_classes_differ_in_every_setting_and_the_star_is_all_others():
    settings = PickSettings(
        threshold={"fas": 0.3, "*": 0.6},
        min_size={"fas": 50},
        max_size={"fas": 900, "ribosome": None},
        connectivity={"*": 6},
        border={"fas": "1,2,3"},
        region={"fas": "{name}.mrc", "*": None},
    )
    fas, other = settings.of_class("fas"), settings.of_class("ribosome")
    assert (fas.threshold, fas.min_size, fas.max_size, fas.connectivity) == (0.3, 50, 900, 6)
    assert (fas.border, fas.region) == ((1, 2, 3), "{name}.mrc")
    assert (other.threshold, other.min_size, other.max_size, other.connectivity) == (0.6, 100, None, 6)
    assert (other.border, other.region) == ((0, 0, 0), None), "classes without a star have the default"


def test_what_all_other_classes_have_is_written_down_too():
    settings = PickSettings(threshold={"fas": 0.3}, border={"fas": 1})
    assert settings.threshold == {"fas": 0.3, "*": None} and settings.border == {
        "fas": (1, 1, 1),
        "*": (0, 0, 0),
    }
    assert PickSettings(threshold={"*": 0.3}).threshold == 0.3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threshold": {"fas": 1.5}}, "less than 1"),
        ({"threshold": {}}, "at least 1 item"),
        ({"threshold": {"a/b": 0.5}}, "a name is never a path"),
        ({"threshold": {"fas": 0.5, "FAS": 0.4}}, "has two values"),
        ({"connectivity": {"fas": 8}}, "6, 18 or 26"),
        ({"max_size": {"fas": 80}}, "max_size 80 must be larger than min_size 100 for class 'fas'"),
        ({"min_size": {"fas": 50}, "max_size": {"*": 80}}, "max_size 80 must be larger than min_size 100,"),
        ({"min_size": "9nm", "max_size": "90A"}, "max_size 90A must be larger than min_size 9nm"),
        ({"min_size": "90"}, None),
        ({"min_size": "9 furlongs"}, "a whole number of voxels, or a diameter such as 90A or 9nm"),
        ({"min_size": 1.5}, "a whole number of voxels"),
        ({"min_size": -1}, "a whole number of voxels"),
        ({"min_size": "0A"}, "a whole number of voxels"),
        ({"min_size": True}, "a whole number of voxels"),
        ({"min_size": "1e99"}, "a whole number of voxels"),
        ({"max_size": 0}, "leaves nothing"),
        ({"classes": ["fas", "fas"]}, "'fas' is there twice"),
        ({"classes": []}, "at least 1 item"),
        ({"classes": ["../fas"]}, "a name is never a path"),
        ({"formats": ["csv", "csv"]}, "'csv' is there twice"),
    ],
)
def test_each_class_is_checked(given, said):
    if said is None:
        assert PickSettings(**given).min_size == 90
        return
    with pytest.raises(ValidationError, match=said):
        PickSettings(**given)


@pytest.mark.parametrize("text", ["100A", "100 Å", "100\u212b", "10nm", "10.0 NM", "100angstrom"])
def test_a_diameter_is_the_volume_of_its_sphere(text):
    settings = PickSettings(min_size=text, max_size={"fas": "20nm"})
    assert settings.min_size == text, "kept as it was given"
    own = settings.of_class("fas").in_voxels((10.0, 10.0, 20.0))
    assert own.min_size == math.floor(math.pi / 6 * 1e6 / 2000) == 261
    assert own.max_size == math.floor(math.pi / 6 * 8e6 / 2000) == 2094
    assert settings.of_class("ribosome").in_voxels(10.0).max_size is None


def test_sizes_in_voxels_need_no_voxel_size_and_diameters_do():
    assert PickSettings(min_size=7).of_class("a").in_voxels(None).min_size == 7
    with pytest.raises(InputError, match="min_size is the diameter 9nm.*--voxel-size"):
        PickSettings(min_size="9nm").of_class("a").in_voxels(None)
    with pytest.raises(SettingsError, match=r"max_size 90A \(381 voxels\) must be larger than min_size 400"):
        PickSettings(min_size=400, max_size="90A").of_class("a").in_voxels(10.0)


def test_unknown_classes_are_refused_with_those_that_there_are():
    check_class_names(PickSettings(threshold={"fas": 0.3, "*": 0.4}, classes=["fas"]), ["ribosome", "fas"])
    with pytest.raises(
        SettingsError, match="pick.border: there is no class 'tric' in net.pth; it has ribosome, fas"
    ):
        check_class_names(PickSettings(border={"tric": 1}), ["ribosome", "fas"], "net.pth")
    with pytest.raises(SettingsError, match="pick.classes: there is no class 'tric'"):
        check_class_names(PickSettings(classes=["tric"]), ["fas"])
