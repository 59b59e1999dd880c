from __future__ import annotations

from pathlib import Path

import pytest
import zarr

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.inputs import find_tomograms, tomogram_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mrc.gz", "a.mrc", "c.REC", "notes.csv", ".hidden.mrc", "deeper/inner.mrc", "d.em"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    zarr.create_group(tmp_path / "e.ome.zarr").create_array("0", shape=(2, 2, 2), dtype="f4")
    (tmp_path / "not.zarr").mkdir()
    return tmp_path


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
        ("TS.1", "TS.1"),
        (".mrc", ".mrc"),
    ],
)
def test_names_lose_the_suffixes_of_formats_only(path: str, name: str) -> None:
    assert tomogram_name(path) == name
