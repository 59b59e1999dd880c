from __future__ import annotations

import bz2
import gzip
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import emfile
import h5py
import mrcfile
import numpy as np
import pytest
import zarr
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.ome_zarr import create_image, mark_complete
from deepict_dask.io.source import Source, open_source

VALUES = np.random.default_rng(3).normal(size=(5, 6, 7)).astype("f4")
ALL = (slice(None),) * 3


def write_mrc(path: Path, values: np.ndarray = VALUES, voxel_size: float = 13.48) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(values)
        file.set_volume()
        file.voxel_size = voxel_size
    return path


def write_any(kind: str, folder: Path) -> Path:
    path = folder / f"TS_1.{kind}"
    if kind in ("mrc", "rec", "map"):
        write_mrc(path)
    elif kind == "em":
        emfile.write(path, VALUES)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["data"] = VALUES
    elif kind in ("mrc.gz", "mrc.bz2"):
        plain = write_mrc(folder / "plain.mrc").read_bytes()
        path.write_bytes((gzip if kind.endswith("gz") else bz2).compress(plain))
    elif kind in ("ome.zarr", "v2.ome.zarr"):
        version = "0.4" if kind.startswith("v2") else "0.5"
        path = folder / "TS_1.ome.zarr"
        image = create_image(
            path,
            shape=VALUES.shape,
            dtype="f4",
            voxel_size=(13.48,) * 3,
            name="TS_1",
            core=(8, 8, 8),
            version=version,
        )
        image.array[:] = VALUES
        mark_complete(path)
    else:
        path = folder / "TS_1.zarr"
        zarr.create_array(path, data=VALUES[None], zarr_format=2 if kind == "v2.zarr" else 3)
    return path


KINDS = {
    "mrc": "mrc",
    "rec": "mrc",
    "map": "mrc",
    "mrc.gz": "mrc",
    "mrc.bz2": "mrc",
    "em": "em",
    "h5": "hdf5",
    "ome.zarr": "ome-zarr",
    "v2.ome.zarr": "ome-zarr",
    "zarr": "ome-zarr",
    "v2.zarr": "ome-zarr",
}


REGION = (slice(1, 4), slice(2, 6), slice(0, 3))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_format_gives_the_same_voxels_and_facts(tmp_path: Path, kind: str) -> None:
    source = open_source(write_any(kind, tmp_path))
    assert (source.name, source.format, source.shape, source.ndim) == ("TS_1", KINDS[kind], (5, 6, 7), 3)
    assert source.dtype == np.dtype("f4")
    np.testing.assert_array_equal(source.read(ALL), VALUES)
    np.testing.assert_array_equal(source.read(REGION), VALUES[REGION])
    assert source.read(REGION).flags.c_contiguous and source.read(REGION).flags.writeable
    has_voxel_size = kind not in ("em", "h5", "zarr", "v2.zarr")
    assert source.voxel_size == ((13.48, 13.48, 13.48) if has_voxel_size else None)
    assert bool(source.warnings) == (not has_voxel_size)
    lazy = da.from_array(source, chunks=(2, 3, 4))
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), VALUES)
    assert len(pickle.dumps(source)) < 2500


def test_another_process_reads_from_the_pickled_source(tmp_path: Path) -> None:
    sources: list[Source] = []
    for kind in ("mrc", "mrc.gz", "h5", "ome.zarr"):
        (tmp_path / kind).mkdir()
        sources.append(open_source(write_any(kind, tmp_path / kind)))
    (tmp_path / "sources").write_bytes(pickle.dumps(sources))
    code = (
        "import pickle, sys, numpy\n"
        "sources = pickle.load(open(sys.argv[1], 'rb'))\n"
        "parts = [s.read((slice(1, 4), slice(2, 6), slice(0, 3))) for s in sources]\n"
        "numpy.save(sys.argv[2], numpy.stack(parts))\n"
    )
    arguments = [str(tmp_path / "sources"), str(tmp_path / "parts.npy")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    for part in np.load(tmp_path / "parts.npy"):
        np.testing.assert_array_equal(part, VALUES[REGION])


keys = st.one_of(
    st.integers(-5, 4),
    st.slices(5),
)


@settings(max_examples=30, deadline=None)
@given(st.tuples(keys, keys, keys), st.integers(0, 3), st.booleans())
def test_slicing_is_numpys(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[Any, ...], n: int, ellipsis: bool
) -> None:
    source = open_source(write_mrc(tmp_path_factory.mktemp("slices") / "a.mrc"))
    chosen = (*key[:n], ...) if ellipsis else key[:n]
    np.testing.assert_array_equal(source[chosen], VALUES[chosen])


def test_too_many_indices_and_indices_outside_are_index_errors(tmp_path: Path) -> None:
    source = open_source(write_mrc(tmp_path / "a.mrc"))
    assert len(source) == 5
    with pytest.raises(IndexError):
        source[0, 0, 0, 0]
    with pytest.raises(IndexError):
        source[5]


def test_only_the_region_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.mrc"
    write_mrc(path, np.zeros((1, 64, 64), np.float32))
    head = bytearray(path.read_bytes()[:1024])
    head[8:12] = (1 << 20).to_bytes(4, "little")
    with open(path, "wb") as file:  # 16 GiB, sparse: reading it whole would not go unnoticed
        file.write(head)
        file.seek(1024 + (1 << 20) * 64 * 64 * 4 - 4)
        file.write(np.float32(7).tobytes())
    source = open_source(path)
    assert source.shape == (1 << 20, 64, 64)
    assert source.read((slice(-2, None), slice(63, 64), slice(62, 64))).tolist() == [[[0, 0]], [[0, 7]]]


def test_voxel_size_given_overrides_the_header_and_its_warnings(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", voxel_size=0)
    assert open_source(path).voxel_size is None
    assert open_source(path).warnings
    given = open_source(path, voxel_size=10)
    assert (given.voxel_size, given.warnings) == ((10.0, 10.0, 10.0), ())
    assert open_source(path, voxel_size=(20, 10, 10)).voxel_size == (20.0, 10.0, 10.0)
    for wrong in (0, -1, float("nan"), (1, 2)):
        with pytest.raises(InputError, match="voxel size"):
            open_source(path, voxel_size=wrong)  # type: ignore[arg-type]


def test_other_warnings_stay_when_a_voxel_size_is_given(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    with open(path, "ab") as file:
        file.write(b"x")
    assert len(open_source(path, voxel_size=10).warnings) == 1


@pytest.mark.parametrize("kind", ["mrc", "mrc.gz"])
def test_checksum_is_that_of_the_stored_file(tmp_path: Path, kind: str) -> None:
    path = write_any(kind, tmp_path)
    source = open_source(path)
    assert source.checksum() == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.n_bytes == path.stat().st_size
    assert source.path == str(path)


@pytest.mark.parametrize("kind", ["ome.zarr", "v2.ome.zarr", "zarr"])
def test_checksum_of_zarr_follows_content_and_not_place(tmp_path: Path, kind: str) -> None:
    path = write_any(kind, tmp_path)
    first = open_source(path)
    checksum = first.checksum()
    (path / "junk.partial").touch()
    moved = path.rename(tmp_path / "moved.zarr")
    assert open_source(moved).checksum() == checksum
    assert 0 < first.n_bytes == open_source(moved).n_bytes
    with pytest.raises(MissingFileError, match="no longer there"):
        first.checksum()
    inner = zarr.open_array(moved if kind == "zarr" else moved / "0", mode="r+")
    inner[..., :2, :, :] = 0
    assert open_source(moved).checksum() != checksum


def test_the_format_is_told_by_the_content(tmp_path: Path) -> None:
    emfile.write(tmp_path / "a.em", VALUES)
    (tmp_path / "a.em").rename(tmp_path / "a.mrc")
    assert open_source(tmp_path / "a.mrc").format == "em"
    (tmp_path / "b.gz").write_bytes(write_mrc(tmp_path / "x.mrc").read_bytes())
    assert open_source(tmp_path / "b.gz").format == "mrc"
    assert open_source(write_mrc(tmp_path / "c")).format == "mrc"


def test_sentences_on_a_compressed_file_name_that_file(tmp_path: Path) -> None:
    plain = write_mrc(tmp_path / "a.mrc", voxel_size=0).read_bytes()
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(gzip.compress(plain))
    assert str(path) in open_source(path).warnings[0]
    path.write_bytes(gzip.compress(plain[:-8]))
    with pytest.raises(FormatError, match=r"a\.mrc\.gz is cut off: 8 of"):
        open_source(path)[0]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.mrc", b"", "is empty"),
        ("a.mrc", b"x" * 100, "100 bytes"),
        ("a.tif", b"II*\0" + b"x" * 2000, "a TIFF file"),
        ("a.csv", b"x,y,z\n" * 500, "not a tomogram"),
        ("a.mrc", b"x,y,z\n" * 500, "makes no sense"),
        ("a.mrc.gz", gzip.compress(b""), "is empty"),
    ],
)
def test_files_that_are_no_tomograms_are_refused(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=sentence) as caught:
        open_source(tmp_path / name)
    assert name in str(caught.value)


def test_missing_paths_and_plain_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="does not exist"):
        open_source(tmp_path / "absent.mrc")
    with pytest.raises(FormatError, match="a folder but not a Zarr group"):
        open_source(tmp_path)


def test_zarr_that_is_not_a_tomogram_is_refused(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "group.zarr")
    with pytest.raises(FormatError, match="no multiscales"):
        open_source(tmp_path / "group.zarr")
    zarr.create_array(tmp_path / "many.zarr", data=np.zeros((2, 3, 4, 5)))
    with pytest.raises(InputError, match=r"\(2, 3, 4, 5\), has 2 channels; say which with --channel"):
        open_source(tmp_path / "many.zarr")
    assert open_source(tmp_path / "many.zarr", channel=1).shape == (3, 4, 5)
    zarr.create_array(tmp_path / "complex.zarr", data=np.zeros((3, 4, 5), complex))
    with pytest.raises(FormatError, match="complex128"):
        open_source(tmp_path / "complex.zarr")
    (tmp_path / "many.zarr" / "zarr.json").write_text("{")
    with pytest.raises(FormatError, match="damaged"):
        open_source(tmp_path / "many.zarr")


def test_an_unfinished_output_is_refused_as_input(tmp_path: Path) -> None:
    create_image(
        tmp_path / "a.zarr", shape=(4, 4, 4), dtype="f4", voxel_size=(1.0, 1.0, 1.0), name="a", core=(4, 4, 4)
    )
    with pytest.raises(FormatError, match="was not finished"):
        open_source(tmp_path / "a.zarr")


def foreign(
    path: Path, axes: list[Any], shape: tuple[int, ...], scale: list[float], version: str = "0.4"
) -> Path:
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    group.create_array("s0", data=np.arange(np.prod(shape), dtype="i2").reshape(shape))
    datasets = [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    image = {"axes": axes, "datasets": datasets, "name": "theirs"}
    group.attrs.update({"multiscales": [image]} if version == "0.4" else {"ome": {"multiscales": [image]}})
    return path


def space(*names: str, unit: str | None = "nanometer") -> list[dict[str, str]]:
    return [{"name": name, "type": "space", **({"unit": unit} if unit else {})} for name in names]


@pytest.mark.parametrize(
    ("unit", "expected"), [("nanometer", 13.48), ("angstrom", 1.348), ("micrometer", None)]
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_foreign_images_with_channel_and_time_and_units(
    tmp_path: Path, unit: str, expected: float | None, version: str
) -> None:
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *space("z", "y", "x", unit=unit)]
    path = foreign(tmp_path / "a.zarr", axes, (1, 1, 2, 3, 4), [1, 1, 1.348, 1.348, 1.348], version)
    source = open_source(path)
    assert source.shape == (2, 3, 4)
    assert source.voxel_size == (None if expected is None else (expected,) * 3)  # 13480 A is absurd
    np.testing.assert_array_equal(source.read(ALL), np.arange(24).reshape(2, 3, 4))


def test_a_scale_without_a_unit_is_quoted(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.zarr", space("z", "y", "x", unit=None), (2, 3, 4), [1, 1, 1])
    assert open_source(path).voxel_size is None
    assert "a scale of (1, 1, 1) (z, y, x) without a known unit" in open_source(path).warnings[0]


def test_dask_knows_an_unchanged_file_again_and_a_changed_one_not(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    first = tokenize(open_source(path))
    assert tokenize(open_source(path)) == first
    write_mrc(path, VALUES + 1)
    assert tokenize(open_source(path)) != first


def test_the_real_cell_is_read_from_gzip(shared: Path, tmp_path: Path) -> None:
    path = shared / "data/real/EMPIAR-11658_171.mrc.gz"
    source = open_source(path)
    assert (source.name, source.shape) == ("EMPIAR-11658_171", (128, 256, 256))
    assert source.voxel_size == pytest.approx((31.36,) * 3, rel=1e-3)
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(source[60:64], file.data[60:64])
