"""Many tomograms: nothing depends on how many are in flight, nothing is lost, and whose failure it is is known."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from deepict_dask.campaign.summary import read_summary
from deepict_dask.config import load_settings
from deepict_dask.errors import ClusterError, InputError, WorkersDiedError
from deepict_dask.io.location import Location
from deepict_dask.stages.report import Reporter
from tests.campaign.conftest import N, go, tables
from tests.conftest import write_mrc


def test_the_number_in_flight_does_not_show(cells, network, client, tmp_path, alone):
    at_work, most = set(), []

    class Watching(Reporter):
        @contextmanager
        def progress(self, stage, tomogram, n_blocks, unit="block"):
            at_work.add(tomogram)
            most.append(len(at_work))
            yield lambda n: None
            if stage == "pick":
                at_work.discard(tomogram)

    outcomes = go(cells, tmp_path, network, reporter=Watching(), window=3)
    assert [o.name for o in outcomes] == [f"TS_{n:02d}" for n in range(N)]
    assert all(o.error is None for o in outcomes)
    assert 1 < max(most) <= 3
    assert tables(tmp_path) == tables(alone) and len(tables(alone)) == N + 1


def test_one_table_over_all_holds_the_rows_of_each(alone):
    whole = pd.read_csv(alone / "all_particles.csv")
    each = pd.concat([pd.read_csv(alone / f"TS_{n:02d}" / "particles.csv") for n in range(N)])
    pd.testing.assert_frame_equal(whole, each.reset_index(drop=True), check_exact=True)
    assert whole["tomogram"].nunique() == N


def test_what_is_known_of_each_tomogram_reaches_the_table(cells, network, tmp_path, alone):
    (tmp_path / "list.csv").write_text(
        "tomo_name,tomo,quality,thickness,threshold\n"
        f"first,{cells}/TS_00.mrc,good,120.5,\n"
        f"second/2,{cells}/TS_01.mrc,poor,90,0.45\n"
    )
    outcomes = go(tmp_path / "list.csv", tmp_path / "out", network)
    assert [o.name for o in outcomes] == ["first", "second_2"]
    table = pd.read_csv(tmp_path / "out" / "all_particles.csv")
    assert set(table.loc[table["tomogram"] == "first", "quality"]) == {"good"}
    assert set(table.loc[table["tomogram"] == "second_2", "thickness"]) == {90}
    first = pd.read_csv(alone / "TS_00" / "particles.csv")
    own = table[table["tomogram"] == "first"]
    np.testing.assert_array_equal(own[["z", "y", "x", "size"]], first[["z", "y", "x", "size"]])
    settings = load_settings(tmp_path / "out" / "second_2" / "settings.yaml")
    assert settings.pick.threshold == 0.45
    summary = read_summary(Location.of(tmp_path / "out"))
    assert summary.tomograms[1].metadata == {"quality": "poor", "thickness": 90}


def test_a_region_of_the_table_is_taken_from_its_column(cells, network, tmp_path, alone):
    import mrcfile

    with mrcfile.open(cells / "TS_00.mrc") as file:
        mask = np.zeros(file.data.shape, "i1")
    mask[:, :20] = 1
    write_mrc(tmp_path / "mask.mrc", mask)
    (tmp_path / "list.csv").write_text(
        f"tomo_name,tomo,lamella_file\nTS_00,{cells}/TS_00.mrc,mask.mrc\nTS_01,{cells}/TS_01.mrc,\n"
    )
    go(tmp_path / "list.csv", tmp_path / "out", network, region="{lamella_file}")
    inside = pd.read_csv(tmp_path / "out" / "TS_00" / "particles.csv")
    assert len(inside) and (inside["y"] < 20).all()
    assert len(inside) < len(pd.read_csv(alone / "TS_00" / "particles.csv"))
    without = (tmp_path / "out" / "TS_01" / "particles.csv").read_bytes()
    assert without == (alone / "TS_01" / "particles.csv").read_bytes()


def test_a_bad_tomogram_costs_the_others_nothing(cells, network, client, tmp_path, alone):
    folder = tmp_path / "cells"
    folder.mkdir()
    for file in cells.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    bad = np.ones((20, 41, 53), "f4")
    bad[3, 4, 5] = np.nan
    write_mrc(folder / "TS_02.mrc", bad)
    told = []
    outcomes = go(folder, tmp_path / "out", network, done=lambda o: told.append(o.name), window=2)
    assert [o.name for o in outcomes if o.error is not None] == ["TS_02"]
    assert sorted(told) == [o.name for o in outcomes]
    assert not (tmp_path / "out" / "TS_02").exists()
    summary = read_summary(Location.of(tmp_path / "out"))
    states = {t.name: t.state for t in summary.tomograms}
    assert summary.state == "failed" and states["TS_02"] == "failed" and states["TS_03"] == "done"
    assert "NaN" in next(t.reason for t in summary.tomograms if t.name == "TS_02")
    # The next command tries it again, and does nothing twice.
    (folder / "TS_02.mrc").write_bytes((cells / "TS_02.mrc").read_bytes())
    outcomes = go(folder, tmp_path / "out", network)
    assert [o.state for o in outcomes] == ["kept", "kept", "done", "kept", "kept"]
    assert tables(tmp_path / "out") == tables(alone)


def test_a_full_disk_stops_the_run_once(cells, network, client, tmp_path, alone, monkeypatch):
    """Whatever is in flight: the disk is nobody's fault."""
    from deepict_dask.campaign import run as module

    real = module.run_node

    def full(node, made, work):
        if node.stage == "segment" and node.output.parent.name == "TS_01":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{node.output}/0/c/0/0/0")
        return real(node, made, work)

    monkeypatch.setattr(module, "run_node", full)
    told = []
    with pytest.raises(OSError) as failure:
        go(cells, tmp_path, network, done=lambda o: told.append(o.error), window=2)
    assert failure.value.errno == errno.ENOSPC and not any(told)
    summary = read_summary(Location.of(tmp_path))
    assert summary.state == "stopped" and "No space left" in summary.reason
    assert not summary.count("failed") and summary.count("stopped")
    monkeypatch.undo()
    assert all(o.error is None for o in go(cells, tmp_path, network))
    assert tables(tmp_path) == tables(alone)


def test_a_lost_scheduler_stops_the_run_once(cells, network, client, tmp_path, monkeypatch):
    from deepict_dask.campaign import run as module

    def gone(node, made, work):
        raise ClusterError("the scheduler is gone")

    waited_for, real = [], module.wait

    def waiting(futures, timeout):
        waited_for.append([f.cancelled() for f in futures])
        return real(futures, timeout)

    monkeypatch.setattr(module, "run_node", gone)
    monkeypatch.setattr(module, "wait", waiting)
    told = []
    with pytest.raises(ClusterError):
        go(cells, tmp_path, network, done=told.append, window=2)
    assert not told
    # What never began never ends.
    assert waited_for and not any(waited_for[0])


def test_what_killed_its_workers_is_tried_again_alone_and_then_set_aside(
    cells, network, client, tmp_path, monkeypatch
):
    from deepict_dask.campaign import run as module

    real, tries, at_work, beside = module.run_node, [], set(), []

    def deadly(node, made, work):
        name = node.output.parent.name if node.stage != "pick" else node.output.name
        at_work.add(name)
        try:
            if node.stage == "segment" and name == "TS_01":
                tries.append(name)
                beside.append(len(at_work))
                raise WorkersDiedError("the workers that computed block (0, 0, 0) died 4 times")
            return real(node, made, work)
        finally:
            if node.stage == "pick" or name == "TS_01":
                at_work.discard(name)

    monkeypatch.setattr(module, "run_node", deadly)
    outcomes = go(cells, tmp_path, network, window=3, retries=2)
    assert len(tries) == 3 and beside[1:] == [1, 1]
    assert [o.name for o in outcomes if o.error] == ["TS_01"]
    assert [o.state for o in outcomes] == ["done", "failed", "done", "done", "done"]


def test_tomograms_may_be_added(cells, network, tmp_path, alone):
    few = tmp_path / "list.txt"
    few.write_text(f"{cells}/TS_00.mrc\n{cells}/TS_03.mrc\n")
    go(few, tmp_path / "out", network)
    assert pd.read_csv(tmp_path / "out" / "all_particles.csv")["tomogram"].nunique() == 2
    outcomes = go(cells, tmp_path / "out", network)
    assert [o.state for o in outcomes] == ["kept", "done", "done", "kept", "done"]
    assert tables(tmp_path / "out") == tables(alone)


def test_the_summary_keeps_what_other_commands_left(cells, network, tmp_path):
    go(cells / "TS_00.mrc", tmp_path, network)
    go(cells / "TS_01.mrc", tmp_path, network)
    summary = read_summary(Location.of(tmp_path))
    assert {t.name: t.state for t in summary.tomograms} == {"TS_01": "done", "TS_00": "done"}
    assert summary.particles["blob"] == len(pd.read_csv(tmp_path / "all_particles.csv"))
    assert (tmp_path / "run.log").read_text().count("TS_0") >= 2


def test_a_table_over_all_that_somebody_changed_is_left_alone(cells, network, tmp_path):
    go(cells / "TS_00.mrc", tmp_path, network)
    table = tmp_path / "all_particles.csv"
    table.write_text(table.read_text() + "mine\n")
    warned = []

    class Listening(Reporter):
        def warn(self, sentence):
            warned.append(sentence)

    go(cells / "TS_01.mrc", tmp_path, network, reporter=Listening())
    assert table.read_text().endswith("mine\n")
    assert any("all_particles.csv" in sentence for sentence in warned)


def test_each_tomogram_leaves_a_picture(alone):
    from PIL import Image

    for n in range(N):
        with Image.open(alone / f"TS_{n:02d}" / "snapshot.png") as picture:
            assert picture.width > 200 and len(set(picture.convert("L").tobytes())) > 50


def test_a_picture_that_cannot_be_drawn_costs_nothing(cells, network, tmp_path):
    """A folder of the user's own stands where it would go."""
    (tmp_path / "TS_00" / "snapshot.png").mkdir(parents=True)
    warned = []

    class Listening(Reporter):
        def warn(self, sentence):
            warned.append(sentence)

    (outcome,) = go(cells / "TS_00.mrc", tmp_path, network, reporter=Listening())
    assert outcome.state == "done" and any("no picture" in sentence for sentence in warned)


def test_what_is_known_of_tomograms_of_earlier_commands_stays(cells, network, tmp_path):
    for n, quality in ((0, "good"), (1, "poor")):
        (tmp_path / "list.csv").write_text(f"tomo_name,tomo,quality\nTS_0{n},{cells}/TS_0{n}.mrc,{quality}\n")
        go(tmp_path / "list.csv", tmp_path / "out", network)
    table = pd.read_csv(tmp_path / "out" / "all_particles.csv")
    assert dict(zip(table["tomogram"], table["quality"], strict=True)) == {"TS_00": "good", "TS_01": "poor"}


def test_picking_again_is_seen_by_all_that_tells_of_the_run(cells, network, tmp_path):
    from click.testing import CliRunner

    from deepict_dask.cli.main import cli

    for n in (0, 1):
        go(cells / f"TS_0{n}.mrc", tmp_path, network)
    before = len(pd.read_csv(tmp_path / "all_particles.csv"))
    options = ["--min-size", "60", "--overwrite", "--workers", "1", "--threads", "1"]
    result = CliRunner().invoke(cli, ["pick", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    each = [len(pd.read_csv(tmp_path / f"TS_0{n}" / "particles.csv")) for n in (0, 1)]
    assert sum(each) < before and len(pd.read_csv(tmp_path / "all_particles.csv")) == sum(each)
    assert read_summary(Location.of(tmp_path)).particles["blob"] == sum(each)
    with open(tmp_path / "all_particles.csv", "a") as file:
        file.write("x\n")
    result = CliRunner().invoke(cli, ["check", str(tmp_path)])
    assert result.exit_code == 1 and "all_particles" in result.output


def test_a_column_that_no_table_has_is_named(cells, network, tmp_path):
    with pytest.raises(InputError, match=r"'lamella'.*no table"):
        go(cells / "TS_00.mrc", tmp_path, network, region="{lamella}")
    (tmp_path / "list.csv").write_text(f"tomo,quality\n{cells}/TS_00.mrc,good\n")
    with pytest.raises(InputError, match=r"'lamella'.*quality"):
        go(tmp_path / "list.csv", tmp_path / "out", network, region="{lamella}")


@pytest.mark.parametrize(
    "name", ["report.html", "summary.json", "run.log", "settings.yaml", "all_particles.csv"]
)
def test_no_tomogram_is_called_as_a_file_of_the_run(cells, network, tmp_path, name):
    (tmp_path / "list.csv").write_text(f"tomo_name,tomo\n{name},{cells}/TS_00.mrc\n")
    with pytest.raises(InputError, match="tomo_name"):
        go(tmp_path / "list.csv", tmp_path / "out", network)
    assert not (tmp_path / "out").exists()


def test_the_summary_is_json_whatever_a_table_holds(cells, network, tmp_path):
    import json

    (tmp_path / "list.csv").write_text(f"tomo,a,b,c\n{cells}/TS_00.mrc,nan,1e400,-7\n")
    go(tmp_path / "list.csv", tmp_path / "out", network)

    def refuse(word):
        raise ValueError(word)

    content = json.loads((tmp_path / "out" / "summary.json").read_text(), parse_constant=refuse)
    assert content["tomograms"][0]["metadata"] == {"a": "nan", "b": "1e400", "c": -7}
