"""The family of errors: what they are, and that they come back from workers as they are."""

from __future__ import annotations

import os

import pytest
from distributed.protocol.pickle import dumps, loads

from deepict_dask import errors

FAMILY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.DeepictError)
]


def raised(kind: type[Exception]) -> Exception:
    try:
        try:
            os.stat("/nonexistent")
        except OSError as error:
            raise kind("rule, value, place, way out") from error
    except kind as error:
        return error


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_comes_back_from_a_worker_as_it_is(kind):
    import distributed.utils  # noqa: F401  (installs how tracebacks travel)

    back = loads(dumps(raised(kind)))
    assert type(back) is kind and str(back) == "rule, value, place, way out"


def test_no_space_is_an_oserror_and_nobodys_mistake():
    error = raised(errors.DiskError)
    assert isinstance(error, OSError) and isinstance(error, errors.WorkError) and error.exit_code == 1
