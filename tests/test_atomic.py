"""Places where no folder can be, and pipes that nobody writes to: a sentence before the work, and nothing hangs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from deepict_dask import atomic
from deepict_dask.atomic import publish, read_whole
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file/below/it", "{0}/file is a file"),
        ("file", "{0}/file is a file"),
        ("dangling/below", "{0}/dangling is a link to /nowhere/at/all, which does not exist"),
        ("loop", "{0}/loop cannot be looked at"),
        ("o" * 300, "has 300 bytes, and 255 are possible"),
        ("absent/" + "o" * 300 + "/below", "has 300 bytes, and 255 are possible"),
    ],
)
def test_what_is_in_the_way_of_a_folder_is_named_before_and_when_it_is_made(tmp_path, place, reason):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("/nowhere/at/all")
    (tmp_path / "loop").symlink_to("loop")
    folder = Location.of(tmp_path / place)
    for attempt in (folder.check_folder, folder.make_folder):
        with pytest.raises(OutputExistsError) as caught:
            attempt()
        assert reason.format(tmp_path) in str(caught.value) and str(caught.value).endswith(
            "; name another folder"
        )


def test_a_folder_that_is_there_or_can_be_made_is_not_refused_and_not_made(tmp_path):
    Location.of(tmp_path).check_folder()
    Location.of(tmp_path / "a" / "b").check_folder()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_disk_takes_is_a_mistake(tmp_path):
    with pytest.raises(InputError, match="has 304 bytes"), publish(tmp_path / ("o" * 300 + ".csv")) as path:
        path.touch()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_read_to_its_end_however_it_is_written(pipe):
    def write():
        with open(pipe, "wb") as file:
            for _ in range(3):
                file.write(b"x" * 100_000)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    # A shell opens the pipe that it makes of <(command) before it starts us.
    assert read_whole(pipe) == b"x" * 300_000
    writer.join()


def test_a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for(pipe, monkeypatch):
    monkeypatch.setattr(atomic, "_PIPE_SECONDS", 0.5)
    with pytest.raises(InputError, match="a pipe that nobody writes to; give a file"):
        read_whole(pipe)
    from deepict_dask.config import load_settings

    with pytest.raises(InputError, match="nobody writes to"):
        load_settings(pipe)
