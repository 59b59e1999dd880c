from __future__ import annotations

import bz2
import gzip
import json
import os
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
from deepict_dask.io.identity import SourceIdentity
from deepict_dask.io.ome_zarr import create_image
from deepict_dask.io.source import Source, open_source
from tests.images import stored_image

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
        stored_image(path, VALUES, core=(8, 8, 8), name="TS_1", voxel_size=(13.48,) * 3, version=version)
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


def test_indexing_is_numpys_for_scalars_lists_masks_and_new_axes(tmp_path: Path) -> None:
    source = open_source(write_mrc(tmp_path / "a.mrc"))
    scalar = source[3, 5, -1]
    assert isinstance(scalar, np.float32) and scalar == VALUES[3, 5, -1]
    mask = np.array([True, False, False, True, True])
    for key in (
        [4, 0, 0],
        mask,
        np.int8(-2),
        (slice(None), [1, 3]),
        (None, 2, ..., None),
        (0, ..., [5, 2]),
        [],
    ):
        found, right = source[key], VALUES[key]
        np.testing.assert_array_equal(found, right)
        assert np.shape(found) == right.shape
    np.testing.assert_array_equal(
        da.from_array(source, chunks=3)[[4, 1], 2:, -1].compute(), VALUES[[4, 1], 2:, -1]
    )
    for wrong in (1.5, "a", [True, False], [9], (..., ...)):
        with pytest.raises(IndexError):
            source[wrong]


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
def test_size_and_path_are_those_of_the_stored_file(tmp_path: Path, kind: str) -> None:
    path = write_any(kind, tmp_path)
    source = open_source(path)
    assert (source.n_bytes, source.path) == (path.stat().st_size, str(path))


@pytest.mark.parametrize("kind", ["ome.zarr", "v2.ome.zarr", "zarr"])
def test_the_identity_of_zarr_follows_its_files_and_not_what_a_killed_process_left(
    tmp_path: Path, kind: str
) -> None:
    path = write_any(kind, tmp_path)
    source = open_source(path)
    (path / ("junk.partial" if kind == "zarr" else "0/junk.partial")).touch()
    assert source.identity().digest == source.opened.digest
    assert source.n_bytes > 0
    inner = zarr.open_array(path if kind == "zarr" else path / "0", mode="r+")
    inner[..., :2, :, :] = 0
    assert source.identity() != source.opened
    path.rename(tmp_path / "moved.zarr")
    with pytest.raises(MissingFileError, match="no longer there"):
        source.identity()


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


def test_what_is_no_file_is_a_sentence_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mrc")
    with pytest.raises(FormatError, match=r"pipe\.mrc is a pipe"):
        open_source(tmp_path / "pipe.mrc")
    with pytest.raises(FormatError, match="is a device"):
        open_source("/dev/null")
    (tmp_path / "loop.mrc").symlink_to(tmp_path / "loop.mrc")
    with pytest.raises(InputError, match=r"loop\.mrc cannot be opened"):
        open_source(tmp_path / "loop.mrc")
    (tmp_path / "lost.mrc").symlink_to(tmp_path / "gone")
    with pytest.raises(MissingFileError, match=r"lost\.mrc is a link to .*gone, which does not exist"):
        open_source(tmp_path / "lost.mrc")
    with pytest.raises(InputError, match="cannot be opened"):
        open_source(tmp_path / ("x" * 300 + ".mrc"))
    with pytest.raises(InputError, match="reads and writes files only"):
        open_source("s3://bucket/a.mrc")


def test_a_path_means_the_same_in_every_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mrc(tmp_path / "a.mrc")
    monkeypatch.chdir(tmp_path)
    source = open_source("a.mrc")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(source[2], VALUES[2])


def test_identity_is_that_of_the_file_and_comes_back_from_json(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    source = open_source(path)
    assert (
        source.identity()
        == source.opened
        == SourceIdentity.of_json(json.loads(json.dumps(source.opened.to_json())))
    )
    copy = tmp_path / "b.mrc"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(source.opened.mtime_ns,) * 2)
    copy.replace(path)  # the same content and time, but another file
    assert source.identity() != source.opened
    path.unlink()
    with pytest.raises(MissingFileError):
        source.identity()
    assert SourceIdentity.of_json({"size": 1}) is None


@pytest.mark.parametrize(
    ("low", "high", "voxels", "said"),
    [
        (-1.0, 1.0, (-0.5, 0.5), False),  # a cut-out is within
        (-1.0, 1.0, (-1.015, 1.015), False),  # rounding
        (-1.0, 1.0, (-3.0, 1.0), True),
        (0.0, 242.0, (-128.0, 114.0), True),
    ],
)
def test_voxels_that_contradict_the_header_are_said(
    tmp_path: Path, low: float, high: float, voxels: tuple[float, float], said: bool
) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    with open(path, "r+b") as file:
        file.seek(76)
        file.write(np.array([low, high], "<f4").tobytes())
    source = open_source(path)
    assert source.header_range == (low, high)
    sentence = source.contradiction(*voxels)
    assert (sentence is not None) == said
    assert sentence is None or f"between {low:g} and {high:g}" in sentence


@pytest.mark.parametrize("kind", ["zarr", "h5"])
def test_chunks_that_are_too_large_are_decoded_once_into_a_plain_file(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=(24, 60, 70)).astype(">f4")
    path = tmp_path / f"a.{kind}"
    if kind == "zarr":
        zarr.create_array(path, data=values, chunks=values.shape)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=values, chunks=(1, 60, 70), compression="gzip")
    source = open_source(path, axes="xzy")
    assert source.needs_staging((20, 8, 20)) and not source.needs_staging(source.shape)
    assert source.chunk_bytes == values.nbytes // (1 if kind == "zarr" else 24)
    with source.unpacked(tmp_path / "run") as lying:
        np.testing.assert_array_equal(lying.read(ALL), values.transpose(1, 0, 2))
        assert (lying.shape, lying.dtype, lying.name) == (source.shape, source.dtype, "a")
        assert not lying.needs_staging((1, 1, 1))
        assert lying.identity() == source.opened
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(lying))[3], values[:, 3])
    assert list((tmp_path / "run").iterdir()) == []


def test_plain_voxels_need_no_copy(tmp_path: Path) -> None:
    source = open_source(write_mrc(tmp_path / "a.mrc"))
    assert not source.needs_staging((1, 1, 1))
    with source.unpacked(tmp_path / "run") as same:
        assert same is source
    assert not (tmp_path / "run").exists()


def test_unpacking_is_the_work_of_a_worker(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    path = write_any("mrc.gz", tmp_path)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        with open_source(path).unpacked(tmp_path / "run") as lying:
            done = client.run(lambda dask_worker: dask_worker.state.executed_count)
            np.testing.assert_array_equal(lying.read(ALL), VALUES)
        assert sum(done.values()) == 1
