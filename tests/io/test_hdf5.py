from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.hdf5 import open_hdf5

ALL = (slice(None),) * 3
VALUES = np.random.default_rng(1).normal(size=(3, 4, 5)).astype("f4")


def test_eman2_file_is_read_with_its_voxel_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        group = file.create_group("MDF/images/0")
        group["image"] = VALUES
        for axis, value in zip("xyz", (13.48, 13.48, 14.0), strict=True):
            group.attrs[f"EMAN.apix_{axis}"] = np.float32(value)
    opened = open_hdf5(tmp_path / "a.hdf")
    assert opened.dataset == "MDF/images/0/image"
    assert opened.voxel_size == (14.0, 13.48, 13.48)
    np.testing.assert_array_equal(opened.read(ALL), VALUES)


def test_the_only_volume_is_found_wherever_it_is(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/inside"] = VALUES.astype(">i2")[None]  # with a leading axis of length 1
        file["table"] = np.zeros((7, 2))
        file["stack"] = np.zeros((2, 3, 4, 5))
    opened = open_hdf5(tmp_path / "a.h5")
    assert (opened.dataset, opened.shape, opened.voxel_size) == ("deep/inside", (3, 4, 5), None)
    region = (slice(1, 3), slice(0, 2), slice(4, 5))
    read = pickle.loads(pickle.dumps(opened)).read(region)
    np.testing.assert_array_equal(read, VALUES.astype("i2")[region])
    assert read.dtype.isnative and read.flags.c_contiguous


def test_of_several_the_known_name_is_taken_or_the_one_asked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"] = VALUES
        file["other"] = VALUES * 2
    assert open_hdf5(tmp_path / "a.h5").dataset == "volumes/raw"
    np.testing.assert_array_equal(open_hdf5(tmp_path / "a.h5", "/other").read(ALL), VALUES * 2)
    with pytest.raises(InputError, match=r"no volume absent; those it has are: other, volumes/raw"):
        open_hdf5(tmp_path / "a.h5", "absent")


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
