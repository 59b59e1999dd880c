"""Values as bytes: the same back, and nothing from what is torn, changed or foreign."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepict_dask.errors import FormatError
from deepict_dask.io.encoding import decode, encode
from deepict_dask.io.manifest import Shard
from deepict_dask.kernels.labelling import block_components
from deepict_dask.kernels.statistics import BlockStatistics, block_statistics

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.sampled_from(["array", "noun", "dict"]), inner)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_come_back_with_their_types(value):
    again = decode(encode(value))
    assert again == value and repr(again) == repr(value)


@pytest.mark.parametrize("dtype", ["u1", "<i8", ">i4", "f2", "f4", "bool", "c8", "<U3"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_come_back_bit_for_bit(dtype, shape):
    value = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    again = decode(encode({"a": [value, value.T]}))["a"]
    for a, b in zip(again, (value, value.T), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)
    again[0][...] = 0  # it can be worked with
    assert type(decode(encode(np.float32(2.5)))) is np.float32
    assert math.isnan(decode(encode(float("nan"))))


def test_nouns_of_the_package_come_back():
    part = block_statistics(np.arange(8, dtype="i2"))
    assert decode(encode(part)) == part and part.total == 28
    mask = np.random.default_rng(2).random((5, 6, 7)) > 0.7
    found = block_components(mask, mask.astype("f4"), (0, 6, 0), (5, 12, 7))
    again = decode(encode(found))
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert decode(encode((Shard("0/c/0", 3, "ab"),))) == (Shard("0/c/0", 3, "ab"),)


@dataclass(frozen=True)
class Foreign:
    """Not the package's."""

    x: int


@pytest.mark.parametrize(
    "value", [Foreign(1), object(), {1: 2}, np.array([None]), {"a": {3}}, np.zeros(2, "i4,f4")]
)
def test_what_is_not_plain_is_not_written(value):
    with pytest.raises(TypeError):
        encode(value)


def test_torn_or_changed_bytes_are_nothing():
    data = encode((block_statistics(np.arange(8.0)), np.arange(5)))
    for n in range(len(data)):
        with pytest.raises(FormatError):
            decode(data[:n])
        with pytest.raises(FormatError):
            decode(data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :])
    with pytest.raises(FormatError):
        decode(pickle.dumps(1))


@pytest.mark.parametrize(
    "change",
    [
        (b"deepict_dask.kernels.statistics:BlockStatistics", b"tests.io.test_encoding:Foreign"),
        (b"deepict_dask.kernels.statistics:BlockStatistics", b"deepict_dask.nowhere:Nothing"),
        (
            b"deepict_dask.kernels.statistics:BlockStatistics",
            b"deepict_dask.kernels.statistics:block_statistics",
        ),
        (b"deepict_dask.kernels.statistics:BlockStatistics", b"deepict_dask.kernels.statistics:np.load"),
        (b'"count"', b'"counts"'),
        (b'{"noun":', b'{"nouns":'),
    ],
)
def test_what_names_something_else_is_refused_even_with_a_right_digest(change):
    """Whoever can write files could write a digest as well; still nothing runs but the package's own nouns."""
    import hashlib

    body = encode(BlockStatistics(1, 0, 1.0, 0.0, 1.0, 1.0))[65:].replace(*change)
    with pytest.raises(FormatError):
        decode(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
