"""Workers of this program under a user's own Dask settings, and under faults: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import pytest

from deepict_dask.cluster.own_settings import own_settings
from deepict_dask.cluster.requirements import check_requirements
from deepict_dask.errors import WorkError

ROOT = Path(__file__).parents[2]
SUM = """
from deepict_dask.cluster import connect
from deepict_dask.config import ClusterSettings
if __name__ == "__main__":
    said = []
    with connect(ClusterSettings(workers=1, threads=1, memory_limit="1GB", dashboard_port={port}), said.append) as client:
        print(client.submit(sum, [1, 2]).result(timeout=60), client.dashboard_link, *said)
"""


def compute(folder: Path, port: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SUM.format(port=port))
    return subprocess.run(
        [sys.executable, folder / "script.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


D = "DASK_DISTRIBUTED__"


@pytest.mark.parametrize(
    "environment",
    [
        {D + "COMM__REQUIRE_ENCRYPTION": "True", D + "NANNY__PRELOAD": '["no_such_module"]'},
        {D + "SCHEDULER__PRELOAD": '["no_such_module"]', D + "WORKER__PRELOAD": '["no_such_module"]'},
        {D + "WORKER__LIFETIME__DURATION": "1ms", D + "SCHEDULER__IDLE_TIMEOUT": "1ms"},
        {D + "DASHBOARD__LINK": "{NOBODY_SET_THIS}/{port}", "DASK_TEMPORARY_DIRECTORY": "/nowhere/at/all"},
        {"DASK_TEMPORARY_DIRECTORY": "{folder}", D + "DASHBOARD__LINK": "see/{port}/status"},
    ],
    ids=["encryption", "preloads", "lifetimes", "made for another session", "usable"],
)
def test_a_users_own_settings_neither_end_nor_hang_a_run(tmp_path, environment):
    environment = {k: v.replace("{folder}", str(tmp_path)) for k, v in environment.items()}
    done = compute(tmp_path, **environment)
    assert done.returncode == 0 and done.stdout.startswith("3 "), done.stderr
    assert done.stderr == ""
    assert ("see/" in done.stdout) == ("see" in environment.get(D + "DASHBOARD__LINK", ""))


def test_a_folder_for_temporary_files_is_kept_where_there_is_one(tmp_path):
    for folder, kept in ((str(tmp_path), str(tmp_path)), (str(tmp_path / "absent"), None), (None, None)):
        with dask.config.set({"temporary-directory": folder}):
            assert own_settings()["temporary-directory"] == kept


@pytest.mark.parametrize("module", ["select", "signal", "struct"])
def test_modules_of_the_working_folder_are_not_the_workers(tmp_path, module):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{module}.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "script.py").write_text(SUM.format(port=0))
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=elsewhere, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.startswith("3 "), done.stderr


def test_a_dashboard_port_that_is_taken_is_said(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = compute(tmp_path, port)
        assert f"port {port} is taken by another program" in done.stdout, done.stderr


def test_few_open_files_and_a_working_folder_that_is_gone_are_sentences(tmp_path):
    code = (
        "import resource, os, sys; from deepict_dask.cluster.requirements import check_requirements\n"
        "if sys.argv[1] == 'files': resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))\n"
        "else: os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "check_requirements(1)\n"
    )
    for fault, sentence in (("files", "may open 32 files"), ("folder", "working folder does not exist")):
        done = subprocess.run(
            [sys.executable, "-c", code, fault],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert sentence in done.stderr.splitlines()[-1]
    check_requirements(2)


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_of_all_processes_is_one_line(tmp_path, mrc, network, end, code):
    command = [sys.executable, "-c", "from deepict_dask.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, "run", mrc, "--model", network, "-o", tmp_path / "o", "--block", "8", "--workers", "1"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    for line in process.stderr:
        if "with a halo of" in line:
            break
    time.sleep(0.5)
    os.killpg(process.pid, end)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    lines = [line for line in said.splitlines() if line.strip() and ": segment " not in line]
    assert len(lines) == 1 and lines[0].startswith("stopped;"), said


def test_no_semaphores_are_a_sentence(monkeypatch):
    import multiprocessing

    class Without:
        def Lock(self):
            raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: Without())
    with pytest.raises(WorkError, match="/dev/shm does not take any"):
        check_requirements(1)


UNGUARDED = """
from deepict_dask.cluster import connect
from deepict_dask.config import ClusterSettings
with connect(ClusterSettings(workers=1, threads=1, memory_limit="1GB")) as client:
    print(client.submit(sum, [1, 2]).result(timeout=60))
"""


def test_a_script_without_a_guard_is_told_of_it(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    options = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([sys.executable, "script.py"], check=False, **options)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("put what it does under `if __name__ == '__main__':`")
    piped = subprocess.run([sys.executable, "-"], input=UNGUARDED, check=False, **options)
    assert piped.returncode == 1 and "standard input" in piped.stderr.splitlines()[-1]


DYING = """
import os, sys, time
import dask.array as da
from deepict_dask.cluster import connect, local
from deepict_dask.config import ClusterSettings
from deepict_dask.engine.execute import execute, per_block
local.MOST_DEATHS = 2
def dies_now_and_then(block, index, seen):
    time.sleep(0.3)
    mark = f"{seen}/{index[0]}"
    every = int(sys.argv[1])
    if every == 1 or index[0] % every == 0 and not os.path.exists(mark):
        open(mark, "w").close()
        os._exit(3)
    return index[0]
if __name__ == "__main__":
    with connect(ClusterSettings(workers=1, threads=1, memory_limit="1GB")):
        print(sum(execute(per_block(dies_now_and_then, da.zeros(16, chunks=1), seen=sys.argv[2]))))
"""


@pytest.mark.parametrize(("every", "ends"), [(3, True), (1, False)])
def test_deaths_of_workers_end_a_run_only_if_no_block_is_finished_between_them(tmp_path, every, ends):
    script = DYING.replace("sys.argv[1]", repr(str(every))).replace("sys.argv[2]", repr(str(tmp_path)))
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    if ends:
        assert done.stdout.split() == [str(sum(range(16)))], done.stderr[-2000:]
        assert len([f for f in tmp_path.iterdir() if f.name.isdigit()]) == 6
    else:
        assert "workers died 2 times in a minute" in done.stderr, done.stdout
