"""The rule of names: what cannot be one, and that nothing that can be a path is."""

from __future__ import annotations

import pytest

from deepict_dask.errors import InputError
from deepict_dask.names import check_classes, check_name, first_duplicate, what_is_wrong


@pytest.mark.parametrize(
    "name", ["TS_01", "TS 01 [red]", ":bug:", "it's", "a#b", "_n2n_TS", "data_1", "Zürich", "x" * 200]
)
def test_a_name_of_the_field_is_one(name):
    assert check_name(name, "the tomogram") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "../a",
        "a\\b",
        "a\nb",
        "a\0b",
        "\udcff",
        " a",
        "a ",
        ".a",
        "x" * 201,
        255,
        None,
        True,
    ],
)
def test_what_is_no_name_is_refused_with_a_sentence(name):
    assert what_is_wrong(name)
    with pytest.raises(InputError, match="the tomogram is called .* which .*; give it another name"):
        check_name(name, "the tomogram")


@pytest.mark.parametrize("name", ["a=b", "a,b", "*"])
def test_classes_can_be_written_in_options(name):
    assert what_is_wrong(name) is None
    assert what_is_wrong(name, is_class=True)


def test_no_class_is_there_twice():
    assert check_classes(["ribosome", "fas"], "net.json") == ("ribosome", "fas")
    with pytest.raises(InputError, match="net.json names the class 'Fas' twice"):
        check_classes(["fas", "Fas"], "net.json")
    assert first_duplicate(["a", "b"]) is None
