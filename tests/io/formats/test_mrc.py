from __future__ import annotations

import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import FormatError, MissingFileError
from deepict_dask.io.formats.mrc import open_mrc

ALL = (slice(None),) * 3


def write(path: Path, values: np.ndarray, voxel_size: float | tuple[float, float, float] = 13.48) -> Path:
    """Write with mrcfile, the oracle; its voxel size is (x, y, z)."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(values)
        file.set_volume()
        file.voxel_size = voxel_size
    return path


def patch(path: Path, offset: int, form: str, *values: object) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(struct.pack(form, *values))


def volume(dtype: str = "f4", shape: tuple[int, int, int] = (5, 6, 7)) -> np.ndarray:
    return (np.random.default_rng(1).random(shape) * 100).astype(dtype)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("dtype", "mode"), [("i1", 0), ("i2", 1), ("f4", 2), ("u2", 6), ("f2", 12)])
def test_modes_and_byte_orders_equal_mrcfile(tmp_path: Path, order: str, dtype: str, mode: int) -> None:
    values = volume(dtype)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(values.astype(np.dtype(dtype).newbyteorder(order)))
        file.set_volume()
        file.voxel_size = (3.0, 4.0, 5.0)
    opened = open_mrc(tmp_path / "a.mrc")
    read = opened.read(ALL)
    assert opened.details["mode"] == mode
    assert opened.details["byte_order"] == ("little" if order == "<" or dtype == "i1" else "big")
    assert read.dtype == np.dtype(dtype) and read.dtype.isnative and read.flags.c_contiguous
    np.testing.assert_array_equal(read, mrcfile.read(tmp_path / "a.mrc"))
    assert opened.shape == (5, 6, 7)
    assert opened.voxel_size == (5.0, 4.0, 3.0)
    assert opened.warnings == ()


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_region_equals_the_slice_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    values = volume(shape=(4, 5, 6))
    path = write(tmp_path_factory.mktemp("mrc") / "a.mrc", values)
    region = tuple(
        slice(*sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n))))) for n in values.shape
    )
    np.testing.assert_array_equal(open_mrc(path).read(region), values[region])  # type: ignore[arg-type]


def test_a_region_is_a_copy_that_does_not_keep_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    read = open_mrc(path).read(ALL)
    assert type(read) is np.ndarray
    read[:] = 0
    assert open_mrc(path).read(ALL).any()


RANGE, IMOD = 76, 152


def of_bytes(
    path: Path, values: np.ndarray, low: float = 0, high: float = 0, flags: int | None = None
) -> Path:
    """Write bytes with what a header says of their range (0, 0: nothing) and IMOD's flags."""
    write(path, values.view("i1"))
    patch(path, RANGE, "<3f", low, high, 0)
    if flags is not None:
        patch(path, IMOD, "<ii", 1146047817, flags)
    return path


SIGNED = volume("i1") - np.int8(50)
UNSIGNED = SIGNED.astype("i2").__add__(128).astype("u1")


def test_imod_flags_decide_whether_bytes_are_signed(tmp_path: Path) -> None:
    path = of_bytes(tmp_path / "a.mrc", SIGNED, flags=0)
    assert open_mrc(path).dtype == np.uint8
    np.testing.assert_array_equal(open_mrc(path).read(ALL), SIGNED.view(np.uint8))
    patch(path, IMOD + 4, "<i", 1 | 4)
    assert open_mrc(path).dtype == np.int8
    patch(path, IMOD, "<ii", 7, 0)  # flags without the stamp mean nothing
    assert open_mrc(path).dtype == np.int8


@pytest.mark.parametrize(
    ("low", "high", "flags", "dtype", "n_warnings"),
    [
        (0, 242, None, "u1", 1),  # only unsigned bytes reach 242
        (-50, 49, None, "i1", 0),
        (0, 100, None, "i1", 0),  # below 128 both are the same
        (0, 242, 0, "u1", 0),
        (-50, 49, 1, "i1", 0),
        (-50, 49, 4, "i1", 1),  # a header of IMOD that another program copied
        (0, 242, 1, "i1", 1),  # IMOD says signed
        (-50, 242, None, "i1", 1),  # neither can
        (float("nan"), 242, None, "i1", 1),
    ],
)
def test_the_range_of_the_header_decides_where_imod_does_not(
    tmp_path: Path, low: float, high: float, flags: int | None, dtype: str, n_warnings: int
) -> None:
    opened = open_mrc(of_bytes(tmp_path / "a.mrc", UNSIGNED, low, high, flags))
    assert opened.dtype == np.dtype(dtype)
    assert len(opened.warnings) == n_warnings, opened.warnings
    np.testing.assert_array_equal(opened.read(ALL), UNSIGNED.view(dtype))


def test_bytes_of_which_nothing_is_said_are_signed_and_doubted_where_that_looks_wrong(tmp_path: Path) -> None:
    around = np.arange(118, 134, dtype="u1").reshape(1, 4, 4).repeat(3, axis=0)
    doubted = open_mrc(of_bytes(tmp_path / "a.mrc", around))
    assert doubted.dtype == np.int8 and "look like unsigned ones" in doubted.warnings[0]
    assert open_mrc(of_bytes(tmp_path / "b.mrc", (around - 128))).warnings == ()


def test_sixteen_bit_integers_are_unsigned_where_the_header_says_so(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 210).astype("u2").reshape(5, 6, 7)
    path = write(tmp_path / "a.mrc", values.view("i2"))
    patch(path, RANGE, "<3f", 0, 65535, 3e4)
    opened = open_mrc(path)
    assert opened.dtype == np.uint16 and "unsigned" in opened.warnings[0]
    np.testing.assert_array_equal(opened.read(ALL), values)
    assert opened.value_range == (0.0, 65535.0)
    patch(path, RANGE, "<3f", -32768, 32767, 0)
    assert open_mrc(path).dtype == np.int16 and open_mrc(path).warnings == ()


@pytest.mark.parametrize("columns", [6, 7])
def test_four_bits_per_voxel_are_read(tmp_path: Path, columns: int) -> None:
    values = np.random.default_rng(2).integers(0, 16, (4, 5, columns)).astype("u1")
    rows = np.zeros((4, 5, 8), "u1")
    rows[..., :columns] = values
    packed = (rows[..., 0::2] | (rows[..., 1::2] << 4))[..., : -(-columns // 2)]
    path = write(tmp_path / "a.mrc", np.zeros((1, 1, 1), "f4"))
    head = bytearray(path.read_bytes()[:1024])
    head[0:16] = struct.pack("<4i", columns, 5, 4, 101)
    path.write_bytes(head + packed.tobytes())
    opened = open_mrc(path)
    assert opened.shape == values.shape and opened.dtype == np.uint8
    np.testing.assert_array_equal(opened.read(ALL), values)
    for x in (slice(0, 1), slice(1, 2), slice(1, 4), slice(2, 5), slice(5, 6), slice(3, 3)):
        region = (slice(1, 3), slice(0, 5), x)
        np.testing.assert_array_equal(opened.read(region), values[region])
    turned = open_mrc(path, "xzy")
    np.testing.assert_array_equal(turned.read(ALL), values.transpose(1, 0, 2))


@pytest.mark.parametrize("mode", [3, 4, 16, 5, 1000])
def test_other_modes_are_refused_by_number(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 12, "<i", mode)
    with pytest.raises(
        FormatError, match=f"MRC mode {mode}, .*{'damaged' if mode in (5, 1000) else 'convert it'}"
    ):
        open_mrc(path)


def test_extended_header_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    with mrcfile.open(path, "r+") as file:
        file.set_extended_header(np.arange(100, dtype="f4"))
        file.header.exttyp = b"FEI1"
    opened = open_mrc(path)
    assert opened.details["extended_header_bytes"] == 400
    assert opened.details["extended_header_type"] == "FEI1"
    np.testing.assert_array_equal(opened.read(ALL), volume())


@pytest.mark.parametrize("announced", [10**8, 168, 40, -5])
def test_extended_header_that_is_not_there_is_ignored_if_the_voxels_fit(
    tmp_path: Path, announced: int
) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 92, "<i", announced)  # 168 bytes are one section
    opened = open_mrc(path)
    assert f"extended header of {announced} bytes; there is none" in opened.warnings[0]
    np.testing.assert_array_equal(opened.read(ALL), volume())


def test_extended_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 92, "<i", 10**8)
    patch(path, 8, "<i", 4)
    with pytest.raises(FormatError, match="extended header"):
        open_mrc(path)


def test_extended_header_that_is_not_announced_is_refused_or_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    whole = path.read_bytes()
    path.write_bytes(whole[:1024] + b"\1" * 100 + whole[1024:])
    assert "an extended header that the header does not announce" in open_mrc(path).warnings[0]
    patch(path, 104, "4s", b"FEI1")
    with pytest.raises(
        FormatError, match=r"names an extended header \(FEI1\) of 0 bytes, but has 100 bytes more"
    ):
        open_mrc(path)


def test_whole_sections_behind_those_of_a_header_that_agrees_with_itself_are_not_taken_for_voxels(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.mrc", volume())
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(2 * 6 * 7 * 4))
    opened = open_mrc(path)
    assert opened.shape == (5, 6, 7) and "336 bytes behind its 5 sections" in opened.warnings[0]


def stack(path: Path, space_group: int, per_volume: int) -> Path:
    write(path, volume(shape=(8, 6, 7)))
    patch(path, 88, "<i", space_group)
    patch(path, 36, "<i", per_volume)
    patch(path, 40, "<3f", 70, 60, 10 * per_volume)
    return path


def test_stacks_are_refused_by_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="a stack of 4 volumes of 2 sections each"):
        open_mrc(stack(tmp_path / "a.mrc", 401, 2))
    with pytest.raises(FormatError, match=r"a stack of 8 images .*such as a tilt series.*--axes xyz"):
        open_mrc(stack(tmp_path / "b.mrc", 0, 1))
    assert open_mrc(tmp_path / "b.mrc", "xyz").shape == (8, 6, 7)
    assert open_mrc(stack(tmp_path / "c.mrc", 401, 8)).shape == (8, 6, 7)  # one volume
    assert open_mrc(stack(tmp_path / "d.mrc", 0, 8)).shape == (8, 6, 7)  # ChimeraX, cryoSPARC


@pytest.mark.parametrize("name", ["a.st", "a.ali", "a.mrcs", "a.ST"])
def test_names_of_tilt_series_are_said(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.mrc", volume()).rename(tmp_path / name)
    assert "such as a tilt series" in open_mrc(path).warnings[0]
    assert open_mrc(path, "xyz").warnings == ()


def test_tomograms_straight_from_tilt_get_a_hint_and_are_read_when_asked(tmp_path: Path) -> None:
    truth = volume(shape=(4, 9, 8))
    path = write(tmp_path / "a.mrc", np.ascontiguousarray(truth.transpose(1, 0, 2)), (10.0, 12.0, 14.0))
    patch(path, 196, "<3f", 1.0, 2.0, 3.0)
    assert "--axes xzy" in open_mrc(path).warnings[0]
    assert open_mrc(path, "xyz").warnings == ()
    turned = open_mrc(path, "xzy")
    np.testing.assert_array_equal(turned.read(ALL), truth)
    assert turned.shape == truth.shape and turned.warnings == ()
    assert turned.voxel_size == (12.0, 14.0, 10.0)
    assert turned.origin == (2.0, 3.0, 1.0)


def test_the_origin_comes_from_the_header_or_from_the_first_voxel(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume(), (2.5, 3.0, 4.0))
    assert open_mrc(path).origin is None
    patch(path, 16, "<3i", -7, 6, 5)
    assert open_mrc(path).origin == (20.0, 18.0, -17.5)
    patch(path, 196, "<3f", -512.0, 0, 128.0)
    assert open_mrc(path).origin == (128.0, 0.0, -512.0)
    patch(path, IMOD, "<ii", 1146047817, 0)  # IMOD's older sign
    assert open_mrc(path).origin == (-128.0, 0.0, 512.0)


@pytest.mark.parametrize(
    ("size", "shape", "said"),
    [
        (1.348, (8, 160, 160), "nanometers"),
        (0.1348, (8, 400, 400), "nanometers"),
        ((13.28, 13.28, 1.66), (8, 16, 24), "edges differ"),
        (1.348, (1, 2000, 2000), None),  # a field of 270 nm is one of angstroms
        (2.6, (4, 5, 6), None),
        ((13.28, 13.280001, 13.279998), (4, 5, 6), None),
    ],
)
def test_voxel_sizes_that_cannot_be_are_doubted(
    tmp_path: Path, size: float | tuple[float, float, float], shape: tuple[int, int, int], said: str | None
) -> None:
    opened = open_mrc(write(tmp_path / "a.mrc", np.zeros(shape, "i1"), size))
    assert (opened.voxel_size is None) == (said is not None)
    assert said is None or (said in str(opened.doubt) and "--voxel-size" in str(opened.doubt))


@pytest.mark.parametrize("nz", [0, -3, 1, 4, 51, 10**6])
def test_nonsense_nz_or_too_small_a_one_gives_way_to_the_file(tmp_path: Path, nz: int) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 8, "<i", nz)
    opened = open_mrc(path)
    assert opened.warnings == (
        f"the header of {path} says nz = {nz}, but the file holds 5 sections, which were used",
    )
    np.testing.assert_array_equal(opened.read(ALL), volume())


def test_a_file_that_is_cut_off_is_refused_with_the_missing_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    whole = path.read_bytes()
    for missing in (1, 6 * 7 * 4, 3 * 6 * 7 * 4 + 5):  # a voxel, a whole section, several
        path.write_bytes(whole[:-missing])
        with pytest.raises(FormatError, match=f"cut off: {missing} of 840 bytes"):
            open_mrc(path)
    path.write_bytes(whole[:1024])
    with pytest.raises(FormatError, match="cut off: 840 of 840"):
        open_mrc(path)
    path.write_bytes(whole[:500])
    with pytest.raises(FormatError, match="500 bytes"):
        open_mrc(path)


def test_bytes_behind_the_last_section_are_ignored_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    with open(path, "ab") as file:
        file.write(b"xyz")
    opened = open_mrc(path)
    assert "3 bytes behind" in opened.warnings[0]
    np.testing.assert_array_equal(opened.read(ALL), volume())


def test_zero_nz_with_half_a_section_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 8, "<i", 0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match="nz = 0"):
        open_mrc(path)


@pytest.mark.parametrize("stamp", [b"\x00\x00", b"\xff\x07", b"\x11\x11"])
def test_nonsense_machine_stamp_falls_back_on_what_makes_sense(tmp_path: Path, stamp: bytes) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 212, "2s", stamp)
    opened = open_mrc(path)
    assert len(opened.warnings) == (0 if stamp == b"\0\0" else 1)
    np.testing.assert_array_equal(opened.read(ALL), volume())


@pytest.mark.parametrize(
    "cell", [(0, 0, 0), (np.nan, 70, 60), (-7, 6, 5), (0, 60, 50), (7e9, 60, 50), (0.007, 0.006, 0.005)]
)
def test_missing_or_nonsense_voxel_size_is_none_with_a_warning(
    tmp_path: Path, cell: tuple[float, float, float]
) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 40, "<3f", *cell)
    opened = open_mrc(path)
    assert opened.voxel_size is None
    assert opened.warnings == () and "--voxel-size" in str(opened.doubt)


def test_zero_grid_gives_no_voxel_size_and_one_angstrom_is_doubted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", volume())
    patch(path, 28, "<3i", 0, 0, 0)
    assert open_mrc(path).voxel_size is None
    one = open_mrc(write(tmp_path / "one.mrc", volume(), 1.0))
    assert one.voxel_size is None
    assert "exactly 1 A" in str(one.doubt)


def test_float32_noise_does_not_make_a_voxel_size_anisotropic(tmp_path: Path) -> None:
    opened = open_mrc(write(tmp_path / "a.mrc", np.zeros((17, 19, 23), np.int8), 13.48))
    assert opened.voxel_size == (13.48, 13.48, 13.48)


@pytest.mark.parametrize("mapped", [(1, 2, 3), (2, 1, 3), (3, 1, 2), (2, 3, 1), (3, 2, 1), (1, 3, 2)])
def test_axis_order_of_the_header_is_honored(tmp_path: Path, mapped: tuple[int, int, int]) -> None:
    truth = volume()  # z, y, x
    # Columns run along axis mapped[0] (1 is x), rows along mapped[1], sections along mapped[2].
    stored = truth.transpose([3 - mapped[2], 3 - mapped[1], 3 - mapped[0]])
    path = write(tmp_path / "a.mrc", np.ascontiguousarray(stored))
    patch(path, 28, "<3i", 7, 6, 5)  # the grid and the cell are along x, y, z
    patch(path, 40, "<3f", 7 * 2.0, 6 * 3.0, 5 * 4.0)
    patch(path, 64, "<3i", *mapped)
    opened = open_mrc(path)
    assert opened.shape == truth.shape
    assert opened.voxel_size == (4.0, 3.0, 2.0)
    assert len(opened.warnings) == (mapped != (1, 2, 3))
    region = (slice(1, 4), slice(0, 6), slice(2, 5))
    np.testing.assert_array_equal(opened.read(region), truth[region])
    assert opened.read(region).flags.c_contiguous


def test_one_image_is_a_tomogram_of_one_section_and_said(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(volume(shape=(1, 6, 7))[0])
    assert open_mrc(tmp_path / "a.mrc").shape == (1, 6, 7)
    assert "one section" in open_mrc(tmp_path / "a.mrc").warnings[0]


def test_a_file_that_shrinks_or_goes_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", np.zeros((64, 64, 64), np.float32))
    opened = open_mrc(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FormatError, match="5000 bytes"):
        opened.read(ALL)
    path.unlink()
    with pytest.raises(MissingFileError, match="no longer there"):
        opened.read(ALL)


def test_real_tomogram_equals_mrcfile(shared: Path) -> None:
    path = shared / "data/phantom/TS_014/tomogram.mrc"
    region = (slice(60, 70), slice(100, 200), slice(390, 400))
    opened = open_mrc(path)
    assert opened.shape == (128, 400, 400)
    assert opened.voxel_size == (13.48, 13.48, 13.48)
    with mrcfile.mmap(path) as file:
        np.testing.assert_array_equal(opened.read(region), file.data[region])
