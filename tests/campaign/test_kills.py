"""A command that is killed with its workers, again and again, and typed again each time: nothing finished is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import ndimage

from tests.campaign.conftest import go, tables
from tests.conftest import write_mrc
from tests.engine.clusters import ROOT

# Of the map of a tomogram: 3 x 5 x 5.
N_BLOCKS = 75


@pytest.fixture(scope="module")
def large_cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    for n in range(2):
        noise = ndimage.gaussian_filter(np.random.default_rng(n).normal(size=(70, 131, 153)), 2)
        write_mrc(folder / f"TS-{n}.mrc", (20 * noise / noise.std()).astype("f4"))
    return folder


def command(cells, output, network):
    words = ["run", cells, "-o", output, "--model", network, "--workers", 2, "--threads", 1]
    words += ["--memory-limit", "1GB", "--min-size", 5, "--threshold", 0.4, "--block", 32]
    program = "import sys; from deepict_dask.cli.main import main; main(sys.argv[1:])"
    return [sys.executable, "-c", program, *map(str, words)]


def marked(output):
    """Shards of the blocks that are noted as finished, with what tells that they were written."""
    found = {}
    for marker in output.glob("*/*.zarr/.blocks-*/*"):
        if ".partial" not in marker.name:
            shard = marker.parents[1] / "0" / "c" / marker.name.replace(".", "/")
            found[shard] = (os.stat(shard).st_mtime_ns, os.stat(shard).st_ino)
    return found


def test_a_command_that_is_killed_and_typed_again_ends_as_if_it_never_was(large_cells, network, tmp_path):
    undisturbed, output = tmp_path / "undisturbed", tmp_path / "out"
    assert all(o.error is None for o in go(large_cells, undisturbed, network))
    finished: dict = {}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kill in range(4):
        process = subprocess.Popen(
            command(large_cells, output, network),
            start_new_session=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        goal = len(marked(output)) + 12
        end = time.monotonic() + 90
        while len(marked(output)) < goal and process.poll() is None and kill < 3:
            assert time.monotonic() < end
            time.sleep(0.005)
        if kill < 3:
            assert process.poll() is None, "it was to be killed"
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait(timeout=120)
        before, finished = finished, finished | marked(output)
        for shard, facts in before.items():
            stat = os.stat(shard)
            assert (stat.st_mtime_ns, stat.st_ino) == facts, f"{shard} was written twice"
    assert code == 0 and len(finished) >= 36
    assert tables(output) == tables(undisturbed)
    assert not [*output.rglob(".blocks*")] and not [*output.rglob("*.partial")]
    assert len([*output.glob("TS-0/probability.zarr/0/c/*/*/*")]) == N_BLOCKS
