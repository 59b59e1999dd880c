"""What a user is told when something goes wrong."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence

import click

from deepict_dask.disk import fault_of, fault_sentence
from deepict_dask.errors import DeepictError

# What runtimes say instead of raising MemoryError.
_NO_MEMORY = (
    "Failed to allocate",
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "std::bad_alloc",
)


def sentence_of(error: BaseException) -> str:
    """Say in one line what went wrong and, where it is known, what to do."""
    if isinstance(error, DeepictError):
        return str(error)
    if (number := fault_of(error)) is not None:
        doing = "writing" if number != errno.EIO else "reading or writing"
        return fault_sentence(number, _place(error), doing)
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{_place(error)} may not be written ({error.strerror}); choose another place"
    if isinstance(error, FileNotFoundError) and error.filename is None and not _working_folder():
        return "the working folder does not exist any more; change to one that does (cd) and run the same command again"
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        # numpy says how much was asked for; what others say are their own source files.
        detail = " ".join(str(error).split()) if str(error).startswith("Unable to allocate") else ""
        return (
            f"memory ran out{f' ({detail})' if detail else ''}; use a smaller --block or fewer --workers, and correct "
            "the setting that asks for so much if the size is absurd"
        )
    if isinstance(error, ValueError) and "dask config file" in str(error):
        return f"{' '.join(str(error).split())}; correct that file or move it away (Dask reads it, not this program)"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} (deepict-dask --traceback ... shows where)"


def _place(error: BaseException) -> str:
    """Give the file that an error is about, else the output that the command was given."""
    context = click.get_current_context(silent=True)
    output = context.params.get("output") if context is not None else None
    return str(getattr(error, "filename", None) or output or "the output")


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def report_error(error: BaseException, tomogram: str | None = None) -> int:
    """Print the sentence of an error, and its traceback if asked for; give the exit code that goes with it."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().params.get("traceback"):
        traceback.print_exception(error)
    sentence = sentence_of(error)
    place = f"{tomogram}: " if tomogram and tomogram not in sentence else ""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {place}{sentence}", err=True)
    return error.exit_code if isinstance(error, DeepictError) else 1


def exit_with(codes: Sequence[int], n: int) -> None:
    """Exit if something of `n` failed: with 2, a mistake of the user's, only where nothing else happened, else 1."""
    if codes:
        sys.exit(2 if len(codes) == n and set(codes) == {2} else 1)
