"""The whole job: nothing depends on cutting, nothing done is done again, nothing wrong passes."""

from __future__ import annotations

import errno
import gzip
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from distributed import SchedulerPlugin

import deepict_dask
from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.campaign.summary import read_summary
from deepict_dask.config import load_settings
from deepict_dask.errors import FormatError, InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.stages.picking.pick import pick
from deepict_dask.stages.work import Work
from tests.conftest import write_mrc


def go(tomograms, output, overwrite=False, until="pick", config=None, **options):
    settings = load_settings(config, options)
    paths = [str(t) for t in tomograms]
    plan = plan_run(paths, Location.of(output), settings, until=until, overwrite=overwrite)
    return run(plan, threads=1)


def everything(folder):
    """Give every file with its contents, but for what tells when a run was."""
    files = (
        p
        for p in Path(folder).rglob("*")
        if p.is_file() and p.name not in ("summary.json", "run.log", "report.html")
    )
    return {p.relative_to(folder): p.read_bytes() for p in files}


def picks(output, name="cell"):
    return pd.read_csv(Path(output) / name / "particles.csv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, volume, network):
    """One run with defaults, on threads in this process."""
    folder = tmp_path_factory.mktemp("run")
    write_mrc(folder / "cell.mrc", volume)
    (outcome,) = go(
        [folder / "cell.mrc"], folder / "out", model=str(network), min_size=20, threshold=THRESHOLD
    )
    assert outcome.error is None
    return folder


# Of the random network's output: some dozens of components stand out.
THRESHOLD = 0.4


def test_a_run_leaves_complete_outputs_and_a_table(finished, volume):
    out = finished / "out" / "cell"
    for name in ("tomogram", "probability"):
        image = open_image(out / f"{name}.zarr")
        assert image.is_complete and image.attributes["package_version"] == deepict_dask.__version__
    np.testing.assert_array_equal(open_image(out / "tomogram.zarr").array[:], volume)
    statistics = open_image(out / "tomogram.zarr").attributes["statistics"]
    assert statistics["mean"] == pytest.approx(volume.mean(dtype="f8"), rel=1e-12)
    assert statistics["std"] == pytest.approx(volume.std(dtype="f8"), rel=1e-12)
    table = picks(finished / "out")
    assert len(table) > 10 and (table["size"] > 20).all()
    np.testing.assert_allclose(table["z_angstrom"], table["z"] * 13.48)


def test_picks_are_those_of_scipy_on_the_stored_map(finished):
    from scipy import ndimage

    levels = open_image(finished / "out" / "cell" / "probability.zarr").array[:]
    labels, _n = ndimage.label(levels / 255 > THRESHOLD, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    kept = np.flatnonzero(sizes > 20) + 1
    centroids = ndimage.center_of_mass(np.ones_like(labels), labels, kept)
    table = picks(finished / "out")
    np.testing.assert_array_equal(table["label"], kept)
    np.testing.assert_allclose(table[["z", "y", "x"]], centroids, atol=1e-9)
    np.testing.assert_allclose(table["score"], ndimage.mean(levels / 255, labels, kept), rtol=1e-12)


def test_workers_and_processes_do_not_show(finished, network, client, tmp_path):
    (outcome,) = go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=20, threshold=THRESHOLD)
    assert outcome.error is None
    pd.testing.assert_frame_equal(picks(tmp_path), picks(finished / "out"), check_exact=True)


@pytest.mark.parametrize("chunks", [(8, 8, 8), (37, 83, 101), (5, 64, 31)])
def test_how_the_source_was_chunked_does_not_show(finished, network, volume, tmp_path, chunks):
    group = zarr.open_group(tmp_path / "cell.zarr", mode="w")
    array = group.create_array("0", shape=volume.shape, dtype="f4", chunks=chunks)
    array[:] = volume
    scale = [{"type": "scale", "scale": [13.48] * 3}]
    axes = [{"name": n, "type": "space", "unit": "angstrom"} for n in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    (outcome,) = go(
        [tmp_path / "cell.zarr"], tmp_path / "out", model=str(network), min_size=20, threshold=THRESHOLD
    )
    assert outcome.error is None
    pd.testing.assert_frame_equal(picks(tmp_path / "out"), picks(finished / "out"), check_exact=True)


@pytest.mark.parametrize("block", [16, 40])
def test_the_block_does_not_show_in_the_particles(finished, network, tmp_path, block):
    go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=20, threshold=THRESHOLD, block=block)
    ours = open_image(tmp_path / "cell" / "probability.zarr").array[:].astype(int)
    whole = open_image(finished / "out" / "cell" / "probability.zarr").array[:].astype(int)
    assert abs(ours - whole).max() <= 1 and (ours != whole).mean() < 1e-3
    pd.testing.assert_frame_equal(
        picks(tmp_path)[["label", "z", "size"]], picks(finished / "out")[["label", "z", "size"]]
    )


def test_a_second_run_computes_nothing(finished, network, monkeypatch):
    import deepict_dask.stages.contents
    import deepict_dask.stages.picking.pick
    import deepict_dask.stages.write_image

    for stage in (
        deepict_dask.stages.picking.pick,
        deepict_dask.stages.contents,
        deepict_dask.stages.write_image,
    ):
        monkeypatch.setattr(stage, "execute", lambda *a, **k: pytest.fail("computed again"))
    (outcome,) = go(
        [finished / "cell.mrc"], finished / "out", model=str(network), min_size=20, threshold=THRESHOLD
    )
    assert outcome.error is None and outcome.picked[0].n_particles == len(picks(finished / "out"))
    assert outcome.kept == {"ingest", "segment", "pick"}


def test_other_settings_are_refused_until_overwritten(finished, network, tmp_path):
    go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=20, threshold=THRESHOLD)
    before = picks(tmp_path)
    files = everything(tmp_path)
    with pytest.raises(OutputExistsError, match="min_size 20 and not 50"):
        go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=50, threshold=THRESHOLD)
    # A refused run touches nothing, the run's settings among it.
    assert everything(tmp_path) == files
    (outcome,) = go(
        [finished / "cell.mrc"],
        tmp_path,
        overwrite=True,
        model=str(network),
        min_size=50,
        threshold=THRESHOLD,
    )
    assert outcome.error is None
    pd.testing.assert_frame_equal(
        picks(tmp_path), before[before["size"] > 50].reset_index(drop=True), check_exact=True
    )


def test_an_interrupted_stage_is_done_again_and_the_finished_ones_are_not(
    finished, network, tmp_path, monkeypatch
):
    from deepict_dask.stages import write_image as stage

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    go([finished / "cell.mrc"], tmp_path, until="ingest")
    with monkeypatch.context() as patch:
        patch.setattr(stage, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=20, threshold=THRESHOLD)
    ingested = (tmp_path / "cell" / "tomogram.zarr" / "zarr.json").stat().st_mtime_ns
    assert not open_image(tmp_path / "cell" / "probability.zarr").is_complete
    go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=20, threshold=THRESHOLD)
    assert (tmp_path / "cell" / "tomogram.zarr" / "zarr.json").stat().st_mtime_ns == ingested
    pd.testing.assert_frame_equal(picks(tmp_path), picks(finished / "out"), check_exact=True)


def test_one_bad_tomogram_does_not_stop_the_others(finished, network, tmp_path, volume):
    holes = volume.copy()
    holes[3, 4, 5] = np.nan
    write_mrc(tmp_path / "holes.mrc", holes)
    write_mrc(tmp_path / "flat.mrc", np.full((8, 9, 10), 7, "f4"))
    write_mrc(tmp_path / "whole.mrc", volume)
    (tmp_path / "short.mrc").write_bytes((tmp_path / "whole.mrc").read_bytes()[:-1000])
    names = ("holes", "flat", "short", "whole")
    outcomes = go(
        [tmp_path / f"{n}.mrc" for n in names],
        tmp_path / "o",
        model=str(network),
        min_size=20,
        threshold=THRESHOLD,
    )
    errors = {o.name: o.error for o in outcomes}
    assert "voxels that are NaN or infinite: 1" in str(errors["holes"]) and isinstance(
        errors["holes"], FormatError
    )
    assert "constant" in str(errors["flat"])
    assert "1000" in str(errors["short"]) or "cut off" in str(errors["short"])
    assert errors["whole"] is None
    assert not (tmp_path / "o" / "holes" / "tomogram.zarr").exists()
    same = picks(tmp_path / "o", "whole").drop(columns="tomogram")
    pd.testing.assert_frame_equal(same, picks(finished / "out").drop(columns="tomogram"), check_exact=True)


def test_a_full_disk_ends_the_run_and_is_mended_by_running_again(finished, network, tmp_path, monkeypatch):
    from deepict_dask.io.stored_array import ImageWriter

    def full(self, region, block):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(ImageWriter, "write", full)
        with pytest.raises(OSError) as failure:
            go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=20, threshold=THRESHOLD)
    assert failure.value.errno == errno.ENOSPC
    # Nothing is wrong with the tomogram.
    assert read_summary(Location.of(tmp_path)).tomograms[0].state == "stopped"
    (outcome,) = go([finished / "cell.mrc"], tmp_path, model=str(network), min_size=20, threshold=THRESHOLD)
    assert outcome.error is None
    pd.testing.assert_frame_equal(picks(tmp_path), picks(finished / "out"), check_exact=True)


def test_a_killed_worker_costs_nothing_but_time(finished, network, tmp_path):
    from deepict_dask.cluster import connect
    from deepict_dask.config import ClusterSettings

    killed = []

    class Killer:
        def __init__(self, client):
            self.client = client

        def __call__(self, n):
            if not killed:
                pids = list(self.client.run(os.getpid).values())
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

    from contextlib import contextmanager

    from deepict_dask.stages.report import Reporter

    class KillingReporter(Reporter):
        @contextmanager
        def progress(self, stage, tomogram, n_blocks, unit="block"):
            yield Killer(client) if stage == "segment" else (lambda n: None)

    settings = load_settings(
        None, {"model": str(network), "min_size": 20, "threshold": THRESHOLD, "block": 40}
    )
    with connect(ClusterSettings(workers=2, threads=1, memory_limit="1GB", dashboard_port=0)) as client:
        plan = plan_run([str(finished / "cell.mrc")], Location.of(tmp_path), settings)
        (outcome,) = run(plan, threads=1, reporter=KillingReporter())
    assert killed and outcome.error is None
    columns = ["label", "z", "y", "x", "size"]
    pd.testing.assert_frame_equal(picks(tmp_path)[columns], picks(finished / "out")[columns])


def test_a_region_of_another_shape_is_refused_with_both_shapes(finished, network, tmp_path):
    write_mrc(tmp_path / "mask.mrc", np.ones((37, 83, 100), "i1"))
    with pytest.raises(InputError, match="37 x 83 x 100 voxels .* 37 x 83 x 101 voxels"):
        go([finished / "cell.mrc"], tmp_path / "o", model=str(network), region=str(tmp_path / "mask.mrc"))
    assert not (tmp_path / "o").exists()


def test_a_region_keeps_particles_inside(finished, network, tmp_path):
    mask = np.zeros((37, 83, 101), "i1")
    mask[:, :, 50:] = 1
    write_mrc(tmp_path / "cell_region.mrc", mask)
    (outcome,) = go(
        [finished / "cell.mrc"],
        tmp_path / "o",
        model=str(network),
        min_size=20,
        threshold=THRESHOLD,
        region=str(tmp_path / "{name}_region.mrc"),
    )
    assert outcome.error is None
    table = picks(tmp_path / "o")
    assert 0 < len(table) < len(picks(finished / "out")) and (table["x"] >= 50).all()


def test_equalized_and_rescaled_runs_report_positions_in_the_tomograms_own_voxels(volume, network, tmp_path):
    coarse = volume[::2, ::2, ::2]
    write_mrc(tmp_path / "cell.mrc", coarse, 26.96)
    write_mrc(tmp_path / "target.mrc", volume[:, ::-1])
    (outcome,) = go(
        [tmp_path / "cell.mrc"],
        tmp_path / "o",
        model=str(network),
        rescale=True,
        target_spectrum=str(tmp_path / "target.mrc"),
        min_size=20,
        threshold=THRESHOLD,
    )
    assert outcome.error is None
    rescaled = open_image(tmp_path / "o" / "cell" / "rescaled.zarr")
    assert rescaled.voxel_size == (13.48,) * 3
    assert open_image(tmp_path / "o" / "cell" / "equalized.zarr").attributes["truncation_error"] < 0.005
    table = picks(tmp_path / "o")
    assert len(table) > 5
    assert (table[["z", "y", "x"]].max() <= np.array(coarse.shape)).all() and table[
        "x"
    ].max() > 0.7 * coarse.shape[2]
    np.testing.assert_allclose(table["x_angstrom"], table["x"] * 26.96)
    # A region mask has the tomogram's own voxels too, also where the network saw others.
    mask = np.zeros(coarse.shape, "i1")
    mask[:, :, 25:] = 1
    write_mrc(tmp_path / "mask.mrc", mask, 26.96)
    config = load_settings(
        None, {"region": str(tmp_path / "mask.mrc"), "min_size": 20, "threshold": THRESHOLD}
    )
    probability = open_image(tmp_path / "o" / "cell" / "probability.zarr")
    pick(probability, Location.of(tmp_path / "again"), config.pick, Work())
    inside = pd.read_csv(tmp_path / "again" / "particles.csv")
    assert 0 < len(inside) < len(table) and (inside["x"] >= 24.5).all()


def test_a_wrong_voxel_size_is_said_once_and_rescaling_needs_to_know_the_right_one(
    finished, network, tmp_path
):
    from deepict_dask.stages.report import Reporter

    said = []

    class Listening(Reporter):
        def warn(self, sentence):
            said.append(sentence)

    settings = load_settings(None, {"model": str(network), "voxel_size": 20.0})
    plan = plan_run([str(finished / "cell.mrc")], Location.of(tmp_path), settings, until="segment")
    run(plan, reporter=Listening())
    assert any("20 A, but tiny was trained at 13.48 A" in s and "--rescale" in s for s in said)


def test_many_formats_and_compressed_input(finished, network, tmp_path):
    packed = tmp_path / "cell.mrc.gz"
    packed.write_bytes(gzip.compress((finished / "cell.mrc").read_bytes()))
    (outcome,) = go(
        [packed],
        tmp_path / "o",
        model=str(network),
        min_size=20,
        threshold=THRESHOLD,
        formats=["csv", "motl", "star", "parquet"],
        write_labels=True,
    )
    assert outcome.error is None
    folder = tmp_path / "o" / "cell"
    assert {p.name for p in folder.glob("particles*")} == {
        "particles.csv", "particles_motl.csv", "particles.star", "particles.parquet", "particles.json",
        "particles_labels.zarr",
    }  # fmt: skip
    pd.testing.assert_frame_equal(picks(tmp_path / "o"), picks(finished / "out"), check_exact=True)
    labels = open_image(folder / "particles_labels.zarr").array[:]
    table = picks(tmp_path / "o")
    np.testing.assert_array_equal(np.bincount(labels.ravel())[table["label"]], table["size"])
    # Other settings leave no table of the old ones behind.
    config = load_settings(None, {"min_size": 50, "threshold": THRESHOLD})
    pick(open_image(folder / "probability.zarr"), Location.of(folder), config.pick, Work(overwrite=True))
    assert {p.name for p in folder.glob("particles*")} == {"particles.csv", "particles.json"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no model is given"),
        ({"model": "nowhere.pth"}, "nowhere.pth"),
        ({"target_spectrum": "nowhere.tsv"}, "nowhere.tsv"),
    ],
)
def test_what_can_be_known_before_starting_is_said_before_starting(mrc, network, tmp_path, options, said):
    options = {"model": str(network), **options} if options else {}
    with pytest.raises(InputError, match=said):
        plan_run([str(mrc)], Location.of(tmp_path / "o"), load_settings(None, options))
    assert not (tmp_path / "o").exists()


class FinishedTasks(SchedulerPlugin):
    """Counts the tasks that workers finished."""

    name = "finished-tasks"

    def __init__(self):
        self.n = 0

    def transition(self, key, start, finish, *args, **kwargs):
        self.n += start == "processing" and finish == "memory"


def test_a_whole_run_takes_at_most_eight_tasks_per_block(client, network, tmp_path):
    volume = np.random.default_rng(0).normal(size=(48, 424, 424)).astype("f4")
    write_mrc(tmp_path / "cell.mrc", volume)
    write_mrc(tmp_path / "target.mrc", volume[:, :64, :64])
    client.register_plugin(FinishedTasks())
    (outcome,) = go(
        [tmp_path / "cell.mrc"],
        tmp_path / "o",
        model=str(network),
        target_spectrum=str(tmp_path / "target.mrc"),
    )
    assert outcome.error is None
    tasks = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.plugins["finished-tasks"].n)
    core = open_image(tmp_path / "o" / "cell" / "probability.zarr").attributes["core"]
    blocks = np.prod([-(-n // c) for n, c in zip(volume.shape, core, strict=True)])
    assert blocks == 9 and tasks / blocks <= 8
