"""What of this machine a process may use: cores and memory, by the tightest of all limits."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Address space that a worker maps and does not fill: libraries, stacks of threads, arenas of the allocator.
MAPPED_BYTES = 800_000_000


@dataclass(frozen=True)
class Machine:
    """Cores and memory that this process and its children may use.

    Attributes
    ----------
    cores : int
        By affinity (taskset, SLURM) and CPU quota (``docker --cpus``, Kubernetes limits), whichever is less.
    memory : int
        Bytes of all processes together: the machine's, or the tightest limit on the path of its control group.
    process_memory : int or None
        Bytes that one process may fill where its own limits (``ulimit -v``, ``-d``) say so.
    """

    cores: int
    memory: int
    process_memory: int | None = None


def this_machine(root: Path = Path("/")) -> Machine:
    """Look at what may be used.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are; another one only in tests.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _control_groups(root, "cpu"):
        quota = _cpu_quota(folder)
        if quota is not None:
            cores = min(cores, max(1, math.ceil(quota)))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _control_groups(root, "memory"):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            # "max", and no file, is no limit; version 1 writes a number near 2**63 for it.
            limit = _words(folder / name)[:1]
            if limit and limit[0].isdecimal() and int(limit[0]) > 0:
                memory = min(memory, int(limit[0]))
    return Machine(cores, memory, _process_memory())


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Give the folders of this process's control group and of all groups that it is in, for one controller.

    Version 1 has a tree per controller, version 2 one tree; a container may see its own group as the root of the
    tree while its name is still the host's.
    """
    trees = list(_mounted_trees(root, controller))
    base = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        # Where such trees are by custom, for what the table of mounts does not tell.
        places = (controllers, *controllers.split(","), "cpuacct,cpu") if controllers else ("", "unified")
        for tree, top in [*trees, *((base / place, "/") for place in places)]:
            inside = PurePosixPath(group.removeprefix(top.rstrip("/")) or "/")
            for folder in (inside, *inside.parents):
                place = tree / str(folder).lstrip("/").replace("../", "")
                if place.is_dir():
                    yield place
    yield base


def _mounted_trees(root: Path, controller: str) -> Iterator[tuple[Path, str]]:
    """Give where control groups are mounted and which group is at the top there, from the table of mounts."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" or (kind[0] == "cgroup" and controller in kind[2].split(",")):
            yield root / fields[4].lstrip("/"), fields[3]


def _cpu_quota(folder: Path) -> float | None:
    """Give the cores of a group's quota; None without one."""
    words = _words(folder / "cpu.max") or [
        *_words(folder / "cpu.cfs_quota_us"),
        *_words(folder / "cpu.cfs_period_us"),
    ]
    try:
        quota, period = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _process_memory() -> int | None:
    """Give the bytes that one process may fill by its own limits; None without any."""
    import resource

    limits = []
    for kind, mapped in ((resource.RLIMIT_AS, MAPPED_BYTES), (resource.RLIMIT_DATA, MAPPED_BYTES // 2)):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(max(0, soft - mapped))
    return min(limits, default=None)


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
