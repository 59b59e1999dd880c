"""Standard output and error that cost nothing where they cannot be written: closed, full, or in ASCII."""

from __future__ import annotations

import errno
import os
import sys

from deepict_dask.cluster.quiet import forgiving_text


def forgive_output() -> None:
    """Make this program's standard streams ones that never raise.

    What they cannot encode is escaped. Descriptors that are closed are opened on nothing first: a file of the work
    that got the number of standard error would receive its messages.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue  # somebody else's, as in tests
        encoding = "utf-8" if stream is None else stream.encoding
        lines = name == "stderr" or os.isatty(descriptor)
        setattr(sys, name, forgiving_text(descriptor, encoding, lines))


def lost_output() -> OSError | None:
    """Give why standard output lost something, unless its reader had enough of it; None if it did not."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    failure = getattr(raw, "failure", None)
    return None if failure is None or failure.errno in (errno.EPIPE, errno.EBADF) else failure
