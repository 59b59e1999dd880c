"""What a user is told when something goes wrong."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence

import click

from deepict_dask.errors import DeepictError


def sentence_of(error: BaseException) -> str:
    """Say in one line what went wrong and, where it is known, what to do."""
    if isinstance(error, DeepictError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space is left on the disk ({error.filename or 'output'}); free some and run the same command again"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename or 'the output'} may not be written ({error.strerror}); choose another place"
    if isinstance(error, MemoryError):
        return "memory ran out; use a smaller --block or fewer --workers"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} (deepict-dask --traceback ... shows where)"


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
