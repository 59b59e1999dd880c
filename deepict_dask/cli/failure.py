"""What a user is told when something goes wrong."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import traceback
from collections.abc import Sequence

import click

from deepict_dask.errors import DeepictError

_FULL = {
    errno.ENOSPC: "no space is left on",
    errno.EDQUOT: "the quota is used up on",
    errno.EFBIG: "a file of that size may not be written on",
    errno.EIO: "reading or writing failed on",
}
_FREE = {
    errno.ENOSPC: "free some (or move the output)",
    errno.EDQUOT: "free some of your files there, have the quota raised,",
    errno.EFBIG: "raise the limit (ulimit -f), or choose a file system that takes larger files,",
    errno.EIO: "have the disk, or the connection to it, looked at",
}
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
    if isinstance(error, OSError) and error.errno in _FULL:
        place = _place(error)
        return f"{_FULL[error.errno]} {_disk(place)}; {_FREE[error.errno]} and run the same command again"
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


def _place(error: OSError) -> str:
    """Give the file that an error is about, else the output that the command was given."""
    context = click.get_current_context(silent=True)
    output = context.params.get("output") if context is not None else None
    return str(error.filename or output or "the output")


def _disk(place: str) -> str:
    """Name the disk of a path, and how full it is, where that can be found."""
    folder = os.path.abspath(place)
    while not os.path.exists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    mount = os.path.realpath(folder)
    while not os.path.ismount(mount):
        mount = os.path.dirname(mount)
    try:
        usage = shutil.disk_usage(mount)
    except OSError:
        return f"the disk of {place}"
    return f"{mount} ({usage.free / 1e9:.3g} of {usage.total / 1e9:.3g} GB are free; written was {place})"


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
