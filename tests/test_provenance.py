"""Provenance: what decides is compared, what does not is recorded, and the sentence says which."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepict_dask.provenance import FileInput, Provenance

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def ingest(checksum="a", size=10.0, **recorded):
    source = FileInput("TS.mrc", checksum, {"mtime": 1})
    return Provenance("ingest", {"source": source}, {"voxel_size": [size] * 3}, recorded)


def segment(tiling="exact", runtime="openvino", **of_ingest):
    return Provenance("segment", {"tomogram": ingest(**of_ingest)}, {"tiling": tiling}, {"runtime": runtime})


def test_what_does_not_decide_is_not_compared():
    assert segment(runtime="torch", threads=3).difference(segment()) is None
    moved = ingest().with_file("source", FileInput("OTHER.mrc", "a", {"mtime": 2}))
    assert moved.difference(ingest()) is None


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (segment("deepict"), "tiling exact and not deepict"),
        (segment(size=9.0), r"voxel_size \[10.0, 10.0, 10.0\] and not \[9.0, 9.0, 9.0\] \(tomogram\)"),
        (segment(checksum="b"), r"another source \(the contents of TS.mrc are not those"),
        (ingest(), "the stage segment and not ingest"),
    ],
)
def test_the_first_difference_is_said(other, sentence):
    import re

    assert re.match(sentence, segment().difference(other))


def test_an_input_more_or_less_is_a_difference():
    plain = Provenance("pick", {}, {})
    masked = Provenance("pick", {"region": FileInput("m.mrc", "x")}, {})
    assert plain.difference(masked) == "no region, and now there is one"
    assert masked.difference(plain) == "a region, and now there is none"


def test_contents_that_were_not_read_are_equal_to_all():
    assert ingest(checksum=None).difference(ingest()) is None
    assert ingest().difference(ingest(checksum=None)) is None


@given(st.dictionaries(st.text(max_size=4), PLAIN, max_size=4))
def test_it_comes_back_from_json(settings):
    made = Provenance("a", {"x": ingest(), "y": FileInput("n", None)}, settings)
    back = Provenance.from_json(json.loads(json.dumps(made.to_json())))
    assert back == made
    assert made.difference(back) is None


@pytest.mark.parametrize(
    "damaged", [None, [], {}, {"stage": "a"}, {"stage": "a", "inputs": {"x": 1}, "settings": {}}, "x"]
)
def test_what_is_none_is_none(damaged):
    assert Provenance.from_json(damaged) is None
