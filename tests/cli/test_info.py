from __future__ import annotations

import json
import os
import re
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from deepict_dask.cli.info import describe
from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.tables import read_particles


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(8, 20, 20)).astype("f4")
    values[3, 4, 5] = 1e6
    values[:4] = 0
    with mrcfile.new(tmp_path / "cell.mrc") as file:
        file.set_data(values)
        file.set_volume()
        file.voxel_size = 13.48
    return tmp_path / "cell.mrc"


def test_a_tomogram_shows_what_values_its_voxels_have(cell: Path) -> None:
    shown = describe(cell)
    assert "8 x 20 x 20" in shown and "13.48 A" in shown
    assert "histogram" in shown and "commonest value  " in " ".join(shown.split("\n")).replace("   ", "  ")
    with mrcfile.mmap(cell, "r+") as file:
        file.data[0, 0, 0] = 1e6
        file.data[0, 0, 1] = np.nan
    shown = describe(cell)
    assert "1 voxels are NaN or infinite" in shown
    assert "says that its voxels lie between" in shown  # the header still tells of before


def test_doubts_about_voxels_come_with_the_number_and_the_way_out(cell: Path) -> None:
    with mrcfile.mmap(cell, "r+") as file:
        file.data[3, 4, 5] = 1
        file.data[-1, -1, -1] = 2e4
    shown = " ".join(describe(cell).split())
    assert "50 % of the voxels are 0" in shown and "--ignore-value 0 leaves them out" in shown
    assert "commonest value 0, in 50% of the voxels" in shown
    assert "voxels of 20000 lie 57 standard deviations" in shown and "--clip 6" in shown
    mask = cell.with_name("mask.mrc")
    with mrcfile.new(mask) as file:
        file.set_data((np.indices((8, 20, 20))[0] > 6).astype("i1"))
    assert "doubt 1" not in describe(mask)


def test_voxels_that_cannot_be_read_are_a_fact_among_others(cell: Path) -> None:
    import gzip

    (cell.parent / "a.mrc.gz").write_bytes(gzip.compress(cell.read_bytes())[:-2000])
    shown = describe(cell.parent / "a.mrc.gz")
    assert "8 x 20 x 20" in shown and "cannot be read: " in shown and "cut off" in shown


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "{", "7", "\xff"])
def test_a_json_that_says_nothing_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"a\.json"):
        describe(tmp_path / "a.json")


def test_side_files_and_settings(tmp_path: Path) -> None:
    (tmp_path / "particles.json").write_text(json.dumps({"made_by": {"class": "fas", "threshold": 0.4}}))
    shown = describe(tmp_path / "particles.json")
    assert "what made the table" in shown and "class fas, threshold 0.4" in shown
    (tmp_path / "a.yaml").write_text("pick:\n  threshold: 0.4\n")
    assert "settings of a run" in describe(tmp_path / "a.yaml") and "right" in describe(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("pick:\n  treshold: 0.4\n")
    assert "treshold" in describe(tmp_path / "a.yaml") and "right" not in describe(tmp_path / "a.yaml")
    for wrong in ("- 1\n", "a: [", ""):
        (tmp_path / "a.yaml").write_text(wrong)
        with pytest.raises(InputError, match=r"a\.yaml"):
            describe(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        (
            "t.csv",
            "class,z,y,x\nfas,1,2,3\nfas,3,2,1\nribo,1,1,1\n",
            ["truth table", "fas (2), ribo (1)", "(1.0, 1.0, 1.0)"],
        ),
        ("t.csv", "z,y,x,score,size\n1,2,3,0.5,100\n", ["particle table", "0.5 to 0.5"]),
        ("t.csv", "tomogram,z,y,x\nTS_1,1,2,3\nTS_2,1,2,3\n", ["TS_1 (1), TS_2 (1)"]),
        ("t.csv", "\ufeffa;b\n1;2\n", ["table", "a;b"]),
        ("h.csv", "epoch,loss\n1,0.5\n", ["learning curve"]),
        (
            "s.csv",
            "class,tomogram,n_picked,n_truth,n_matched,precision,recall,f1,auprc,best_threshold,best_f1\n"
            "fas,a,1,1,1,1.0,0.5,0.6,0.7,0.4,0.8\n",
            ["table of scores", "precision", "0.5 to 0.5"],
        ),
        (
            "p.star",
            "data_optics\n\nloop_\n_rlnOpticsGroup #1\n1\n\ndata_particles\n\nloop_\n_rlnTomoName #1\n_rlnCoordinateX #2\n"
            "_rlnCoordinateY #3\n_rlnCoordinateZ #4\nTS_1 1 2 3\nTS_1 4 5 6\n",
            ["STAR, block particles; also optics", "TS_1 (2)"],
        ),
        ("t.star", "data_global\n\n_rlnTomoName TS_1\n", ["STAR file without positions"]),
    ],
)
def test_tables_of_all_kinds(tmp_path: Path, name: str, content: str, parts: list[str]) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    shown = describe(tmp_path / name)
    assert all(part in shown for part in parts), shown


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"1,2,3\n4,5,6\n"])
def test_tables_that_are_none_are_sentences(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.csv"):
        describe(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("1,two,3,0.5,9", "column y holds 'two' in line 3, which is not a number; correct that row"),
        ("1,,3,0.5,9", "column y holds '' in line 3"),
        ("1,2,3,0.5,nine", "column size holds 'nine' in line 3"),
        ("1,2", "has 2 cells in line 3 where the header has 5"),
        ("1,2,3,0.5,9,7", "has 6 cells in line 3 where the header has 5"),
    ],
)
def test_a_damaged_row_is_the_error_that_other_commands_give(tmp_path: Path, row: str, sentence: str) -> None:
    table = tmp_path / "a.csv"
    table.write_text(f"z,y,x,score,size\n1,2,3,0.5,9\n{row}\n")
    with pytest.raises(FormatError, match=re.escape(sentence)) as elsewhere:
        read_particles(table)
    with pytest.raises(FormatError) as here:
        describe(table)
    assert str(here.value) == str(elsewhere.value)


def test_what_cannot_be_placed_without_voxels_and_what_has_another_name_is_a_note(tmp_path: Path) -> None:
    names = "".join(f"_rlnCenteredCoordinate{axis}Angst #{k}\n" for k, axis in enumerate("XYZ", start=1))
    (tmp_path / "a.star").write_text(f"data_particles\n\nloop_\n{names}1 2 3\n")
    assert "note" in describe(tmp_path / "a.star")
    (tmp_path / "list.csv").write_text(",".join(map(str, [5, 0, 0, 1, 1, 0, 0, 3, 2, 1, *[0] * 10])) + "\n")
    shown = describe(tmp_path / "list.csv")
    assert "motive list" in shown and "ends in _motl.csv" in shown and "(1.0, 2.0, 3.0)" in shown


def test_lists_and_folders_of_tomograms(cell: Path) -> None:
    (cell.parent / "list.txt").write_text("cell.mrc\n")
    assert "list of 1 tomogram\n" in describe(cell.parent / "list.txt") + "\n"
    assert "folder of 1 tomogram" in describe(cell.parent)
    (cell.parent / "empty").mkdir()
    with pytest.raises(InputError, match="empty folder"):
        describe(cell.parent / "empty")
    (cell.parent / "empty" / "notes").touch()
    with pytest.raises(InputError, match="neither a run folder nor a tomogram"):
        describe(cell.parent / "empty")


def test_what_is_not_there_or_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="does not exist"):
        describe(tmp_path / "absent")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="cannot be opened"):
        describe(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe.mrc")
    with pytest.raises(FormatError, match="is a pipe"):
        describe(tmp_path / "pipe.mrc")


def test_names_with_control_characters_are_shown_as_such(cell: Path) -> None:
    odd = cell.rename(cell.with_name("a\nb\x1b[31m.mrc"))
    assert "a\\nb\\x1b[31m.mrc" in describe(odd)


def test_an_image_that_was_killed_says_how_far_it_came(tmp_path):
    from deepict_dask.io.ome_zarr import create_image

    image = create_image(
        tmp_path / "a.zarr", shape=(8, 8, 16), dtype="u1", voxel_size=(10.0,) * 3, name="a", core=(8, 8, 8),
        n_levels=1, edition="e" * 64,
    )  # fmt: skip
    region = (slice(0, 8),) * 3
    image.writer.note((0, 0, 0), None, image.writer.write(region, np.zeros((8, 8, 8), "u1")))
    assert "incomplete (1 of 2 blocks)" in describe(tmp_path / "a.zarr")
