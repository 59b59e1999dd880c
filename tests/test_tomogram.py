"""Voxel sizes as users, files and arrays give them."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.errors import InputError
from deepict_dask.tomogram import per_axis


@pytest.mark.parametrize(
    "given",
    [
        "2",
        " 2.0 ",
        "2,2,2",
        "2, 2 ,2",
        "2 2 2",
        2,
        2.0,
        np.float32(2),
        (2, 2, 2),
        [2.0],
        np.full(3, 2),
        np.array(2),
    ],
)
def test_one_number_or_three(given):
    assert per_axis(given) == (2.0, 2.0, 2.0) and all(type(n) is float for n in per_axis(given))


@pytest.mark.parametrize(
    "given",
    [
        "1,2",
        "",
        "a",
        "1,2,nan",
        "1,,2",
        "1,,2,3",
        "13,48",
        "0",
        -1,
        0,
        (1, 2),
        (1, 2, -3),
        True,
        {},
        np.inf,
        None,
        10**400,
    ],
)
def test_anything_else_is_refused_in_a_sentence(given):
    with pytest.raises(InputError, match="--abc is one positive number, or three as z,y,x, not "):
        per_axis(given, "--abc")


def test_directions_may_be_negative_or_zero():
    assert per_axis("0,-1,2", "--direction", signed=True) == (0.0, -1.0, 2.0)
    with pytest.raises(InputError, match="--direction is one finite number"):
        per_axis("0,inf,1", "--direction", signed=True)
