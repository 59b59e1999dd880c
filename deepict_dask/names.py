"""One rule for the names of tomograms, classes and networks: they become parts of file names and never paths."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from deepict_dask.errors import InputError

# Most file systems allow 255 bytes for one name; what is left serves prefixes and suffixes of outputs.
LONGEST = 200
_FORBIDDEN = "/\\"
# What settings and options mean by them: CLASS=VALUE, A,B, and "*" for all others.
_RESERVED_IN_CLASSES = "=,*"


def what_is_wrong(name: object, *, is_class: bool = False, longest: int = LONGEST) -> str | None:
    """Say why something cannot be a name; None if it can.

    Parameters
    ----------
    name : object
        A name from a file, a settings file, a command line or a model card.
    is_class : bool
        Of a class, which options and settings must be able to write.
    longest : int
        Bytes in UTF-8.

    Examples
    --------
    >>> what_is_wrong("TS_01 [even]"), what_is_wrong("../TS_01")
    (None, "holds '/', and a name is never a path")
    """
    if not isinstance(name, str):
        return f"is of type {type(name).__name__} and not text; write it in quotes"
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "means a folder"
    for character in _FORBIDDEN:
        if character in name:
            return f"holds {character!r}, and a name is never a path"
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        return "holds characters that cannot be shown (control characters, or bytes that are not UTF-8)"
    if name != name.strip():
        return "begins or ends with a blank"
    if name.startswith("."):
        return "begins with a dot, which hides files"
    if (n := len(name.encode())) > longest:
        return f"has {n} bytes, and a name has at most {longest}"
    if is_class:
        for character in _RESERVED_IN_CLASSES:
            if character in name:
                return f"holds {character!r}, which options and settings use"
    return None


def check_name(name: object, what: str, *, is_class: bool = False, longest: int = LONGEST) -> str:
    """Give the name back if it can be one.

    Parameters
    ----------
    name : object
        From outside.
    what : str
        What it names and where it was found, for the error: ``"the class in net.json"``.
    is_class, longest
        As for `what_is_wrong`.

    Raises
    ------
    InputError
        If it cannot.
    """
    if (wrong := what_is_wrong(name, is_class=is_class, longest=longest)) is not None:
        raise InputError(f"{what} is called {name!r:.120}, which {wrong}; give it another name")
    return str(name)


def check_classes(names: Iterable[object], where: str) -> tuple[str, ...]:
    """Give the names of classes back if all can be names and none is there twice.

    Parameters
    ----------
    names : iterable
        From a model card, a map, settings.
    where : str
        Where they were found, for the error.

    Raises
    ------
    InputError
        If one cannot be a name, or two are the same.
    """
    checked = tuple(check_name(name, f"a class in {where}", is_class=True) for name in names)
    if twice := first_duplicate(checked):
        raise InputError(f"{where} names the class {twice!r} twice; give every class a name of its own")
    return checked


def first_duplicate(names: Sequence[str]) -> str | None:
    """Give the first name that is there twice; names that differ in case only count as one, as on some disks.

    >>> first_duplicate(["a", "b", "A"])
    'A'
    """
    earlier: set[str] = set()
    for name in names:
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in earlier:
            return name
        earlier.add(folded)
    return None
