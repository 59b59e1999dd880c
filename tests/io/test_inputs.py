from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import zarr

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.inputs import find_inputs, tomogram_name
from deepict_dask.io.ome_zarr import create_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mrc.gz", "a.mrc", "c.REC", "notes.csv", ".hidden.mrc", "deeper/inner.mrc", "d.em"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    zarr.create_group(tmp_path / "e.ome.zarr").create_array("0", shape=(2, 2, 2), dtype="f4")
    (tmp_path / "not.zarr").mkdir()
    return tmp_path


def find_tomograms(arguments: list[str]) -> list[str]:
    return [i.path for i in find_inputs(arguments)]


def named(folder: Path, *names: str) -> list[str]:
    return [str(folder / name) for name in names]


def test_a_folder_gives_its_own_tomograms_sorted(folder: Path) -> None:
    assert find_tomograms([str(folder)]) == named(folder, "a.mrc", "b.mrc.gz", "c.REC", "d.em", "e.ome.zarr")


def test_a_zarr_group_is_one_tomogram_and_is_not_entered(folder: Path) -> None:
    assert find_tomograms([str(folder / "e.ome.zarr")]) == named(folder, "e.ome.zarr")


def test_globs_give_tomograms_and_the_folders_that_match(folder: Path) -> None:
    assert find_tomograms([str(folder / "*.mrc*")]) == named(folder, "a.mrc", "b.mrc.gz")
    assert find_tomograms([str(folder / "d*")]) == named(folder, "d.em", "deeper/inner.mrc")
    every = named(folder, "a.mrc", "b.mrc.gz", "c.REC", "d.em", "deeper/inner.mrc", "e.ome.zarr")
    assert sorted(find_tomograms([str(folder / "**")])) == every


def test_a_name_with_brackets_is_a_path_before_it_is_a_glob(folder: Path) -> None:
    (folder / "x[1].mrc").touch()
    assert find_tomograms([str(folder / "x[1].mrc")]) == named(folder, "x[1].mrc")


def test_a_list_holds_paths_relative_to_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# all of them\n\ndeeper/inner.mrc  # the first\n*.em\n" + str(folder / "a.mrc") + "\n"
    (folder / "list.txt").write_text(text)
    monkeypatch.chdir("/")
    assert find_tomograms([str(folder / "list.txt")]) == named(folder, "deeper/inner.mrc", "d.em", "a.mrc")


def test_lists_that_are_wrong_say_the_line(folder: Path) -> None:
    (folder / "list.txt").write_text("a.mrc\nabsent.mrc\n")
    with pytest.raises(MissingFileError, match=r"absent.mrc \(line 2 of .*list.txt\) does not exist"):
        find_tomograms([str(folder / "list.txt")])
    (folder / "list.txt").write_text("list.txt\n")
    with pytest.raises(InputError, match="list within a list"):
        find_tomograms([str(folder / "list.txt")])
    (folder / "list.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="names no tomogram"):
        find_tomograms([str(folder / "list.txt")])


def test_duplicates_go_and_the_order_of_the_arguments_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "link.mrc").symlink_to(folder / "a.mrc")
    assert find_tomograms(["d.em", "a.mrc", str(folder / "a.mrc"), "link.mrc", "*.em"]) == ["d.em", "a.mrc"]


@pytest.mark.parametrize("argument", ["nothing*.mrc", "empty"])
def test_an_argument_that_names_nothing_is_an_error(folder: Path, argument: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"names no tomogram"):
        find_tomograms([str(folder / argument)])


def test_a_missing_path_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(MissingFileError, match=r"absent\.mrc does not exist"):
        find_tomograms([str(folder / "absent.mrc")])


def test_two_tomograms_of_one_name_are_an_error_that_names_both(folder: Path) -> None:
    (folder / "deeper" / "a.rec").touch()
    with pytest.raises(InputError, match=r"a\.mrc and .*a\.rec would both be called a"):
        find_tomograms([str(folder / "a.mrc"), str(folder / "deeper" / "a.rec")])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x/TS_1.mrc", "TS_1"),
        ("TS_1.MRC.GZ", "TS_1"),
        ("TS_1.rec.bz2", "TS_1"),
        ("TS_1_13.48Apx.map", "TS_1_13.48Apx"),
        ("TS_1.ome.zarr", "TS_1"),
        ("TS_1.zarr/", "TS_1"),
        ("TS_1.st", "TS_1"),
        ("TS_1_a.ali", "TS_1_a"),
        ("TS_1.mrcs", "TS_1"),
        ("TS.1", "TS.1"),
        (".mrc", ".mrc"),
    ],
)
def test_names_lose_the_suffixes_of_formats_only(path: str, name: str) -> None:
    assert tomogram_name(path) == name


def test_a_link_to_itself_or_to_nothing_is_that_inputs_own_failure(folder: Path) -> None:
    (folder / "loop.mrc").symlink_to(folder / "loop.mrc")
    (folder / "lost.mrc").symlink_to(folder / "gone")
    assert find_tomograms([str(folder / "loop.mrc")]) == named(folder, "loop.mrc")
    assert {Path(p).name for p in find_tomograms([str(folder)])} >= {"loop.mrc", "lost.mrc", "a.mrc"}


def test_a_list_may_have_a_byte_order_mark_crlf_blanks_and_hashes_in_names(folder: Path) -> None:
    (folder / "T#1.mrc").touch()
    (folder / "my tomo.mrc").touch()
    (folder / "list.txt").write_bytes("\ufeffa.mrc\r\nT#1.mrc\r\nmy tomo.mrc  # two words\r\n".encode())
    assert find_tomograms([str(folder / "list.txt")]) == named(folder, "a.mrc", "T#1.mrc", "my tomo.mrc")
    (folder / "list.txt").write_bytes("a.mrc".encode("utf-16"))
    with pytest.raises(InputError, match="not a list of paths in plain text"):
        find_tomograms([str(folder / "list.txt")])


def test_a_name_that_the_locale_cannot_write_is_found_and_said(folder: Path) -> None:
    (folder / "Zelle_\u00e4.mrc").touch()
    (folder / "list.txt").write_text("Zelle_\u00e4.mrc\n", encoding="utf-8")
    code = (
        "import os, sys\n"
        "from deepict_dask.io.inputs import find_inputs\n"
        "(found,) = find_inputs([sys.argv[1]], name=sys.argv[2] or None)\n"
        "sys.stdout.buffer.write(os.fsencode(found.path))\n"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    def found(name: str) -> tuple[str, str]:
        arguments = [sys.executable, "-c", code, str(folder / "list.txt"), name]
        done = subprocess.run(arguments, env={**os.environ, **locale}, capture_output=True)
        return done.stdout.decode(), done.stderr.decode()

    assert found("cell")[0] == str(folder / "Zelle_\u00e4.mrc")
    assert "cannot write; set PYTHONUTF8=1" in found("")[1]


def test_an_address_is_not_taken_for_a_path(tmp_path: Path) -> None:
    (found,) = find_inputs(["s3://bucket/cells/TS_01.mrc"])
    assert (found.path, found.name) == ("s3://bucket/cells/TS_01.mrc", "TS_01")


def series(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [str(folder / name) for name in names]


def test_tomograms_of_one_name_are_called_as_their_folders_side_by_side(tmp_path: Path) -> None:
    paths = series(tmp_path, "TS_01/tomogram.mrc", "TS_02/tomogram.mrc.gz", "TS_03/tomogram.rec")
    assert [i.name for i in find_inputs(paths)] == ["TS_01", "TS_02", "TS_03"]
    assert [i.name for i in find_inputs(paths[:1])] == ["tomogram"]
    assert [i.name for i in find_inputs(paths[:1], name="{parent}")] == ["TS_01"]
    halves = series(tmp_path, "rec/TS_01.mrc", "rec/even/TS_01.mrc")
    with pytest.raises(InputError, match=r"would both be called TS_01; name them otherwise"):
        find_inputs(halves)
    assert [i.name for i in find_inputs(halves, name="{parent}_{name}")] == ["rec_TS_01", "even_TS_01"]
    with pytest.raises(InputError, match="would both be called same"):
        find_inputs(halves, name="same")
    twins = series(tmp_path, "t/A.mrc", "t/A.rec")
    with pytest.raises(InputError, match=r"--name '\{file\}'"):
        find_inputs(twins)
    assert [i.name for i in find_inputs(twins, name="{file}")] == ["A.mrc", "A.rec"]
    with pytest.raises(InputError, match="would both be called"):
        find_inputs(series(tmp_path, "x/A.mrc", "y/a.mrc", "z/B.mrc"))  # one name on some disks


@pytest.mark.parametrize("name", ["...mrc", "a\nb.mrc", " .mrc", "b\udcff.mrc"])
def test_a_file_name_that_cannot_be_a_name_is_refused_with_a_way_out(tmp_path: Path, name: str) -> None:
    (path,) = series(tmp_path, name)
    with pytest.raises(InputError, match="give it another name"):
        find_inputs([path])
    assert find_inputs([path], name="TS_01")[0].name == "TS_01"
    with pytest.raises(InputError, match="never a path"):
        find_inputs([path], name="../TS_01")


def test_folders_are_searched_to_their_depth_when_asked(folder: Path) -> None:
    series(folder, "deeper/still/x.mrc", "deeper/.hidden/y.mrc")
    create_image(
        folder / "run/TS/tomogram.zarr",
        shape=(4, 4, 4),
        dtype="f4",
        voxel_size=(9.0, 9.0, 9.0),
        name="TS",
        core=(4, 4, 4),
    )
    (folder / "deeper/link").symlink_to(folder)
    every = [Path(i.path).name for i in find_inputs([str(folder)], recursive=True)]
    assert every == ["a.mrc", "b.mrc.gz", "c.REC", "d.em", "inner.mrc", "x.mrc", "e.ome.zarr"]
    with pytest.raises(InputError, match="--recursive"):
        find_inputs([str(folder / "run")])
