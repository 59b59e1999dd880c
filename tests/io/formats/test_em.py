from __future__ import annotations

import struct
from pathlib import Path

import emfile
import numpy as np
import pytest

from deepict_dask.errors import FormatError
from deepict_dask.io.formats.em import looks_like_em, open_em

ALL = (slice(None),) * 3


def volume(dtype: str = "f4") -> np.ndarray:
    return (np.random.default_rng(1).random((3, 4, 5)) * 100).astype(dtype)


def by_hand(
    path: Path,
    values: np.ndarray,
    *,
    code: int,
    machine: int,
    order: str,
    pixel: int = 13480,
    comment: bytes = b"",
) -> Path:
    """Write an EM file after the TOM toolbox's description."""
    z, y, x = values.shape
    parameters = [0] * 40
    parameters[6] = pixel
    head = bytes([machine, 0, 0, code]) + struct.pack(order + "3i", x, y, z) + comment.ljust(80, b"\0")
    head += struct.pack(order + "40i", *parameters) + bytes(256)
    assert len(head) == 512
    path.write_bytes(head + values.astype(values.dtype.newbyteorder(order)).tobytes())
    return path


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4", "f8"])
def test_files_of_the_emfile_package_are_read_alike(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.em"
    # emfile writes parameters in the order in which they are given, so those before OBJ are needed too.
    before = {"comment": " " * 80, "U": 0, "COE": 0, "APE": 0, "VE": 0, "VN": 0, "ET": 0}
    emfile.write(path, volume(dtype), header_params={**before, "OBJ": 21400})
    assert emfile.read(path, header_only=True)[0]["OBJ"] == 21400
    opened = open_em(path)
    _, expected = emfile.read(path)
    assert opened.read(ALL).dtype == np.dtype(dtype)
    np.testing.assert_array_equal(opened.read(ALL), expected)
    assert opened.voxel_size == (21.4, 21.4, 21.4)


@pytest.mark.parametrize(("machine", "order"), [(0, ">"), (3, ">"), (5, ">"), (6, "<"), (1, "<")])
@pytest.mark.parametrize(("code", "dtype"), [(1, "i1"), (2, "i2"), (4, "i4"), (5, "f4"), (9, "f8")])
def test_machine_code_gives_the_byte_order(
    tmp_path: Path, machine: int, order: str, code: int, dtype: str
) -> None:
    opened = open_em(
        by_hand(tmp_path / "a.em", volume(dtype), code=code, machine=machine, order=order, comment=b"bin 4")
    )
    region = (slice(1, 3), slice(0, 4), slice(2, 4))
    np.testing.assert_array_equal(opened.read(region), volume(dtype)[region])
    assert opened.read(region).dtype.isnative
    assert opened.voxel_size == (13.48, 13.48, 13.48)
    assert opened.details["labels"] == ["bin 4"]
    assert opened.warnings == ()


def test_wrong_machine_code_gives_way_to_the_size_of_the_file(tmp_path: Path) -> None:
    opened = open_em(by_hand(tmp_path / "a.em", volume(), code=5, machine=5, order="<"))
    assert "little-endian" in opened.warnings[0]
    np.testing.assert_array_equal(opened.read(ALL), volume())


def test_unset_voxel_size_is_none(tmp_path: Path) -> None:
    opened = open_em(by_hand(tmp_path / "a.em", volume(), code=5, machine=6, order="<", pixel=0))
    assert opened.voxel_size is None
    assert "--voxel-size" in str(opened.doubt)


@pytest.mark.parametrize("code", [8, 10])
def test_complex_voxels_are_refused(tmp_path: Path, code: int) -> None:
    path = by_hand(tmp_path / "a.em", volume(), code=code, machine=6, order="<")
    with pytest.raises(FormatError, match="complex"):
        open_em(path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "a.em", volume(), code=5, machine=6, order="<")
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(FormatError, match="cut off: 7 of 752"):
        open_em(path)
    path.write_bytes(whole[:100])
    with pytest.raises(FormatError, match="100 bytes"):
        open_em(path)
    path.write_bytes(whole[:3] + b"\x07" + whole[4:])
    with pytest.raises(FormatError, match="data type 7"):
        open_em(path)
    path.write_bytes(whole[:4] + struct.pack("<3i", 0, 4, 5) + whole[16:])
    with pytest.raises(FormatError, match="shape"):
        open_em(path)
    path.write_bytes(whole + b"xy")
    assert "2 bytes behind" in open_em(path).warnings[0]


def test_only_a_file_whose_size_fits_looks_like_em(tmp_path: Path) -> None:
    whole = by_hand(tmp_path / "a.em", volume(), code=5, machine=6, order="<").read_bytes()
    assert looks_like_em(whole[:1024], len(whole))
    assert not looks_like_em(whole[:1024], len(whole) + 1)
