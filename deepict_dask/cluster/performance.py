"""Dask's own performance report: what every worker did when, for whoever wants to know why a run was slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location

_TITLE = b"Dask Performance Report"


def check_performance_report(file: Location, *, overwrite: bool = False) -> None:
    """Refuse a file that cannot become a performance report, before anything is done.

    Raises
    ------
    InputError
        If it is not called as a web page is.
    OutputExistsError
        If something else is there.
    """
    if file.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"the performance report {file} is a web page; let its name end in .html")
    if file.exists() and not overwrite and not (file.is_file() and _TITLE in file.read_bytes()):
        raise OutputExistsError(
            f"{file} exists and is no performance report of Dask; use another name, or --overwrite to replace it"
        )


@contextmanager
def performance_report(file: Location | None, warn: Callable[[str], None]) -> Iterator[None]:
    """Record what the workers do while the block lasts, and write it when it ends without an error.

    Parameters
    ----------
    file : Location or None
        The page, which holds all scripts that it needs; None for none.
    warn : callable
        Told where it could not be written: the work is not touched by that.
    """
    if file is None:
        yield
        return
    import distributed

    recording = distributed.performance_report(mode="inline")
    recording.__enter__()
    yield
    try:
        with file.publish() as path:
            recording.filename = str(path)
            recording.__exit__(None, None, None)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        warn(f"no performance report was written ({reason}); the results are not touched by that")
