from __future__ import annotations

import bz2
import errno
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import emfile
import h5py
import mrcfile
import numpy as np
import pytest

from deepict_dask.errors import FormatError, InputError, MissingFileError, WorkError
from deepict_dask.io.formats import packed
from deepict_dask.io.formats.packed import is_packed, unpack
from deepict_dask.io.source import open_source

VALUES = np.random.default_rng(0).normal(size=(12, 40, 50)).astype("f4")
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress}
ALL = (slice(None),) * 3


def plain(kind: str, path: Path, values: np.ndarray = VALUES) -> bytes:
    if kind == "mrc":
        with mrcfile.new(path) as file:
            file.set_data(values)
            file.set_volume()
            file.voxel_size = 13.48
    elif kind == "em":
        emfile.write(path, values)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=values, compression="gzip", chunks=(4, 20, 25))
    return path.read_bytes()


@pytest.fixture(params=sorted(PACKERS))
def packed_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"a.mrc{request.param}"
    path.write_bytes(PACKERS[request.param](plain("mrc", tmp_path / "plain")))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("packer", sorted(PACKERS))
@pytest.mark.parametrize("kind", ["mrc", "em", "h5"])
def test_the_header_is_known_without_unpacking(
    tmp_path: Path, folder: Path, kind: str, packer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{kind}{packer}"
    path.write_bytes(PACKERS[packer](plain(kind, tmp_path / "plain")))
    with monkeypatch.context() as m:
        m.setattr(packed, "_pour", lambda *_: pytest.fail("unpacked"))
        source = open_source(path)
        assert (source.name, source.shape, source.dtype) == ("a", VALUES.shape, np.dtype("f4"))
        assert source.is_packed and (source.voxel_size is None) == (kind != "mrc")
    with source.unpacked(folder) as lying:
        assert not lying.is_packed
        assert (lying.name, lying.path, lying.voxel_size) == (source.name, source.path, source.voxel_size)
        np.testing.assert_array_equal(lying.read(ALL), VALUES)
        (place,) = folder.iterdir()
        assert place.name.startswith(".unpacked-")
    assert list(folder.iterdir()) == []
    np.testing.assert_array_equal(source[3:5, 7], VALUES[3:5, 7])  # without a folder


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    unpack(str(tmp_path / "a.gz"), 6, str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"onetwo"


def test_never_more_than_a_piece_is_in_memory(
    packed_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_PIECE", 1 << 12)
    sizes: list[int] = []
    original = packed._read

    def watched(*arguments: Any) -> bytes:
        piece = original(*arguments)
        sizes.append(len(piece))
        return piece

    monkeypatch.setattr(packed, "_read", watched)
    unpack(str(packed_file), 97024, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == (tmp_path / "plain").read_bytes()
    assert max(sizes) <= 1 << 12 and len(sizes) > 20


def test_what_unpacks_to_more_than_its_header_tells_is_stopped(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = plain("mrc", tmp_path / "plain")
    (tmp_path / "bomb.mrc.gz").write_bytes(gzip.compress(head + bytes(300 << 20), compresslevel=1))
    source = open_source(tmp_path / "bomb.mrc.gz")
    written: list[int] = []
    original = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (written.append(os.stat(a).st_size), original(a, b)))
    with (
        pytest.raises(
            FormatError, match="bomb.mrc.gz unpacks to more than the 97024 bytes that its header tells"
        ),
        source.unpacked(folder),
    ):
        pass
    assert written == [] and leftovers(folder) == []
    said = "bomb.mrc.gz unpacks to more than the 97024 bytes that its header tells"
    with pytest.raises(FormatError, match=said), source.unpacked(folder):
        pass
    assert written == [] and leftovers(folder) == []
    with pytest.raises(FormatError, match="unpacks to more than"):
        source[0]


def test_a_header_that_promises_more_than_the_disk_has_is_refused_before_unpacking(
    tmp_path: Path, folder: Path
) -> None:
    head = bytearray(plain("mrc", tmp_path / "plain")[:1024])
    head[0:12] = np.array([50000, 50000, 4000], "<i4").tobytes()
    (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(bytes(head) + bytes(1 << 20)))
    source = open_source(tmp_path / "a.mrc.gz")
    with pytest.raises(WorkError, match="has not enough space for the 4e.04 GB"), source.unpacked(folder):
        pass


def test_an_hdf5_bomb_stops_at_its_superblock(tmp_path: Path, folder: Path) -> None:
    content = plain("h5", tmp_path / "plain")
    (tmp_path / "a.h5.gz").write_bytes(gzip.compress(content + bytes(64 << 20), compresslevel=1))
    with pytest.raises(FormatError, match=f"more than the {len(content)} bytes"):
        open_source(tmp_path / "a.h5.gz")[0]


def test_an_extended_header_that_is_not_there_is_found_after_unpacking(tmp_path: Path, folder: Path) -> None:
    content = bytearray(plain("mrc", tmp_path / "plain"))
    content[92:96] = (49920).to_bytes(4, "little")
    (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(bytes(content)))
    with open_source(tmp_path / "a.mrc.gz").unpacked(folder) as lying:
        np.testing.assert_array_equal(lying.read(ALL), VALUES)
        assert "extended header of 49920 bytes; there is none" in lying.warnings[0]
        assert "a.mrc.gz" in lying.warnings[0]


def test_cut_off_or_damaged_files_are_refused_and_leave_nothing(packed_file: Path, folder: Path) -> None:
    whole = packed_file.read_bytes()
    packed_file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="cut off"), open_source(packed_file).unpacked(folder):
        pass
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 64] = bytes(64)
    packed_file.write_bytes(damaged)
    with pytest.raises(FormatError, match="damaged|cut off"):
        open_source(packed_file).read(ALL)
    packed_file.write_bytes(whole[:12])
    with pytest.raises(FormatError, match="cut off|damaged"):
        open_source(packed_file)
    assert leftovers(folder) == []


def test_a_full_disk_is_said_and_leaves_nothing(
    packed_file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = open_source(packed_file)
    monkeypatch.setattr(packed, "_read", lambda *_: full(_))
    with pytest.raises(WorkError, match=f"disk of {folder}.* has not enough space"), source.unpacked(folder):
        pass
    assert leftovers(folder) == []


def test_a_task_whose_folder_is_removed_stops(packed_file: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="not visible from this process, or was removed"):
        unpack(str(packed_file), 97024, str(tmp_path / "absent" / "a"))


def test_a_file_that_goes_is_missed(packed_file: Path) -> None:
    source = open_source(packed_file)
    packed_file.unlink()
    with pytest.raises(MissingFileError, match="not there"):
        source[0]


def test_a_copy_has_no_name_so_that_a_killed_process_leaves_nothing(packed_file: Path, folder: Path) -> None:
    code = (
        "import os, signal\n"
        "from deepict_dask.io.source import open_source\n"
        f"source = open_source({str(packed_file)!r})\n"
        "assert source[0].shape == (40, 50)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(folder)})
    assert done.returncode == -9
    assert leftovers(folder) == []


def test_a_file_is_unpacked_once_per_process_and_again_when_it_changes(
    packed_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 0
    original = packed._pour

    def counted(*arguments: Any) -> None:
        nonlocal n
        n += 1
        original(*arguments)

    monkeypatch.setattr(packed, "_pour", counted)
    source = open_source(packed_file)
    for z in range(4):
        source[z]
    assert n == 1
    os.utime(packed_file, ns=(1, 1))
    source[0]
    assert n == 2


def test_a_packed_file_is_turned_as_a_plain_one(tmp_path: Path) -> None:
    for kind in ("mrc", "em", "h5"):
        path = tmp_path / f"{kind}.gz"
        path.write_bytes(gzip.compress(plain(kind, tmp_path / f"plain.{kind}")))
        source = open_source(path, axes="xzy")
        assert source.shape == (40, 12, 50)
        np.testing.assert_array_equal(source.read(ALL), VALUES.transpose(1, 0, 2))


def test_metadata_far_behind_the_voxels_is_asked_to_be_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_FARTHEST", 700)
    with h5py.File(tmp_path / "plain", "w") as file:
        file["filler"] = np.zeros(100_000, "u1")
        file["data"] = VALUES
    (tmp_path / "a.h5.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    with pytest.raises(InputError, match="unpack it"):
        open_source(tmp_path / "a.h5.gz")


def test_plain_files_are_not_taken_for_packed() -> None:
    assert not is_packed(b"MAP ") and not is_packed(b"")
