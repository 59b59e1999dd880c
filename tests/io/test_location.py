"""Locations: absolute at the border, whole or not at all, nothing outside."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from deepict_dask.atomic import PARTIAL
from deepict_dask.errors import FormatError, InputError, MissingFileError, OutputExistsError
from deepict_dask.io.location import Location


def test_a_path_is_made_absolute_where_it_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = Location.of("a/../b.mrc")
    monkeypatch.chdir("/")
    assert given == Location.of(tmp_path / "b.mrc")
    assert given.local_path() == tmp_path / "b.mrc"
    assert Location.of("file:///x/y") == Location.of("/x/y")
    assert Location.of("c", Location.of("/a")).url == "/a/c"
    assert Location.of("/c", Location.of("/a")).url == "/c"


def test_an_address_survives_and_says_what_cannot_be_done_with_it():
    address = Location.of("s3://bucket/data//run/")
    assert address.url == "s3://bucket/data//run"
    assert (address / "TS_01").url == "s3://bucket/data//run/TS_01"
    assert address.parent.url == "s3://bucket/data/"
    with pytest.raises(InputError, match="s3://bucket/data//run is an address .* copy it to a disk"):
        address.read_bytes()


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "", "/x", "a//b", ".", "x\0y"])
def test_names_do_not_lead_out(tmp_path, name):
    with pytest.raises(InputError, match="leads out of|names nothing"):
        Location.of(tmp_path).join(name)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    file = Location.of(tmp_path) / "sub" / "table.csv"
    file.write("one")
    with pytest.raises(RuntimeError), file.publish() as path:
        assert path.suffix == ".csv"
        path.write_text("two, half")
        raise RuntimeError
    assert file.read_text() == "one"
    assert [c.name for c in file.parent.children()] == ["table.csv"]
    assert os.listdir(tmp_path / "sub") == ["table.csv"]


def test_long_names_can_be_written(tmp_path):
    file = Location.of(tmp_path) / ("x" * 251 + ".csv")
    assert file.write("a").read_text() == "a"


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path):
    file = Location.of(tmp_path) / "x.json"
    file.write_json({"a": 1})
    with pytest.raises(OSError, match="no space is left on the disk") as raised, file.publish() as path:
        os.symlink("/dev/full", path)
        path.write_text("b" * 100_000)
    assert isinstance(raised.value.__cause__, OSError) and raised.value.__cause__.errno == errno.ENOSPC
    assert file.read_json() == {"a": 1}


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path):
    file = Location.of(tmp_path) / "x.txt"
    file.write("old")
    code = (
        "import os, signal, sys\nfrom deepict_dask.io.location import Location\n"
        "with Location.of(sys.argv[1]).publish() as p:\n    p.write_text('new')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == -9
    assert file.read_text() == "old"
    left = os.listdir(tmp_path)
    assert any(name.startswith(PARTIAL) for name in left)
    assert [c.name for c in file.parent.children()] == ["x.txt"]
    file.parent.remove_leftovers()
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_folder_is_removed_by_way_of_aside(tmp_path):
    folder = Location.of(tmp_path) / "a"
    (folder / "b").write("c")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    Location.of(tmp_path / "link").remove()
    assert (tmp_path / "a" / "b").exists()
    folder.remove()
    folder.remove()
    assert os.listdir(tmp_path) == []


def test_what_is_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputExistsError, match="is a file"):
        (Location.of(tmp_path) / "file" / "x").write("y")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputExistsError, match="is a folder"):
        (Location.of(tmp_path) / "folder").write("y")
    with pytest.raises(MissingFileError):
        (Location.of(tmp_path) / "none").read_bytes()
    (tmp_path / "bad").write_bytes(b"\xff\xfe{")
    with pytest.raises(FormatError, match="not text in UTF-8"):
        (Location.of(tmp_path) / "bad").read_json()
    (tmp_path / "half").write_text('{"a": ')
    with pytest.raises(FormatError, match="damaged"):
        (Location.of(tmp_path) / "half").read_json()


def test_files_are_listed_with_their_sizes(tmp_path):
    top = Location.of(tmp_path)
    (top / "a" / "x").write(b"12345")
    (top / "b").write(b"1")
    (tmp_path / "a" / ".partial-1").write_text("no")
    assert list(top.files()) == [("b", 1), ("a/x", 5)]
    assert (top / "a" / "x").relative_to(top) == "a/x"
