"""What a run promises, with faults put in: kills, damage, two commands at once, files of others, copies of sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from deepict_dask.errors import ClaimedError, DamagedOutputError, InputError, OutputExistsError
from deepict_dask.io.claim import claimed
from deepict_dask.io.location import Location
from deepict_dask.stages.check import check_run
from deepict_dask.stages.picking.again import pick_again, plan_pick
from tests.conftest import write_mrc
from tests.stages.test_run import THRESHOLD, everything, go, picks

GIVEN = {"min_size": 20, "threshold": THRESHOLD}


@pytest.fixture(scope="module")
def done(tmp_path_factory, volume, network):
    """A finished run beside its tomogram; tests work on copies."""
    folder = tmp_path_factory.mktemp("promises")
    write_mrc(folder / "cell.mrc", volume)
    (outcome,) = go([folder / "cell.mrc"], folder / "out", model=str(network), **GIVEN)
    assert outcome.error is None
    return folder


@pytest.fixture
def copied(done, tmp_path):
    shutil.copytree(done, tmp_path / "c")
    return tmp_path / "c"


def again(folder, network, **options):
    (outcome,) = go([folder / "cell.mrc"], folder / "out", model=str(network), **(GIVEN | options))
    return outcome


def with_min_size(n):
    """Change settings as an option does."""

    def change(settings):
        return settings.model_copy(update={"pick": settings.pick.model_copy(update={"min_size": n})})

    return change


def digests(folder):
    return {name: hashlib.sha256(content).hexdigest() for name, content in everything(folder).items()}


def test_two_commands_into_one_folder_do_not_meet(copied, network):
    before = digests(copied / "out" / "cell")
    with claimed(Location.of(copied / "out" / "cell"), "deepict-dask run"):
        outcome = again(copied, network)
        assert isinstance(outcome.error, ClaimedError) and "deepict-dask run" in str(outcome.error)
    assert digests(copied / "out" / "cell") == before
    assert again(copied, network).error is None


_VICTIM = """
import os, sys
from deepict_dask.stages import write_image
from deepict_dask.stages.picking import outputs
where, calls = sys.argv[1], 0
def kill(*a, **k):
    os.kill(os.getpid(), 9)
if where == "before the first block":
    write_image.execute = kill
elif where == "before an image is finished":
    write_image.finish_image = kill
elif where == "before tables are written":
    outputs.write_particles = kill
elif where == "between the tables and their side file":
    outputs.finish_tables = kill
from deepict_dask.config import load_settings
from deepict_dask.io.location import Location
from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
settings = load_settings(None, {"model": sys.argv[4], "min_size": 20, "threshold": float(sys.argv[5])})
run(plan_run([sys.argv[2]], Location.of(sys.argv[3]), settings, until="pick", overwrite=False), threads=1)
"""
MOMENTS = (
    "before the first block",
    "before an image is finished",
    "before tables are written",
    "between the tables and their side file",
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_costs_nothing_but_time(done, network, tmp_path, moment):
    shutil.copy2(done / "cell.mrc", tmp_path / "cell.mrc")
    victim = subprocess.run(
        [
            sys.executable,
            "-c",
            _VICTIM,
            moment,
            tmp_path / "cell.mrc",
            tmp_path / "out",
            network,
            str(THRESHOLD),
        ],
        capture_output=True,
        check=False,
    )
    assert victim.returncode == -9, victim.stderr.decode()[-2000:]
    outcome = again(tmp_path, network)
    assert outcome.error is None, outcome.error
    pd.testing.assert_frame_equal(picks(tmp_path / "out"), picks(done / "out"), check_exact=True)
    assert all(found.state == "whole" for found in check_run(Location.of(tmp_path / "out"), deep=True))


def shards(image: Path) -> list[Path]:
    return sorted(p for p in image.rglob("*") if p.is_file() and "c" in p.relative_to(image).parts)


def _missing(image):
    shards(image)[0].unlink()


def _truncated(image):
    file = shards(image)[0]
    file.write_bytes(file.read_bytes()[:-100])


def _flipped(image):
    file = shards(image)[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_missing, _truncated, _flipped])
@pytest.mark.parametrize("name", ["tomogram", "probability"])
def test_damage_is_found_and_mended_and_never_picked_from(copied, done, network, name, damage):
    image = copied / "out" / "cell" / f"{name}.zarr"
    damage(image)
    states = {Path(str(f.output)).name: f.state for f in check_run(Location.of(copied / "out"), deep=True)}
    assert states[f"{name}.zarr"] == "damaged" and states["particles.json"] == "whole"
    if damage is not _flipped:
        # Names and sizes are looked at before anything is kept; single bits when they are read, or by a deep check.
        # Said before anything is started.
        with pytest.raises(OutputExistsError, match="--overwrite"):
            again(copied, network)
    if name == "probability":
        if damage is _flipped:
            maps, _ = plan_pick([str(copied / "out")], with_min_size(21))
            (found,) = pick_again(maps, overwrite=True)
            assert found.error is not None
        else:
            with pytest.raises(DamagedOutputError):
                plan_pick([str(copied / "out")], with_min_size(21))
    mended = again_overwriting(copied, network)
    assert mended.error is None, mended.error
    pd.testing.assert_frame_equal(picks(copied / "out"), picks(done / "out"), check_exact=True)
    assert all(f.state == "whole" for f in check_run(Location.of(copied / "out"), deep=True))


def again_overwriting(folder, network):
    (outcome,) = go([folder / "cell.mrc"], folder / "out", overwrite=True, model=str(network), **GIVEN)
    return outcome


def test_a_table_that_was_cut_is_said_and_made_again(copied, done, network):
    table = copied / "out" / "cell" / "particles.csv"
    table.write_bytes(table.read_bytes()[:-40])
    with pytest.raises(OutputExistsError, match=r"particles\.csv is not the table that was written"):
        again(copied, network)
    assert again_overwriting(copied, network).error is None
    pd.testing.assert_frame_equal(picks(copied / "out"), picks(done / "out"), check_exact=True)


def test_files_of_the_user_in_a_run_folder_stay(copied, network):
    mine = {"particles_x.csv": "z,y,x\n1,2,3\n", "truth.csv": "z,y,x\n4,5,6\n", "notes.txt": "look at 7\n"}
    for name, text in mine.items():
        (copied / "out" / "cell" / name).write_text(text)
    assert again(copied, network).error is None
    (outcome,) = go(
        [copied / "cell.mrc"],
        copied / "out",
        overwrite=True,
        model=str(network),
        **(GIVEN | {"min_size": 30}),
    )
    assert outcome.error is None
    assert {n: (copied / "out" / "cell" / n).read_text() for n in mine} == mine


def test_a_table_of_the_user_is_not_written_over(done, network, tmp_path):
    shutil.copy2(done / "cell.mrc", tmp_path / "cell.mrc")
    (tmp_path / "out" / "cell").mkdir(parents=True)
    own = tmp_path / "out" / "cell" / "particles.csv"
    own.write_text("z,y,x\n1,2,3\n")
    with pytest.raises(OutputExistsError, match=r"particles\.csv"):
        again(tmp_path, network)
    assert own.read_text() == "z,y,x\n1,2,3\n"


def test_picking_again_keeps_what_the_run_was_told_and_updates_its_settings(copied, network, volume):
    inside = np.zeros(volume.shape, "i1")
    inside[:, :60] = 1
    write_mrc(copied / "inside.mrc", inside)
    (outcome,) = go(
        [copied / "cell.mrc"],
        copied / "out",
        overwrite=True,
        model=str(network),
        region=str(copied / "inside.mrc"),
        formats=["csv", "star"],
        **GIVEN,
    )
    assert outcome.error is None
    before = picks(copied / "out")
    maps, refused = plan_pick([str(copied / "out")], with_min_size(40))
    assert not refused
    (found,) = pick_again(maps, overwrite=True)
    assert found.error is None
    after = picks(copied / "out")
    expected = before[before["size"] > 40].reset_index(drop=True)
    pd.testing.assert_frame_equal(after, expected, check_exact=True)
    assert (copied / "out" / "cell" / "particles.star").exists()
    told = yaml.safe_load((copied / "out" / "settings.yaml").read_text())
    assert told["pick"]["min_size"] == 40 and told["pick"]["region"] == str(copied / "inside.mrc")


@pytest.mark.parametrize("how", ["touched", "copied"])
def test_a_source_with_the_same_voxels_is_the_same_source(copied, network, how):
    source = copied / "cell.mrc"
    if how == "touched":
        later = time.time() + 100
        os.utime(source, (later, later))
    else:
        content = source.read_bytes()
        source.unlink()
        source.write_bytes(content)
    before = digests(copied / "out" / "cell" / "probability.zarr")
    outcome = again(copied, network)
    assert outcome.error is None and {"segment", "pick"} <= outcome.kept
    assert digests(copied / "out" / "cell" / "probability.zarr") == before


def test_a_source_with_other_voxels_is_refused_until_overwritten(copied, network, volume):
    write_mrc(copied / "cell.mrc", volume[:, ::-1].copy())
    with pytest.raises((OutputExistsError, InputError)):
        outcome = again(copied, network)
        raise outcome.error or AssertionError("kept picks of another tomogram")
    before = len(picks(copied / "out"))
    assert again_overwriting(copied, network).error is None
    assert before  # picks of the old voxels stayed until then


def test_workers_elsewhere_find_relative_paths(done, network, tmp_path, client, monkeypatch):
    home = client.run(os.getcwd)
    shutil.copy2(done / "cell.mrc", tmp_path / "cell.mrc")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    client.run(os.chdir, str(elsewhere))
    try:
        (outcome,) = go(["cell.mrc"], "out", model=str(network), **GIVEN)
    finally:
        for worker, folder in home.items():
            client.run(os.chdir, folder, workers=[worker])
    assert outcome.error is None, outcome.error
    assert not any(elsewhere.iterdir())
    pd.testing.assert_frame_equal(picks(tmp_path / "out"), picks(done / "out"), check_exact=True)


def test_a_run_goes_on_with_another_runtime(copied, network):
    again(copied, network)  # the stamps of a copied tomogram are new
    before = digests(copied / "out")
    outcome = again(copied, network, runtime="torch")
    assert outcome.error is None and outcome.kept == {"ingest", "segment", "pick"}
    after = digests(copied / "out")
    assert {k: v for k, v in after.items() if k.name != "settings.yaml"} == {
        k: v for k, v in before.items() if k.name != "settings.yaml"
    }


def test_a_map_of_another_tomogram_is_seen(copied, done, network, volume):
    write_mrc(copied / "other.mrc", volume[:, ::-1].copy())
    (outcome,) = go([copied / "other.mrc"], copied / "out", model=str(network), **GIVEN)
    assert outcome.error is None
    ours, theirs = (copied / "out" / name / "probability.zarr" for name in ("cell", "other"))
    shutil.move(ours, copied / "x")
    shutil.copytree(theirs, ours)
    with pytest.raises(InputError, match="of tomogram 'other', but lies beside 'cell'"):
        plan_pick([str(copied / "out" / "cell")], with_min_size(21))
    states = {str(f.output)[-21:]: f.state for f in check_run(Location.of(copied / "out"), deep=True)}
    assert states["cell/probability.zarr"] == "damaged" and states["ther/probability.zarr"] == "whole"
    # Only its shard: its size or its checksum tells.
    shutil.rmtree(ours)
    shutil.copytree(done / "out" / "cell" / "probability.zarr", ours)
    shutil.copy(shards(theirs)[0], shards(ours)[0])
    with pytest.raises(InputError, match="bytes where"):
        plan_pick([str(copied / "out" / "cell")], with_min_size(21))


def test_labels_of_earlier_settings_do_not_lie_beside_new_tables(copied, network):
    for options in ({"write_labels": True}, {"min_size": 30}):
        (outcome,) = go(
            [copied / "cell.mrc"], copied / "out", overwrite=True, model=str(network), **(GIVEN | options)
        )
        assert outcome.error is None
        assert bool([*(copied / "out" / "cell").glob("*labels*")]) is ("write_labels" in options)


def test_a_refused_pick_leaves_the_label_image(copied, network):
    assert again(copied, network, write_labels=True, overwrite=True).error is None
    before = digests(copied / "out" / "cell")
    assert any("labels" in str(name) for name in before)
    maps, _ = plan_pick([str(copied / "out")], with_min_size(30))
    (outcome,) = pick_again(maps)
    assert isinstance(outcome.error, OutputExistsError)
    assert digests(copied / "out" / "cell") == before
