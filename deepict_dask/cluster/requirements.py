"""What worker processes need of a machine, looked at before they are started: a sentence instead of their deaths."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile

from deepict_dask.errors import WorkError

NO_GUARD = "a script that starts workers is imported by each of them; put what it does under `if __name__ == '__main__':`"
# Descriptors of this process, and those that each worker takes of it.
_FILES, _FILES_PER_WORKER = 48, 12


def check_requirements(workers: int) -> None:
    """Raise WorkError, with the cause, if worker processes cannot be started here."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker that imports the script it was started by, which starts workers instead of only defining things.
        raise WorkError(NO_GUARD)
    try:
        os.getcwd()
    except OSError:
        raise WorkError(
            "the working folder does not exist any more; change to one that does (cd) and run the same command again"
        ) from None
    try:
        tempfile.gettempdir()
    except OSError:
        raise WorkError(
            "workers need a folder for temporary files, and none can be written (TMPDIR, /tmp, /var/tmp, the working "
            "folder); set TMPDIR to one that can"
        ) from None
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        raise WorkError(
            f"worker processes need semaphores, and /dev/shm does not take any ({error}); mount it with room to write "
            "(docker run --shm-size 64m, an emptyDir in Kubernetes), or name a scheduler elsewhere with --scheduler"
        ) from None
    _check_files(_FILES + _FILES_PER_WORKER * workers)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()[:2], timeout=5).close()
    except OSError as error:
        raise WorkError(
            f"workers are reached through the loopback device, and 127.0.0.1 does not answer ({error}); bring it up "
            "(ip link set lo up)"
        ) from None


def _check_files(needed: int) -> None:
    """Raise the number of files that may be open as far as this process may."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= 4096:
        return
    most = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    if most < needed:
        raise WorkError(
            f"this process may open {most} files (ulimit -n), and its workers need {needed}; raise the limit or use "
            "fewer --workers"
        )
