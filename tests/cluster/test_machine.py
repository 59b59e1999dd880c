"""Cores and memory by quotas and nested limits, from real files under another root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepict_dask.cluster.local import LEAST_BYTES, local_plan
from deepict_dask.cluster.machine import this_machine
from deepict_dask.config import ClusterSettings
from deepict_dask.errors import InputError

REAL = this_machine()


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_tightest_limit_on_the_whole_path_holds_in_version_1(tmp_path):
    groups = "sys/fs/cgroup/memory"
    write(tmp_path, **{
        "proc/self/cgroup": "5:memory:/slurm/uid_0/job_7/step_0\n2:cpu,cpuacct:/\n",
        f"{groups}/memory.limit_in_bytes": "9223372036854771712\n",
        f"{groups}/slurm/uid_0/job_7/memory.limit_in_bytes": "734003200\n",
        f"{groups}/slurm/uid_0/job_7/step_0/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    machine = this_machine(tmp_path)
    assert (machine.memory, machine.cores) == (734003200, 1)


def test_the_tightest_limit_on_the_whole_path_holds_in_version_2(tmp_path):
    groups = "sys/fs/cgroup"
    write(tmp_path, **{
        "proc/self/cgroup": "0::/system.slice/job.scope/inner\n",
        f"{groups}/system.slice/job.scope/memory.max": "900000000\n",
        f"{groups}/system.slice/job.scope/inner/memory.max": "max\n",
        f"{groups}/system.slice/job.scope/cpu.max": "100000 100000\n",
        f"{groups}/system.slice/job.scope/inner/cpu.max": "max 100000\n",
    })  # fmt: skip
    machine = this_machine(tmp_path)
    assert (machine.memory, machine.cores) == (900000000, 1)


def test_a_container_that_sees_its_group_as_the_root_is_limited(tmp_path):
    write(tmp_path, **{
        "proc/self/cgroup": "4:memory:/docker/abc/job\n",
        "proc/self/mountinfo": "36 32 0:33 /docker/abc /groups/mem rw - cgroup cgroup rw,memory\n",
        "groups/mem/memory.limit_in_bytes": "9223372036854771712\n",
        "groups/mem/job/memory.limit_in_bytes": "800000000\n",
    })  # fmt: skip
    assert this_machine(tmp_path).memory == 800000000


def test_without_any_limit_the_machine_is_the_limit(tmp_path):
    machine = this_machine(tmp_path)
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.memory == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_small_job_leaves_memory_to_this_process_and_has_fewer_workers():
    plan = local_plan(ClusterSettings(), cores=64, memory=4 * 10**9)
    assert plan.workers == 3 and plan.threads == 21
    assert plan.workers * plan.memory_limit <= 3.6e9
    assert local_plan(ClusterSettings(), cores=2, memory=734003200).memory_limit == 734003200 - 250_000_000


def test_workers_that_could_not_even_start_are_refused():
    with pytest.raises(InputError, match=r"100 workers would have 216 MB each, .* at most 83 --workers"):
        local_plan(ClusterSettings(workers=100), cores=2, memory=24 * 10**9)
    with pytest.raises(InputError, match="1 worker would have 50 MB"):
        local_plan(ClusterSettings(), cores=2, memory=300_000_000)
    assert local_plan(ClusterSettings(workers=83), cores=2, memory=24 * 10**9).memory_limit > LEAST_BYTES


def test_a_limit_that_does_not_fit_says_both_numbers_apart():
    with pytest.raises(InputError, match=r"2 workers of 0.30 GB need more than the 0.59 GB"):
        local_plan(ClusterSettings(workers=2, memory_limit="300MB"), cores=2, memory=590_000_000)
