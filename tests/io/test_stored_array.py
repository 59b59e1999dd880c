"""References to stored arrays: the same array in every process, or an error; damage is named."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepict_dask.errors import DamagedOutputError, FormatError, WorkError
from deepict_dask.io.location import Location
from deepict_dask.io.manifest import Manifest, find_damage
from deepict_dask.io.ome_zarr import Image, create_image, finish_image, open_image
from deepict_dask.io.stored_array import StoredArray

SHAPE, CORE = (24, 40, 56), (16, 16, 32)


def write(
    path: Path, *, version: str = "0.5", computed: list | None = None, constant: bool = False
) -> tuple[Image, np.ndarray]:
    values = np.random.default_rng(0).integers(0, 200, SHAPE).astype("u1")
    if constant:
        values[:] = 0
    image = create_image(
        path,
        shape=SHAPE,
        dtype="u1",
        voxel_size=(10.0,) * 3,
        name="a",
        core=CORE,
        n_levels=1,
        version=version,
        kind="probability",
    )
    shards = []
    for index in np.ndindex(2, 3, 2):
        region = tuple(slice(i * k, min((i + 1) * k, n)) for i, k, n in zip(index, CORE, SHAPE, strict=True))
        if computed is None or index in computed:
            shards += image.writer.write(region, values[region])
    return finish_image(image, shards, computed), values


def shards_of(image: Image) -> list[Path]:
    return [
        Path(image.path, key)
        for key, _ in image.location.files()
        if "zarr.json" not in key and not key.rpartition("/")[2].startswith(".z")
    ]


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("constant", [False, True])
def test_every_shard_is_written_and_in_the_manifest(tmp_path, version, constant):
    image, values = write(tmp_path / "a.zarr", version=version, constant=constant)
    manifest = image.manifest
    assert len(manifest.shards) == len(shards_of(image)) == 12
    assert find_damage(image.location, manifest, deep=True) is None
    np.testing.assert_array_equal(image.array[...], values)
    assert image.array[3, 5, 7] == values[3, 5, 7]


def test_a_reference_is_opened_where_it_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image, values = write(Path("a.zarr"))
    reference = pickle.dumps(image.array)
    assert len(reference) < 1000
    code = "import pickle, sys; a = pickle.load(sys.stdin.buffer); print(int(a[:].sum()))"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = {"input": reference, "capture_output": True, "cwd": elsewhere, "check": False}
    assert int(subprocess.run([sys.executable, "-c", code], **run).stdout) == int(values.sum())
    (tmp_path / "a.zarr").rename(tmp_path / "b.zarr")
    failed = subprocess.run([sys.executable, "-c", code], **run)
    assert b"all workers must see the run folder" in failed.stderr
    assert os.listdir(elsewhere) == []


def test_another_array_at_the_same_place_is_not_taken_for_it(tmp_path):
    image, _ = write(tmp_path / "a.zarr")
    array, writer = image.array, image.writer
    shutil.rmtree(tmp_path / "a.zarr")
    create_image(
        tmp_path / "a.zarr", shape=SHAPE, dtype="f4", voxel_size=(10.0,) * 3, name="a", core=CORE, n_levels=1
    )
    with pytest.raises(WorkError, match="was replaced"):
        array[:]
    with pytest.raises(WorkError, match="was replaced"):
        writer.write((slice(0, 16), slice(0, 16), slice(0, 32)), np.zeros(CORE, "u1"))


def _missing(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 4
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [_missing, _cut, _flipped])
def test_damage_is_an_error_that_names_the_file(tmp_path, damage):
    image, _ = write(tmp_path / "a.zarr")
    array, file = image.array, Path(image.path, "0/c/1/2/1")
    damage(file)
    with pytest.raises(DamagedOutputError, match=f"{file} is .*--overwrite"):
        array[:]
    with pytest.raises(DamagedOutputError, match=str(file)):
        image.check_whole(deep=True)
    if damage is not _flipped:
        with pytest.raises(DamagedOutputError, match=str(file)):
            image.check_whole()
    # What lies elsewhere can still be read.
    assert array[:16, :16, :32].shape == (16, 16, 32)


def test_swapped_shards_are_seen_by_their_digests(tmp_path):
    image, _ = write(tmp_path / "a.zarr")
    a, b = Path(image.path, "0/c/0/0/0"), Path(image.path, "0/c/0/1/0")
    contents = a.read_bytes(), b.read_bytes()
    a.write_bytes(contents[1]), b.write_bytes(contents[0])
    with pytest.raises(DamagedOutputError, match="holds other bytes|bytes where"):
        image.check_whole(deep=True)


def test_a_manifest_that_is_not_the_one_is_damage(tmp_path):
    image, _ = write(tmp_path / "a.zarr")
    file = Path(image.path, "manifest/zarr.json")
    file.write_text(file.read_text().replace('"0/c/0/0/0"', '"0/c/9/0/0"'))
    with pytest.raises(DamagedOutputError, match="manifest is not the one"):
        image.check_whole()
    file.unlink()
    with pytest.raises(DamagedOutputError, match="damaged or missing"):
        image.check_whole()


def test_not_computed_is_never_zero(tmp_path):
    image, values = write(tmp_path / "a.zarr", computed=[(0, 0, 0), (0, 1, 0), (1, 2, 1)])
    array = pickle.loads(pickle.dumps(image.array))
    np.testing.assert_array_equal(array[:16, :32, :32], values[:16, :32, :32])
    for key in (np.s_[...], np.s_[0:16, 0:33, 0:32], np.s_[20, 5, 5], np.s_[5]):
        with pytest.raises(FormatError, match="not computed is not 0"):
            array[key]
    assert Manifest.from_json(image.manifest.to_json()) == image.manifest
    image.check_whole(deep=True)


def test_what_was_not_computed_is_zero_for_those_who_ask_for_it(tmp_path):
    computed = [(0, 0, 0), (0, 1, 0), (1, 2, 1)]
    image, values = write(tmp_path / "a.zarr", computed=computed)
    array = pickle.loads(pickle.dumps(image.array.zeros_where_not_computed()))
    expected = np.zeros_like(values)
    for block in computed:
        region = image.manifest.grid.region(block)
        expected[region] = values[region]
    assert expected.any() and not np.array_equal(expected, values)
    for key in (
        np.s_[...], np.s_[0:16, 0:33, 0:32], np.s_[20, 5, 5], np.s_[5], np.s_[3:, ::2, 1:20:3], np.s_[-1], np.s_[2:2]
    ):  # fmt: skip
        np.testing.assert_array_equal(array[key], expected[key])


def test_damage_of_an_image_of_another_program_is_named_too(tmp_path):
    image, _ = write(tmp_path / "a.zarr")
    file = Path(image.path, "0/c/0/0/0")
    array = StoredArray.of(Location.of(image.path) / "0")
    _flipped(file)
    with pytest.raises(FormatError, match=f"{file} is damaged .*copy the image again"):
        array[:]
    _missing(file)
    assert array[0, 0, 0] == 0  # others may leave out chunks of the fill value


def test_an_image_is_a_zarr_hierarchy_without_strangers(tmp_path):
    import warnings

    import zarr

    image, _ = write(tmp_path / "a.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = sorted(name for name, _ in zarr.open_group(image.path, mode="r").members())
    assert names == ["0", "manifest"]
    assert open_image(image.path) == image


ZARR_AS_SET = """
import sys
from tests.io.test_stored_array import write
image, values = write(sys.argv[1])
image.check_whole(deep=True)
assert (image.array[:] == values).all()
assert len(image.manifest.shards) == 12
"""


@pytest.mark.parametrize(
    "setting",
    [
        {"ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline"},
        {"ZARR_ASYNC__TIMEOUT": "0.000001"},
        {"ZARR_DEFAULT_ZARR_FORMAT": "2", "ZARR_ARRAY__ORDER": "F"},
    ],
    ids=["a pipeline that writes past our stores", "time limit", "format and order"],
)
def test_a_users_settings_of_zarr_neither_end_nor_change_what_is_written(tmp_path, setting):
    done = subprocess.run(
        [sys.executable, "-c", ZARR_AS_SET, str(tmp_path / "a.zarr")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | setting,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1500:]
