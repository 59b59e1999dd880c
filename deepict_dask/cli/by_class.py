"""Options that are given for all classes, or as ``CLASS=VALUE`` for one; they may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from deepict_dask.config.by_class import OTHERS
from deepict_dask.errors import InputError
from deepict_dask.names import what_is_wrong


def read_by_class(
    items: Iterable[str], option: str, convert: Callable[[str], Any] = lambda text: text
) -> Any:
    """Read ``VALUE``, several ``CLASS=VALUE``, or both: the plain one is then that of all other classes.

    Parameters
    ----------
    items : iterable of str
        As on the command line. What stands before ``=`` is a class if it can be one's name: ``./a=b.mrc`` is a path.
    option : str
        Such as ``"--threshold"``, for the errors.
    convert : callable
        Makes a value of its text.

    Returns
    -------
    value, dict or None
        As `PerClass` settings take it; None if nothing is given.

    Raises
    ------
    InputError
        If a class, or all, are given twice.

    Examples
    --------
    >>> read_by_class(["0.5", "fas=0.3"], "--threshold", float)
    {'*': 0.5, 'fas': 0.3}
    >>> read_by_class(["0.5"], "--threshold", float)
    0.5
    """
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        is_of_class = bool(equals) and (name == OTHERS or what_is_wrong(name, is_class=True) is None)
        key = name if is_of_class else OTHERS
        if is_of_class and not text:
            raise InputError(f"{option} {item!r} has no value; give {option} {name}=VALUE")
        if key in values:
            which = "for all classes" if key == OTHERS else f"for class {key!r}"
            raise InputError(f"{option} is given twice {which}; give it once, or as CLASS=VALUE for each")
        values[key] = convert(text if is_of_class else item)
    if not values:
        return None
    return values[OTHERS] if list(values) == [OTHERS] else values
