"""What was written before a kill is not computed again: real kills of clients, workers and schedulers, and late writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
import pytest
from distributed import Client

from deepict_dask.engine.overlap import map_overlap
from deepict_dask.errors import ClusterError, OutputExistsError, WorkError
from deepict_dask.geometry import BlockGrid
from deepict_dask.io.claim import NAME, claimed
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.kernels.statistics import block_statistics
from deepict_dask.provenance import FileInput, Provenance
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_image import Form, write_image
from tests.engine.clusters import ROOT, running_scheduler, running_worker

GRID = BlockGrid((40, 40, 24), (8, 8, 8))
N = 75
MADE = Provenance("equalize", {"source": FileInput("a.mrc", None, {"size": 1})}, {"gain": 2.0})
VALUES = np.arange(40 * 40 * 24, dtype="f4").reshape(GRID.shape)


class Ramp:
    """A stored tomogram; each task reads its block and says so in a file that all processes append to."""

    shape, dtype, ndim = GRID.shape, np.dtype("f4"), 3

    def __init__(self, log: Path, seconds: float):
        self.log, self.seconds = log, seconds

    def __getitem__(self, region):
        time.sleep(self.seconds)
        with open(self.log, "a") as file:
            file.write(".".join(str(r.start // 8) for r in region) + "\n")
        return VALUES[region]

    def __dask_tokenize__(self):
        return "ramp", str(self.log)


def reduced(block, index):
    return index, block_statistics(block)


def write(folder: Path, seconds: float = 0.0, made_by: Provenance = MADE, reporter=None) -> Image:
    voxels = map_overlap(np.asarray, Ramp(folder / "log", seconds), GRID, (0, 0, 0), dtype="f4")

    def finish(parts):
        assert [index for index, _ in parts] == list(np.ndindex(5, 5, 3))
        return {
            "total": sum(part.mean * part.count for _, part in parts),
            "means": [p.mean for _, p in parts],
        }

    form = Form("tomogram", "TS-1", (10.0,) * 3, GRID.core, n_levels=2)
    work = Work(reporter or Reporter())
    return write_image(
        Location.of(folder / "a.zarr"), voxels, form, made_by, work, reduce=reduced, finish=finish
    )


def computed(folder: Path) -> list[str]:
    return (folder / "log").read_text().split() if (folder / "log").exists() else []


def noted(folder: Path) -> dict[str, int]:
    return {
        p.name: p.stat().st_mtime_ns for p in folder.glob("a.zarr/.blocks-*/*") if "partial" not in p.name
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted((folder / "a.zarr").rglob("*"))
        if p.is_file() and "made_by" not in p.name
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    image = write(folder)
    assert sorted(computed(folder)) == sorted(".".join(map(str, i)) for i in np.ndindex(5, 5, 3))
    np.testing.assert_array_equal(image.array[:, :, :], VALUES)
    return contents(folder)


_CLIENT = """
import sys
from pathlib import Path
from deepict_dask.cluster.local import connect
from deepict_dask.config import ClusterSettings
from tests.stages.test_resume import write
if __name__ == "__main__":
    with connect(ClusterSettings(workers=2, threads=1, memory_limit="1GB")):
        write(Path(sys.argv[1]), float(sys.argv[2]))
"""


def start(folder: Path, seconds: float, code: str = _CLIENT) -> subprocess.Popen:
    script = folder / "client.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, script, folder, str(seconds)],
        start_new_session=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_after_a_kill_of_everything_only_what_was_not_finished_is_computed(tmp_path, undisturbed):
    victim = start(tmp_path, 0.1)
    try:
        wait_for(lambda: len(noted(tmp_path)) >= 12, "blocks of the victim")
    finally:
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
    before, marks = computed(tmp_path), noted(tmp_path)
    assert 12 <= len(marks) <= len(before) <= len(marks) + 2, "two were in work"
    told = []
    reporter = type("Telling", (Reporter,), {"say": lambda self, sentence: told.append(sentence)})()
    write(tmp_path, reporter=reporter)
    after = computed(tmp_path)[len(before) :]
    assert not set(after) & set(marks), "what was finished is not computed again"
    assert len(after) == N - len(marks)
    assert contents(tmp_path) == undisturbed
    assert told == [f"TS-1: {len(marks)} of {N} blocks of equalize are there already"]


def test_a_worker_that_dies_takes_no_finished_block_with_it(tmp_path, undisturbed):
    running = start(tmp_path, 0.1)
    try:
        for n in (10, 25, 40):
            wait_for(lambda n=n: len(noted(tmp_path)) >= n, running.poll)
            workers = [
                p
                for p in psutil.Process(running.pid).children(recursive=True)
                if "spawn_main" in str(p.cmdline())
            ]
            workers[n % len(workers)].kill()
        assert running.wait(timeout=90) == 0, running.stderr.read().decode()[-2000:]
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    # What was in work, and what may not have been fetched yet.
    assert len(computed(tmp_path)) <= N + 3 * 2
    assert contents(tmp_path) == undisturbed


def test_a_scheduler_that_dies_costs_what_was_in_work(tmp_path, undisturbed):
    for seconds, fault in ((0.1, True), (0.0, False)):
        with (
            running_scheduler() as (scheduler, address),
            running_worker(address),
            Client(address, timeout="30s", set_as_default=True) as client,
        ):
            client.wait_for_workers(1, timeout=60)
            if not fault:
                before = len(computed(tmp_path))
                write(tmp_path)
                continue
            code = f"import glob, os, time\nwhile len(glob.glob('{tmp_path}/a.zarr/.blocks-*/*')) < 9: time.sleep(0.01)\nos.kill({scheduler.pid}, 9)"
            killer = subprocess.Popen([sys.executable, "-c", code])
            with pytest.raises(ClusterError, match="same command goes on"):
                write(tmp_path, seconds)
            killer.wait()
            time.sleep(1)  # the worker ends, or finishes what it had
            marks = noted(tmp_path)
            assert len(marks) >= 9
    assert len(computed(tmp_path)) - before <= N - len(marks)
    assert contents(tmp_path) == undisturbed


def half_done(folder: Path) -> set[str]:
    """Leave an image of which the first blocks are there, as a client does that was killed."""

    lock, dead = threading.Lock(), []

    class Killed(BaseException):
        pass

    class Kills(Ramp):
        def __getitem__(self, region):
            with lock:
                if dead or len(computed(folder)) >= 20:
                    dead.append(True)
                    raise Killed
                return super().__getitem__(region)

    import tests.stages.test_resume as here

    saved, here.Ramp = here.Ramp, Kills
    try:
        with pytest.raises(Killed):
            write(folder)
    finally:
        here.Ramp = saved
    wait_for(lambda: len(noted(folder)) == len(computed(folder)), "threads that had begun end")
    assert len(noted(folder)) == 20
    (folder / "log").unlink()
    return set(noted(folder))


@pytest.mark.parametrize("damage", ["flipped", "zeros", "missing", "marker"])
def test_blocks_whose_bytes_are_not_those_that_were_written_are_computed_again(tmp_path, undisturbed, damage):
    marks = half_done(tmp_path)
    victims = sorted(marks)[3:6]
    for name in victims:
        file = tmp_path / "a.zarr" / "1" / "c" / name.replace(".", "/")
        if damage == "marker":
            file = next((tmp_path / "a.zarr").glob(f".blocks-*/{name}"))
        data = file.read_bytes()
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(
                bytes(len(data)) if damage == "zeros" else data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
            )
    write(tmp_path)
    assert set(victims) <= set(computed(tmp_path))
    assert len(computed(tmp_path)) == N - len(marks) + 3
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize(
    "made_by",
    [
        replace(MADE, settings={"gain": 3.0}),
        replace(MADE, recorded={"runtime": "torch"}),
        MADE.with_file("source", FileInput("a.mrc", None, {"size": 2})),
    ],
    ids=["settings", "runtime", "another source"],
)
def test_blocks_of_anything_else_are_nothing(tmp_path, made_by):
    half_done(tmp_path)
    image = write(tmp_path, made_by=made_by)
    assert len(computed(tmp_path)) == N
    image.check_whole(deep=True)


def test_blocks_of_another_version_are_nothing(tmp_path, monkeypatch):
    half_done(tmp_path)
    monkeypatch.setattr("deepict_dask.stages.write_image.__version__", "999")
    write(tmp_path)
    assert len(computed(tmp_path)) == N


def test_a_finished_image_is_not_written_over(tmp_path):
    write(tmp_path)
    with pytest.raises(OutputExistsError):
        write(tmp_path)


def test_a_block_upstream_that_no_missing_block_needs_is_not_computed(tmp_path):
    """Halos are borrowed from neighbors: only those of missing blocks."""
    log = tmp_path / "log"

    def make(block_id=None):
        with open(log, "a") as file:
            file.write(".".join(map(str, block_id)) + "\n")
        return np.full((8, 8, 8), sum(block_id), "f4")

    grid = BlockGrid((8, 8, 80), (8, 8, 8))
    source = da.map_blocks(make, chunks=((8,), (8,), (8,) * 10), dtype="f4", meta=np.empty((0, 0, 0), "f4"))
    voxels = map_overlap(lambda b: b[:, :, 2:-2], source, grid, (0, 0, 2), dtype="f4")
    form = Form("tomogram", "a", (10.0,) * 3, grid.core, n_levels=1)

    def run():
        return write_image(
            Location.of(tmp_path / "a.zarr"),
            voxels,
            form,
            MADE,
            Work(),
            reduce=reduced,
            finish=lambda parts: {},
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepict_dask.stages.write_image.finish_image", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    next((tmp_path / "a.zarr").glob(".blocks-*/0.0.9")).unlink()
    log.unlink()
    run()
    assert sorted(log.read_text().split()) == ["0.0.8", "0.0.9"]


def test_who_lost_its_claim_neither_finishes_nor_removes(tmp_path):
    """Neither when all went well, nor when its own view of the tomogram is a bad one."""
    half_done(tmp_path)
    file = tmp_path / NAME
    form = Form("tomogram", "TS-1", (10.0,) * 3, GRID.core, n_levels=2)
    for fails in (False, True):

        def finish(parts, fails=fails):
            file.write_text(json.dumps(asdict(replace(claim.owner, token="other", what="second"))))
            return {} if not fails else 1 / 0

        with claimed(Location.of(tmp_path), "first") as claim:
            voxels = map_overlap(np.asarray, Ramp(tmp_path / "log", 0), GRID, (0, 0, 0), dtype="f4")
            work = Work(claim=claim)
            with pytest.raises(WorkError, match="taken over by `second`"):
                write_image(
                    Location.of(tmp_path / "a.zarr"), voxels, form, MADE, work, reduce=reduced, finish=finish
                )
        assert not open_image(tmp_path / "a.zarr").is_complete and len(noted(tmp_path)) == N
        file.unlink()


_STOPPED = """
import os, signal, sys
import numpy as np
from deepict_dask.io.ome_zarr import open_image
import deepict_dask.io.stored_array as stored_array
writer = open_image(sys.argv[1]).writer
halved = stored_array.mean_pyramid_block
def stopping(block, n):
    blocks = halved(block, n)
    os.kill(os.getpid(), signal.SIGSTOP)
    return blocks
stored_array.mean_pyramid_block = stopping
region = (slice(0, 8),) * 3
block = np.load(sys.argv[2])
writer.note((0, 0, 0), "late", writer.write(region, block))
"""


@pytest.mark.parametrize("settings", ["same", "other"])
def test_a_writer_that_was_stopped_and_goes_on_late_changes_nothing(tmp_path, undisturbed, settings):
    half_done(tmp_path)
    np.save(tmp_path / "block.npy", VALUES[:8, :8, :8] if settings == "same" else np.zeros((8, 8, 8), "f4"))
    late = subprocess.Popen(
        [sys.executable, "-c", _STOPPED, tmp_path / "a.zarr", tmp_path / "block.npy"],
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        wait_for(lambda: psutil.Process(late.pid).status() == psutil.STATUS_STOPPED, "the writer stops")
        made_by = MADE if settings == "same" else replace(MADE, settings={"gain": 3.0})
        image = write(tmp_path, made_by=made_by)
        before = contents(tmp_path)
    finally:
        os.kill(late.pid, signal.SIGCONT)
        error = late.communicate(timeout=60)[1].decode()
    assert contents(tmp_path) == before
    image.check_whole(deep=True)
    if settings == "same":
        assert late.returncode == 0, error
        assert before == undisturbed
    else:
        assert "was replaced" in error
    assert open_image(image.location).is_complete
