"""Memory of workers: each formula against the measured peak, and work that does not fit is refused before it starts."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from deepict_dask.engine.execute import Workers
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, storage_grid
from deepict_dask.kernels.resample import rescaled_shape
from deepict_dask.networks.architecture import Architecture
from deepict_dask.stages import memory
from deepict_dask.stages.memory import Memory, check_memory
from tests.conftest import write_mrc

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")


def peaks(threads, *commands):
    """Peaks of workers in bytes, one fresh worker per command."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-m", "tests.stages.peak", str(threads), words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def holds(name, formula, measured):
    """A bound, and not a vacuous one."""
    print(f"{name:28} {formula.total / 1e9:6.3f} GB {measured / 1e9:6.3f} GB")
    return measured <= formula.total <= 2.5 * measured


def noise(shape, dtype):
    return np.random.default_rng(0).normal(100, 20, shape).astype(dtype)


@linux
def test_ingesting_takes_no_more_than_the_formula_says(tmp_path):
    shape = (104, 208, 312)
    cell = write_mrc(tmp_path / "cell.mrc", noise(shape, "i2"))
    (measured,) = peaks(2, ["ingest", cell, "-o", tmp_path / "run"])
    assert holds("ingest", memory.ingest(storage_grid(shape), 2, 2), measured)


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "threads"), [("i2", 1), ("i2", 2), ("f4", 2)])
def test_no_stage_takes_more_than_its_formula_says(tmp_path, dtype, threads):
    from deepict_dask.data import demo_network_path
    from deepict_dask.networks.checkpoint import load_model

    shape, halo, run, i = (208, 416, 624), (24, 24, 24), tmp_path / "run", np.dtype(dtype).itemsize
    volume = noise(shape, dtype)
    cell, target = (
        write_mrc(tmp_path / "cell.mrc", volume),
        write_mrc(tmp_path / "t.mrc", volume[:96, :96, :96]),
    )
    table, model = tmp_path / "p.csv", demo_network_path()
    positions = np.argwhere(np.ones([n // 20 for n in shape])) * 20 + 10
    table.write_text("z,y,x\n" + "\n".join(",".join(map(str, p)) for p in positions))
    for other in ("deepict", "rescaled"):
        peaks(2, ["ingest", cell, "-o", tmp_path / other])
    to = ("--target-spectrum", target)
    small = ("--rescale", "--model-voxel-size", 20, "--block", 48)
    measured = peaks(
        threads,
        ["ingest", cell, "-o", run],
        ["equalize", cell, "-o", run, *to],
        ["equalize", cell, "-o", tmp_path / "deepict", *to, "--convention", "deepict"],
        ["segment", cell, "-o", run, *to, "--model", model, "--runtime", "openvino"],
        ["pick", run, "--threshold", 0.1],
        ["pick", run, "--threshold", 0.1, "--write-labels", "--overwrite"],
        ["masks", cell, "-p", table, "-o", run, "--radius", 6],
        ["segment", cell, "-o", tmp_path / "rescaled", "--model", model, *small],
        ["evaluate", run, run / "cell" / "masks.zarr"],
        # Blocks are searched where they are computed.
        [
            "run",
            cell,
            "-o",
            run,
            *to,
            "--model",
            model,
            "--runtime",
            "openvino",
            "--dtype",
            "float32",
            "--overwrite",
            "--threshold",
            0.1,
        ],
    )
    grid, architecture = storage_grid(shape), load_model(model).architecture
    ratio = (20 / 13.48,) * 3
    formulas = {
        "ingest": memory.ingest(grid, i, threads),
        "equalize, physical": memory.equalize_physical(grid, halo, i, threads),
        "equalize, deepict": memory.equalize_deepict(shape, grid, threads, 1),
        "segment": memory.segment(architecture, "openvino", grid.core, halo, 4, threads),
        "pick": memory.pick(grid.core, 1, threads),
        "label image": memory.labels(grid, 1, threads),
        "masks": memory.masks(grid, 1, threads),
        "rescale": memory.rescale(storage_grid(rescaled_shape(shape, ratio)), ratio, i, threads),
        "evaluate voxels": memory.evaluate_voxels(grid, 2, threads),
        "segment and pick": memory.segment(architecture, "openvino", grid.core, halo, 4, threads),
    }
    assert grid.core == (208, 208, 208)
    failed = [name for (name, f), m in zip(formulas.items(), measured, strict=True) if not holds(name, f, m)]
    assert not failed


def test_bounds_of_blocks_know_no_tomogram_and_threads_add_up():
    core = (208, 208, 208)
    small, large = (BlockGrid(tuple(2 * k * n for k in core), core) for n in (1, 5))
    for formula in (
        lambda g: memory.equalize_physical(g, (24, 24, 24), 4, 2),
        lambda g: memory.rescale(g, (1.5, 1.5, 1.5), 4, 2),
        lambda g: memory.masks(g, 2, 2),
        lambda g: memory.evaluate_voxels(g, 2, 2),
    ):
        assert formula(small) == formula(large)
    one, three = (memory.pick(core, 1, threads).total for threads in (1, 3))
    assert three - one == 2 * memory.pick(core, 1, 1).per_thread


@pytest.mark.parametrize("n_classes", [1, 3])
@pytest.mark.parametrize("in_boxes", [False, True])
def test_segmenting_holds_what_picking_of_its_blocks_takes(n_classes, in_boxes):
    """Also where the network itself takes next to nothing: no halo, one byte per voxel."""
    core = (200, 200, 200)
    needed = memory.segment(
        Architecture(1, 1, out_classes=n_classes), "openvino", core, (0, 0, 0), 1, 1, in_boxes=in_boxes
    )
    # The map's block in float32, and one class of it at a time with its region.
    assert needed.per_thread >= 4 * n_classes * 200**3 + memory.pick(core, 5, 1).per_thread


def test_a_large_global_fft_is_shared_by_the_workers():
    shape = (500, 960, 928)
    one, two = (memory.equalize_deepict(shape, storage_grid(shape), 1, n).total for n in (1, 2))
    # Measured on two workers: 2.5 GB each.
    assert 2.5e9 < two < 2.5 * 2.5e9 and one > 5e9


def test_what_does_not_fit_is_said_with_digits_that_differ(monkeypatch):
    monkeypatch.setattr(memory, "workers", lambda: Workers(2, 2, 400_000_000))
    check_memory(Memory(300_000_000, 20_000_000, 2), "blocks", "do something")
    with pytest.raises(
        InputError, match=r"^blocks need 0\.3402 GB per worker, .* can use 0\.3400 GB; use less$"
    ):
        check_memory(Memory(300_200_000, 20_000_000, 2), "blocks", "use less")
    monkeypatch.setattr(memory, "workers", lambda: None)
    check_memory(Memory(10**12, 0), "blocks", "use less")


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (260_000_000, "blocks of 64 x 88 x 104 voxels need"),
        (302_000_000, "blocks of up to 48 voxels need .* --block"),
    ],
)
def test_stages_refuse_what_does_not_fit_the_workers(
    client, mrc, network, tmp_path, monkeypatch, n_bytes, words
):
    from deepict_dask.campaign.plan import plan_run
    from deepict_dask.campaign.run import run
    from deepict_dask.config import load_settings
    from deepict_dask.io.location import Location

    monkeypatch.setattr(memory, "workers", lambda: Workers(1, 1, n_bytes))
    plan = plan_run([str(mrc)], Location.of(tmp_path), load_settings(None, {"model": str(network)}))
    (outcome,) = run(plan)
    with pytest.raises(InputError, match=words):
        raise outcome.error


def run_within(monkeypatch, n_bytes, mrc, output, network, **options):
    """Run with the settings and threads of a cluster whose workers have so much memory."""
    from deepict_dask.campaign.plan import plan_run
    from deepict_dask.campaign.run import run
    from deepict_dask.config import load_settings
    from deepict_dask.io.location import Location
    from deepict_dask.stages.report import Reporter

    class Told(Reporter):
        def __init__(self):
            self.sentences = []

        def say(self, sentence):
            self.sentences.append(sentence)

    told = Told()
    monkeypatch.setattr(memory, "workers", lambda: Workers(1, 1, n_bytes))
    settings = load_settings(None, {"model": str(network), "min_size": 20, "threshold": 0.4, **options})
    (outcome,) = run(plan_run([str(mrc)], Location.of(output), settings), reporter=told)
    return outcome, told.sentences


def test_blocks_that_nobody_set_shrink_to_what_workers_can_hold_and_stay(mrc, network, tmp_path, monkeypatch):
    """What is stored follows from shape and settings: a block that was chosen once is one of the settings."""
    from deepict_dask.io.location import Location
    from deepict_dask.stages.run_folder import read_settings

    def map_of(output):
        return {
            p.relative_to(output): p.read_bytes()
            for p in (output / "cell" / "probability.zarr").rglob("c/**/*")
            if p.is_file()
        }

    def table_of(output):
        return (output / "cell" / "particles.csv").read_bytes()

    small, whole = tmp_path / "small", tmp_path / "whole"
    shrunk, sentences = run_within(monkeypatch, 345_000_000, mrc, small, network)
    assert shrunk.error is None, shrunk.error
    (said,) = [s for s in sentences if "--block sets it" in s]
    edge = int(said.split("blocks of up to ")[1].split()[0])
    assert edge < 208 and said.endswith("since workers have not the memory for 208; --block sets it")
    effective = read_settings(Location.of(small / "cell" / "settings.yaml"))
    assert effective is not None and effective.segment.block == edge
    assert read_settings(Location.of(small / "settings.yaml")).segment.block is None
    large, _ = run_within(monkeypatch, 10**12, mrc, whole, network)
    assert large.error is None and len(map_of(whole)) < len(map_of(small))
    assert table_of(whole) == table_of(small)
    # On a machine with more memory the map is kept, as it is.
    before = map_of(small)
    again, _ = run_within(monkeypatch, 10**12, mrc, small, network)
    assert again.error is None and again.kept >= {"ingest", "segment", "pick"} and map_of(small) == before
    assert read_settings(Location.of(small / "cell" / "settings.yaml")).segment.block == edge


def test_a_block_that_was_set_is_refused_and_never_changed(mrc, network, tmp_path, monkeypatch):
    outcome, _ = run_within(monkeypatch, 345_000_000, mrc, tmp_path / "out", network, block=208)
    with pytest.raises(InputError, match=r"blocks of up to 208 voxels need .* smaller --block"):
        raise outcome.error
    shrunk, _ = run_within(monkeypatch, 345_000_000, mrc, tmp_path / "out", network)
    assert shrunk.error is None
    with pytest.raises(InputError, match=r"was made with block \d+ and not 208"):
        run_within(monkeypatch, 10**12, mrc, tmp_path / "out", network, block=208)
