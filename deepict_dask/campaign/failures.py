"""Whose failure it is: of one tomogram, of something that may pass, or of what the whole run stands on."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from deepict_dask.errors import InputError, MachineError, WorkError, WorkersDiedError
from deepict_dask.io.location import Location

# Wherever it is met, the next tomogram will meet it as well.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# So it is if it is met where the run writes.
_OF_THE_FOLDER = (errno.ESTALE, errno.ENOTCONN, errno.EACCES, errno.EPERM)


def is_of_the_run(error: BaseException, output: Location) -> bool:
    """Tell whether the scheduler, the store or the disk failed, so that nothing that follows can be done either.

    Parameters
    ----------
    error : BaseException
        What a tomogram failed with.
    output : Location
        The run folder.
    """
    for cause in _causes(error):
        if isinstance(cause, MachineError):
            return True
        if isinstance(cause, OSError) and cause.errno in _OF_THE_DISK:
            return True
        if isinstance(cause, OSError) and cause.errno in _OF_THE_FOLDER:
            return str(cause.filename or "").startswith(f"{output}/")
    return False


def is_worth_another_try(error: BaseException) -> bool:
    """Tell whether a tomogram that failed may do better alone: its workers died, or memory or a connection failed."""
    if isinstance(error, InputError):
        return False
    return any(
        isinstance(cause, WorkersDiedError | MemoryError | ConnectionError | TimeoutError)
        for cause in _causes(error)
    )


def reason_of(error: BaseException | None) -> str:
    """Give the sentence of an error, for the ledger; empty where there is none."""
    if error is None:
        return ""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError | WorkError) and text else f"{type(error).__name__}: {text}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
