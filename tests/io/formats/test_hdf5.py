from __future__ import annotations

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.formats.hdf5 import end_of_file, open_hdf5
from deepict_dask.io.formats.volume import Choice

ALL = (slice(None),) * 3
VALUES = np.random.default_rng(1).normal(size=(3, 4, 5)).astype("f4")


def test_eman2_file_is_read_with_its_voxel_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        group = file.create_group("MDF/images/0")
        group["image"] = VALUES
        for axis, value in zip("xyz", (13.48, 13.48, 14.0), strict=True):
            group.attrs[f"EMAN.apix_{axis}"] = np.float32(value)
    opened = open_hdf5(tmp_path / "a.hdf")
    assert opened.details["dataset"] == "MDF/images/0/image"
    assert opened.voxel_size == (14.0, 13.48, 13.48)
    np.testing.assert_array_equal(opened.read(ALL), VALUES)


def test_a_stack_of_eman2_is_not_its_first_volume(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        for i in range(3):
            file[f"MDF/images/{i}/image"] = VALUES + i
    with pytest.raises(InputError, match="several volumes"):
        open_hdf5(tmp_path / "a.hdf")
    np.testing.assert_array_equal(
        open_hdf5(tmp_path / "a.hdf", Choice("MDF/images/2/image")).read(ALL), VALUES + 2
    )


def test_the_only_volume_is_found_wherever_it_is(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/inside"] = VALUES.astype(">i2")[None]  # with a leading axis of length 1
        file["table"] = np.zeros((7, 2))
        file["stack"] = np.zeros((2, 3, 4, 5))
    opened = open_hdf5(tmp_path / "a.h5")
    assert (opened.details["dataset"], opened.shape, opened.voxel_size) == ("deep/inside", (3, 4, 5), None)
    region = (slice(1, 3), slice(0, 2), slice(4, 5))
    read = pickle.loads(pickle.dumps(opened)).read(region)
    np.testing.assert_array_equal(read, VALUES.astype("i2")[region])
    assert read.dtype.isnative and read.flags.c_contiguous


def test_of_several_the_known_name_is_taken_or_the_one_asked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"] = VALUES
        file["other"] = VALUES * 2
    assert open_hdf5(tmp_path / "a.h5").details["dataset"] == "volumes/raw"
    np.testing.assert_array_equal(open_hdf5(tmp_path / "a.h5", Choice("/other")).read(ALL), VALUES * 2)
    with pytest.raises(InputError, match=r"no volume absent; those it has are: other, volumes/raw"):
        open_hdf5(tmp_path / "a.h5", Choice("absent"))


def test_several_unknown_names_are_an_error_that_lists_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(10):
            file[f"volumes/raw/subtomo_{i}"] = VALUES
    with pytest.raises(InputError, match=r"subtomo_0, .* and 2 more"):
        open_hdf5(tmp_path / "a.h5")


def test_files_without_a_readable_volume_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["plane"] = np.zeros((4, 5))
    with pytest.raises(FormatError, match="no dataset with the three axes"):
        open_hdf5(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = np.zeros((3, 4, 5), complex)
    with pytest.raises(FormatError, match="complex128"):
        open_hdf5(tmp_path / "b.h5")
    (tmp_path / "c.h5").write_bytes((tmp_path / "b.h5").read_bytes()[:600])
    with pytest.raises(FormatError, match="cannot be read as HDF5"):
        open_hdf5(tmp_path / "c.h5")


def tagged(path: Path, axes: str, values: np.ndarray) -> Path:
    """Write as ilastik does, with the names of the axes beside the voxels."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("exported_data", data=values, chunks=True, compression="gzip")
        dataset.attrs["axistags"] = json.dumps({"axes": [{"key": axis, "typeFlags": 2} for axis in axes]})
    return path


@pytest.mark.parametrize("axes", ["zyxc", "czyx", "tzyxc", "xyz", "cxyz", "yxcz"])
def test_axistags_say_where_the_axes_are(tmp_path: Path, axes: str) -> None:
    order = [axis for axis in axes if axis in "zyx"]
    stored = VALUES.transpose(["zyx".index(axis) for axis in order])
    for axis in (i for i, name in enumerate(axes) if name in "tc"):
        stored = np.expand_dims(stored, axis)
    opened = open_hdf5(tagged(tmp_path / "a.h5", axes, stored))
    assert opened.shape == VALUES.shape
    region = (slice(1, 3), slice(0, 2), slice(2, 5))
    np.testing.assert_array_equal(opened.read(region), VALUES[region])
    assert opened.read(region).flags.c_contiguous


def test_of_several_channels_one_is_asked_for(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.h5", "zyxc", np.stack([VALUES, VALUES + 1], axis=-1))
    with pytest.raises(InputError, match=r"2 channels; say which with --channel, from 0 to 1"):
        open_hdf5(path)
    np.testing.assert_array_equal(open_hdf5(path, Choice(channel=1)).read(ALL), VALUES + 1)
    with pytest.raises(InputError, match="channel 2 is not one"):
        open_hdf5(path, Choice(channel=2))
    series = tagged(tmp_path / "t.h5", "tzyx", np.stack([VALUES, VALUES + 1]))
    with pytest.raises(InputError, match="a series and not one tomogram"):
        open_hdf5(series, Choice(channel=1))


def test_a_last_axis_of_one_is_one_of_channels(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = VALUES[..., None]
        file["flat"] = VALUES[None, :, :, :1]  # one column, and a leading axis
    np.testing.assert_array_equal(open_hdf5(tmp_path / "a.h5").read(ALL), VALUES)
    assert open_hdf5(tmp_path / "a.h5", Choice("flat")).shape == (3, 4, 1)


def test_element_size_in_micrometers_is_a_voxel_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = VALUES
        file["data"].attrs["element_size_um"] = (0.001348, 0.001348, 0.001348)
    assert open_hdf5(tmp_path / "a.h5").voxel_size == (13.48, 13.48, 13.48)


def test_a_chunk_that_is_damaged_is_a_sentence_with_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("data", data=VALUES, chunks=VALUES.shape, compression="gzip")
        at = dataset.id.get_chunk_info(0).byte_offset
    opened = open_hdf5(tmp_path / "a.h5")
    whole = bytearray((tmp_path / "a.h5").read_bytes())
    whole[at : at + 50] = bytes(50)
    (tmp_path / "a.h5").write_bytes(whole)
    with pytest.raises(FormatError, match=r"a\.h5 is damaged"):
        opened.read(ALL)


def test_a_file_that_another_program_writes_is_said(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from deepict_dask.io.formats.hdf5 import open_hdf5\n"
        "try: open_hdf5(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    with h5py.File(tmp_path / "a.h5", "w", locking=True) as file:
        file["data"] = VALUES
        file.flush()
        done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.h5"], capture_output=True, text=True)
    assert done.stdout.startswith("InputError") and "is open for writing in another program" in done.stdout


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        dcpl.set_chunk((3, 4, 5))
        dcpl.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((3, 4, 5)), dcpl)
    with pytest.raises(InputError, match="HDF5 filter .*32999.*not installed"):
        open_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
def test_the_superblock_says_how_long_the_file_is(tmp_path: Path, libver: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        file["data"] = VALUES
    content = (tmp_path / "a.h5").read_bytes()
    assert end_of_file(content[:1024]) == len(content)
    assert end_of_file(content[:20]) is None


def test_more_voxels_than_there_can_be_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", shape=(10**9, 10**5, 10**5), dtype="u1", chunks=(1, 64, 64))
    with pytest.raises(FormatError, match=r"1e\+19 voxels"):
        open_hdf5(tmp_path / "a.h5")
