"""Complete, incomplete, damaged, made with other settings, somebody else's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from deepict_dask.errors import DamagedOutputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import create_image, finish_image
from deepict_dask.provenance import Provenance
from deepict_dask.stages.finished import is_finished, unfinished

MADE = Provenance("segment", {}, {"tiling": "exact"})
EDITION = "e" * 64
OTHER = Provenance("segment", {}, {"tiling": "deepict"})


def write(path: Path, *, finish: bool = True, version: str = "0.5") -> Location:
    image = create_image(
        path,
        shape=(8, 8, 8),
        dtype="u1",
        voxel_size=(10.0,) * 3,
        name="a",
        core=(8, 8, 8),
        n_levels=1,
        made_by=MADE,
        version=version,
        edition=EDITION,
    )
    if finish:
        region = (slice(0, 8),) * 3
        finish_image(image, image.writer.write(region, np.full((8, 8, 8), 7, "u1")))
    return image.location


def test_nothing_there_means_work(tmp_path):
    assert not is_finished(Location.of(tmp_path / "a.zarr"), MADE, overwrite=False)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_complete_output_made_by_the_same_is_kept(tmp_path, overwrite, version):
    output = write(tmp_path / "a.zarr", version=version)
    before = sorted((f, os.stat(tmp_path / "a.zarr" / f).st_mtime_ns) for f, _ in output.files())
    assert is_finished(output, MADE, overwrite=overwrite)
    assert sorted((f, os.stat(tmp_path / "a.zarr" / f).st_mtime_ns) for f, _ in output.files()) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_incomplete_output_stays_only_for_who_goes_on_with_the_same(tmp_path, overwrite):
    output = write(tmp_path / "a.zarr", finish=False)
    assert not is_finished(output, MADE, overwrite=overwrite)
    assert unfinished(output, EDITION).attributes["edition"] == EDITION
    assert not is_finished(output, OTHER, overwrite=overwrite)
    assert not output.exists()


@pytest.mark.parametrize("what", ["edition", "level", "level of another edition"])
def test_an_incomplete_output_of_another_edition_is_cleared_away(tmp_path, what):
    output = write(tmp_path / "a.zarr", finish=False)
    if what == "level":
        (tmp_path / "a.zarr" / "0" / "zarr.json").unlink()
    elif what != "edition":
        file = tmp_path / "a.zarr" / "0" / "zarr.json"
        file.write_text(file.read_text().replace(EDITION, "f" * 64))
    assert unfinished(output, "f" * 64 if what == "edition" else EDITION) is None
    assert not output.exists()


def test_a_finished_output_is_never_gone_on_with(tmp_path):
    output = write(tmp_path / "a.zarr")
    with pytest.raises(OutputExistsError, match="finished already"):
        unfinished(output, EDITION)
    assert output.exists()


def test_markers_that_a_killed_process_left_in_a_finished_output_go(tmp_path):
    output = write(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / ".blocks-0123").mkdir()
    (tmp_path / "a.zarr" / ".blocks-0123" / "0.0.0").write_bytes(b"x")
    assert is_finished(output, MADE, overwrite=False)
    assert not (tmp_path / "a.zarr" / ".blocks-0123").exists()


def test_other_settings_are_refused_by_name_unless_overwritten(tmp_path):
    output = write(tmp_path / "a.zarr")
    with pytest.raises(OutputExistsError, match=r"made with tiling exact and not deepict; use --overwrite"):
        is_finished(output, OTHER, overwrite=False)
    assert output.exists()
    assert not is_finished(output, OTHER, overwrite=True)
    assert not output.exists()


def _state(path: Path, state: str) -> None:
    """Leave what a process leaves that is killed at some moment."""
    if state == "an empty folder":
        path.mkdir()
    elif state == "metadata half written":
        path.mkdir()
        (path / "zarr.1234.partial").write_text("{")
    elif state == "no array yet":
        write(path, finish=False)
        import shutil

        shutil.rmtree(path / "0")
    elif state == "metadata lost with the power":
        write(path, finish=False)
        (path / ".blocks-0123").mkdir()
        os.truncate(path / "zarr.json", 0)
    elif state == "an array without metadata":
        write(path, finish=False)
        (path / "0" / "zarr.json").unlink()
    else:
        write(path, finish=False)


@pytest.mark.parametrize(
    "state",
    [
        "an empty folder",
        "metadata half written",
        "metadata lost with the power",
        "no array yet",
        "an array without metadata",
        "no manifest",
    ],
)
def test_a_kill_at_any_moment_does_not_stand_in_the_way(tmp_path, state):
    _state(tmp_path / "a.zarr", state)
    output = Location.of(tmp_path / "a.zarr")
    assert not is_finished(output, MADE, overwrite=False)
    if unfinished(output, EDITION) is None:
        write(tmp_path / "a.zarr")
    else:
        assert state == "no manifest"


@pytest.mark.parametrize("name", ["zarr.json", "0/c/0/0/0", "0/zarr.json", "manifest/zarr.json"])
@pytest.mark.parametrize("how", ["missing", "empty", "flipped"])
def test_a_damaged_output_of_ours_says_so_and_is_made_again_when_asked(tmp_path, name, how):
    output = write(tmp_path / "a.zarr")
    file = tmp_path / "a.zarr" / name
    if how == "missing":
        file.unlink()
    elif how == "empty":
        os.truncate(file, 0)
    else:
        data = bytearray(file.read_bytes())
        data[3] ^= 0xFF
        file.write_bytes(data)
    if not (how == "flipped" and name == "0/c/0/0/0"):  # names and sizes are as they were
        with pytest.raises(DamagedOutputError, match=r"a\.zarr.*--overwrite") as raised:
            is_finished(output, MADE, overwrite=False)
        assert "not written by this program" not in str(raised.value)
        assert output.exists()
    assert not is_finished(output, MADE, overwrite=True)
    assert not output.exists()


def test_what_is_not_ours_is_never_removed(tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.tex").write_text("x")
    plain = tmp_path / "plain"
    plain.write_text("{}")
    other = tmp_path / "other.zarr"
    other.mkdir()
    (other / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (foreign, plain, other, tmp_path / "dangling"):
        for overwrite in (False, True):
            with pytest.raises(OutputExistsError, match="not written by this program"):
                is_finished(Location.of(path), MADE, overwrite=overwrite)
        assert os.path.lexists(path)


def test_an_output_of_another_version_is_refused_and_can_be_replaced(tmp_path):
    output = write(tmp_path / "a.zarr")
    file = tmp_path / "a.zarr" / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["deepict_dask"]["made_by"] = {"stage": "segment", "tiling": "exact"}
    file.write_text(json.dumps(content))
    with pytest.raises(OutputExistsError, match="another version of this program"):
        is_finished(output, MADE, overwrite=False)
    assert not is_finished(output, MADE, overwrite=True)
