from __future__ import annotations

import bz2
import errno
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepict_dask.errors import FormatError, InputError, WorkError
from deepict_dask.io import compressed
from deepict_dask.io.compressed import is_compressed, unpack

CONTENT = np.random.default_rng(0).integers(0, 50, 3_000_000, dtype=np.uint8).tobytes()
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress}


@pytest.fixture(params=sorted(PACKERS))
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"a.mrc{request.param}"
    path.write_bytes(PACKERS[request.param](CONTENT))
    return path


def test_content_comes_out_whole_and_once_per_process(packed: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    plain = unpack(packed, scratch)
    assert plain.read_bytes() == CONTENT
    assert scratch in plain.parents
    assert plain.name.endswith("a.mrc")
    assert unpack(packed, scratch) == plain
    os.utime(packed, ns=(1, 1))  # a changed file is unpacked again
    assert unpack(packed, scratch) != plain


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    assert unpack(tmp_path / "a.gz", tmp_path).read_bytes() == b"onetwo"


def test_never_more_than_a_piece_is_in_memory(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "_PIECE", 1 << 16)
    sizes: list[int] = []
    original = compressed._next_piece

    def watched(*args: Any) -> bytes:
        piece = original(*args)
        sizes.append(len(piece))
        return piece

    monkeypatch.setattr(compressed, "_next_piece", watched)
    assert unpack(packed, tmp_path).read_bytes() == CONTENT
    assert max(sizes) <= 1 << 16 and len(sizes) > 40


def test_cut_off_or_damaged_files_are_refused_and_leave_nothing(packed: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    whole = packed.read_bytes()
    packed.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="cut off"):
        unpack(packed, scratch)
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 64] = bytes(64)
    packed.write_bytes(damaged)
    with pytest.raises(FormatError, match="damaged"):
        unpack(packed, scratch)
    assert not [file for file in scratch.rglob("*") if file.is_file()]


def test_full_disk_is_said_and_leaves_nothing(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fdopen

    def full(*args: Any, **kwargs: Any) -> Any:
        file = real(*args, **kwargs)

        class Full:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, _: bytes) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(WorkError, match=f"{scratch} has not enough space"):
        unpack(packed, scratch)
    assert not [file for file in scratch.rglob("*") if file.is_file()]


def test_absent_scratch_folder_is_named(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent cannot be written to"):
        unpack(packed, tmp_path / "absent")


def test_unpacked_files_go_when_the_process_ends_but_not_when_a_forked_child_does(
    packed: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = (
        "import os, sys\n"
        "from deepict_dask.io.compressed import unpack\n"
        f"plain = unpack({str(packed)!r}, {str(scratch)!r})\n"
        "child = os.fork()\n"
        "if child == 0: sys.exit()\n"  # runs the exit handlers
        "os.waitpid(child, 0)\n"
        "assert plain.exists()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(scratch.iterdir()) == []


def test_plain_files_are_not_taken_for_compressed() -> None:
    assert not is_compressed(b"MAP ") and not is_compressed(b"")
