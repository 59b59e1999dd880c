"""What is not installed with the package by default, and how to get it."""

from __future__ import annotations

from importlib.util import find_spec

from deepict_dask.errors import InputError


def has_torch() -> bool:
    """Say whether PyTorch is installed, without importing it: that takes seconds and hundreds of megabytes."""
    return is_installed("torch")


def is_installed(package: str) -> bool:
    """Say whether a package is there to be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def require_torch(what: str, extra: str) -> None:
    """Refuse what needs PyTorch where it is not installed.

    Parameters
    ----------
    what : str
        What needs it, to begin a sentence.
    extra : str
        Of this package, which brings it.

    Raises
    ------
    InputError
    """
    if not has_torch():
        raise InputError(
            f"{what} needs PyTorch, which is not installed; pip install 'deepict_dask[{extra}]' brings it"
        )
