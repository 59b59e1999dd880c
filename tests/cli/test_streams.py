"""Output that nobody reads, or that cannot be written, costs neither the work nor the exit code: real pipes and devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLI = "from deepict_dask.cli.main import main\nif __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize(
    "streams",
    [
        "2>&1 | head -1",
        "2>'{folder}/err' | true",
        "2>/dev/full",
        ">/dev/full",
        ">/dev/full 2>&1",
        "0<&- 1>&- 2>&-",
        "2>&-",
    ],
)
def test_a_run_ends_well_whatever_becomes_of_its_output(tmp_path, mrc, network, streams):
    if "/dev/full" in streams and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / "cli.py").write_text(CLI)
    command = f"'{sys.executable}' '{tmp_path}/cli.py' run '{mrc}' --model '{network}' -o '{tmp_path}/out' --workers 1 --threads 1"
    if "|" in streams:
        before, after = streams.format(folder=tmp_path).split("|")
        script = f"({command} {before}; echo $? >'{tmp_path}/code') | {after}"
    else:
        script = f"{command} {streams}; echo $? >'{tmp_path}/code'"
    subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=180, check=False,
    )  # fmt: skip
    assert (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "out" / "cell" / "particles.csv").is_file()


def test_what_is_asked_for_on_standard_output_and_lost_is_an_error(tmp_path):
    (tmp_path / "cli.py").write_text(CLI)
    for stream, code in (("| head -1", 0), (">/dev/full", 1)):
        inner = f"'{sys.executable}' '{tmp_path}/cli.py' settings"
        script = (
            f"({inner}; echo $? >'{tmp_path}/code') | head -1"
            if "|" in stream
            else f"{inner} {stream}; echo $? >'{tmp_path}/code'"
        )
        subprocess.run(
            ["bash", "-c", script],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert (tmp_path / "code").read_text() == f"{code}\n"
