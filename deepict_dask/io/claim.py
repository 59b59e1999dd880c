"""Claims: one writer at a time in a folder, and a dead one's place is taken over.

A claim is a small file that only one process can create. It names its owner (host, process, a random token)
and is touched every few seconds. On the same machine the process table says whether its owner lives; on
another the age of the file does, judged by the file system's own clock. A claim is looked at again before the
last mark of an output is written, so that a writer that was taken for dead changes nothing.

Several processes may share a folder: each has a claim of its own beside, and none of them is alone. What only one of
them may do at a time (the run's settings, the table over all) is a claim of another name, which the others wait for.

On object stores the same interface will stand on conditional puts.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from deepict_dask.atomic import PARTIAL
from deepict_dask.disk import disk_errors
from deepict_dask.errors import ClaimedError, DiskError, WorkError
from deepict_dask.io.location import Location

NAME = ".deepict_dask.claim"
_SHARED = ".deepict_dask.shared-"
_MOST_PATIENCE = 3600.0
HEARTBEAT_SECONDS, DEAD_AFTER_SECONDS = 5.0, 60.0


@dataclass(frozen=True)
class Owner:
    """Who holds a claim.

    Attributes
    ----------
    host : str
        Name of the machine.
    boot, namespace : str
        Which boot of it, and which of its process name spaces: process numbers mean something only there.
    pid, started : int
        Process, and when the kernel says it began (a number may be used again).
    token : str
        Random.
    what : str
        Command, for people.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: int
    token: str
    what: str

    @classmethod
    def me(cls, what: str) -> Owner:
        """Describe this process."""
        pid = os.getpid()
        return cls(platform.node(), _boot(), _namespace(), pid, _started(pid) or 0, uuid.uuid4().hex, what)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether its process number means something here."""
        has_boot = bool(self.boot and self.namespace)
        return has_boot and (self.boot, self.namespace) == (_boot(), _namespace())

    @property
    def is_alive(self) -> bool:
        """Whether the process is there; only of this machine."""
        return _started(self.pid) == self.started


@dataclass(frozen=True)
class Claim:
    """A folder that this process alone writes to.

    Attributes
    ----------
    file : Location
        The claim.
    owner : Owner
        This process.
    began : float
        When it was made, in seconds since 1970 by the clock of the file system.
    """

    file: Location
    owner: Owner
    began: float = 0.0

    def check(self) -> None:
        """Make sure that it is still ours; to be called before the last mark of an output is written.

        Raises
        ------
        WorkError
            If another process has taken over.
        """
        holder = _read(self.file)
        if holder is None or holder.token != self.owner.token:
            other = "was removed" if holder is None else f"was taken over by {_named(holder)}"
            raise WorkError(
                f"the claim on {self.file.parent} {other} while this command worked; what it was about to finish is left "
                "to that one"
            )


@contextlib.contextmanager
def claimed(folder: Location, what: str) -> Iterator[Claim]:
    """Have a folder for oneself while the block lasts.

    Parameters
    ----------
    folder : Location
        Made if it is not there.
    what : str
        Command, for the sentence that a second one meets.

    Raises
    ------
    ClaimedError
        If a living process holds it, or processes that share it do.
    DiskError
        If the disk takes no file any more.
    """
    with _held(folder, NAME, what) as claim:
        for shared in _shared_claims(folder):
            _take_over(shared, folder)
        folder.remove_leftovers()
        yield claim


@contextlib.contextmanager
def shared_claim(folder: Location, what: str) -> Iterator[Claim]:
    """Have a folder together with others that share it, and with nobody else, while the block lasts.

    Parameters
    ----------
    folder, what
        As for `claimed`.

    Raises
    ------
    ClaimedError
        If a living process has it for itself.
    DiskError
        If the disk takes no file any more.
    """
    with _held(folder, f"{_SHARED}{uuid.uuid4().hex[:12]}", what) as claim:
        # After one's own is there: of two that come at once at least one sees the other.
        if (folder / NAME).exists():
            _take_over(folder / NAME, folder)
        for other in _shared_claims(folder):
            # Those of dead processes are cleared away; the living share.
            with contextlib.suppress(ClaimedError):
                _take_over(other, folder)
        yield claim


@contextlib.contextmanager
def turn(folder: Location, subject: str, what: str) -> Iterator[Claim]:
    """Wait for one's turn to do what only one of those that share a folder may do at a time.

    Parameters
    ----------
    folder, what
        As for `claimed`.
    subject : str
        What it is about; part of a file name.

    Raises
    ------
    ClaimedError
        If it does not come within an hour.
    """
    deadline = time.monotonic() + _MOST_PATIENCE
    while True:
        with contextlib.ExitStack() as stack:
            try:
                claim = stack.enter_context(_held(folder, f"{NAME}-{subject}", what))
            except ClaimedError:
                if time.monotonic() > deadline:
                    raise
            else:
                yield claim
                return
        time.sleep(0.1)


@contextlib.contextmanager
def _held(folder: Location, name: str, what: str) -> Iterator[Claim]:
    made = not folder.exists()
    folder.make_folder()
    claim = Claim(folder / name, Owner.me(what))
    while not _create(claim):
        _take_over(claim.file, folder)
        # Whoever made it may have removed it again, as nothing came of it.
        folder.make_folder()
    claim = replace(claim, began=claim.file.modified() or 0.0)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(claim, stop), name="claim", daemon=True)
    beat.start()
    try:
        yield claim
    finally:
        stop.set()
        beat.join()
        holder = _read(claim.file)
        if holder is not None and holder.token == claim.owner.token:
            claim.file.remove()
        if made:
            # Nothing came of it: leave no empty folder.
            with contextlib.suppress(OSError):
                folder.local_path().rmdir()


def _shared_claims(folder: Location) -> list[Location]:
    return [child for child in folder.children() if child.name.startswith(_SHARED)]


def _create(claim: Claim) -> bool:
    """Write the claim if there is none; the one step in which only one of several can succeed."""
    path = claim.file.local_path()
    draft = path.with_name(f"{PARTIAL}{uuid.uuid4().hex[:12]}")
    try:
        with disk_errors(path):
            _write(draft, claim.owner, "w")
        try:
            # With its contents from the start: an empty claim would be nobody's.
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links.
            with disk_errors(path):
                _write(path, claim.owner, "x")
    except (FileExistsError, FileNotFoundError):
        return False
    except DiskError:
        if (holder := _read(claim.file)) is None or holder.token == claim.owner.token:
            path.unlink(missing_ok=True)
        raise
    finally:
        draft.unlink(missing_ok=True)
    return True


def _write(path: Path, owner: Owner, mode: str) -> None:
    with open(path, mode, encoding="utf-8") as file:
        file.write(json.dumps(asdict(owner)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _take_over(file: Location, folder: Location) -> None:
    """Move the claim of a dead process aside; ClaimedError if it lives."""
    holder = _read(file)
    age = _age(file, folder)
    if age is None:
        return  # gone meanwhile
    if holder is not None and holder.is_of_this_machine:
        if holder.is_alive:
            raise ClaimedError(
                f"{folder} is being written by {_named(holder)}; wait until it has ended, stop it, or name another output "
                "folder"
            )
    elif age < DEAD_AFTER_SECONDS:
        who = "another process" if holder is None else _named(holder)
        raise ClaimedError(
            f"{folder} is being written by {who}, heard of {age:.0f} s ago; wait until it has ended, or, if it was "
            f"killed, until {DEAD_AFTER_SECONDS:.0f} s have passed"
        )
    # Only one of several wins the renaming; the others find nothing, or a new claim.
    aside = file.local_path().with_name(f".removed-{uuid.uuid4().hex[:12]}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(file.local_path(), aside)
        moved = _read(Location(str(aside)))
        if moved is not None and moved != holder:
            # Another one was faster, and this is its claim: it is put back where there is none.
            _create(Claim(file, moved))
        aside.unlink(missing_ok=True)


def _beat(claim: Claim, stop: threading.Event) -> None:
    path = claim.file.local_path()
    while not stop.wait(HEARTBEAT_SECONDS):
        holder = _read(claim.file)
        if holder is not None and holder.token != claim.owner.token:
            return  # taken over: it is not ours to keep alive
        with contextlib.suppress(OSError):
            os.utime(path)


def _read(file: Location) -> Owner | None:
    try:
        content = json.loads(file.local_path().read_text(encoding="utf-8"))
        return Owner(**{f.name: content[f.name] for f in fields(Owner)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _age(file: Location, folder: Location) -> float | None:
    """Give the seconds since the last heartbeat by the clock of the file system; None if it is gone."""
    probe = folder.local_path() / f"{PARTIAL}{uuid.uuid4().hex[:12]}"
    # Who has claimed the folder may clear the probe away: only the claim itself can be gone.
    while True:
        written = file.modified()
        if written is None:
            return None
        try:
            with open(probe, "w") as opened:
                now = os.fstat(opened.fileno()).st_mtime
        except FileNotFoundError:
            continue
        probe.unlink(missing_ok=True)
        return max(0.0, now - written)


def _named(owner: Owner) -> str:
    return f"`{owner.what}` (process {owner.pid} on {owner.host})"


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _started(pid: int) -> int | None:
    """Give when a process began, in ticks since the boot; None if there is none, or only its remains."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold anything; state is the first field behind it, the start the twentieth.
    behind = text.rpartition(")")[2].split()
    return None if behind[0] in ("Z", "X") else int(behind[19])
