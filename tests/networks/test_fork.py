"""A process forked after a network ran in its parent: a sentence, not a wait without an end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, sys
from deepict_dask import open_tomogram, segment
def work():
    return float(segment(open_tomogram(sys.argv[1]), sys.argv[2]).max())
def child():
    try:
        work()
        print("worked")
    except Exception as error:
        print(type(error).__name__, error)
if __name__ == "__main__":
    if sys.argv[3] == "after":
        work()
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(45)
    process.kill()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize(("when", "said"), [("before", "worked"), ("after", "WorkError process")])
def test_forks_after_a_network_ran_are_told(tmp_path, mrc, network, when, said):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", mrc, network, when],
        cwd=Path(__file__).parents[2], env=None, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert said in done.stdout, done.stdout + done.stderr
    assert ("'spawn'" in done.stdout) == (when == "after")
