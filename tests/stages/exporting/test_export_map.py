"""Exported maps, read back by the field's own library."""

from __future__ import annotations

import errno
import os

import mrcfile
import numpy as np
import pytest
from scipy import ndimage

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.source import open_source
from deepict_dask.stages.exporting.export_map import export_map
from tests.conftest import write_mrc
from tests.images import stored_image

SHAPE = (37, 50, 70)


@pytest.fixture
def values():
    return (np.random.default_rng(0).normal(size=SHAPE) * 7 + 3).astype("f4")


@pytest.fixture
def small_blocks(monkeypatch):
    """Cores of 16 voxels: many blocks of a small tomogram."""
    import deepict_dask.stages.exporting.export_map as module
    from deepict_dask.geometry import block_grid

    monkeypatch.setattr(module, "storage_grid", lambda shape: block_grid(shape, 16))


def read(place):
    with mrcfile.open(str(place)) as file:
        # mrcfile sums float16 up in float16, which is then its own error.
        assert file.data.dtype == np.float16 or mrcfile.validate(str(place))
        edges = tuple(float(file.voxel_size[axis]) for axis in "zyx")
        origin = tuple(float(file.header.origin[axis]) for axis in "zyx")
        return np.array(file.data), edges, origin, file.header


def test_a_tomogram_comes_back_with_its_voxel_size_and_origin(folder, values, small_blocks):
    source = {"name": "a.mrc", "origin": [-100.0, 20.5, 7.0]}
    size = (20.0, 10.0, 12.5)
    stored_image(folder / "tomogram.zarr", values, voxel_size=size, finish={"source": source})
    exported = export_map(folder / "tomogram.zarr", folder / "a.mrc")
    data, edges, origin, header = read(exported.place)
    assert data.dtype == np.float32 and np.array_equal(data, values)
    assert edges == pytest.approx(size) and origin == (-100.0, 20.5, 7.0)
    assert header.ispg == 1 and header.dmin == values.min() and header.dmax == values.max()
    assert header.dmean == pytest.approx(values.mean(), rel=1e-5) and header.rms == pytest.approx(
        values.std(), rel=1e-5
    )
    back = open_source(folder / "a.mrc")  # and our own reader agrees
    assert back.voxel_size == pytest.approx(size) and back.origin == (-100.0, 20.5, 7.0) and not back.warnings


def test_other_images_lie_where_the_tomogram_beside_them_does(folder, values):
    stored_image(folder / "tomogram.zarr", values, finish={"source": {"origin": [1.0, 2.0, 3.0]}})
    labels = (values > 10).astype("u4") * 70000
    stored_image(folder / "particles_labels.zarr", labels, kind="labels")
    data, _, origin, _ = read(export_map(folder / "particles_labels.zarr", folder / "a.mrc").place)
    assert origin == (1.0, 2.0, 3.0)
    assert data.dtype == np.float32 and np.array_equal(data, labels)


@pytest.mark.parametrize("largest, dtype", [(300, np.int16), (40000, np.uint16), (70000, np.float32)])
def test_labels_are_exact_in_the_smallest_dtype(folder, largest, dtype):
    labels = np.zeros(SHAPE, "u4")
    labels[3, 4, 5] = largest
    stored_image(folder / "labels.zarr", labels, kind="labels")
    data, *_ = read(export_map(folder / "labels.zarr", folder / "a.mrc").place)
    assert data.dtype == dtype and np.array_equal(data, labels)
    with pytest.raises(InputError, match=f"the largest label is {largest}, and int8 holds"):
        export_map(folder / "labels.zarr", folder / "b.mrc", dtype="int8")
    assert not (folder / "b.mrc").exists()


def test_probabilities_of_a_class_are_probabilities(folder, small_blocks):
    levels = np.random.default_rng(1).integers(0, 256, (2, *SHAPE)).astype("u1")
    classes = ["ribosome", "fas"]
    place = folder / "probability.zarr"
    stored_image(place, levels, kind="probability", classes=classes, finish={"scale": 1 / 255})
    data, *_ = read(export_map(place, folder / "a.mrc", class_name="fas").place)
    assert data.dtype == np.float32 and np.allclose(data, levels[1] / 255, atol=1e-6)
    data, *_ = read(export_map(place, folder / "b.mrc", class_name="ribosome", dtype="int8").place)
    assert data.dtype == np.int8 and np.abs(data - levels[0] / 2.55).max() <= 0.5001
    with pytest.raises(InputError, match="has the classes ribosome, fas; choose one with --class"):
        export_map(place, folder / "c.mrc")
    with pytest.raises(InputError, match="has no class 'x'; it has ribosome, fas"):
        export_map(place, folder / "c.mrc", class_name="x")


def test_blocks_that_were_not_computed_are_0_and_said(folder):
    from tests.stages.test_condition import Heard

    levels = np.random.default_rng(1).integers(1, 256, SHAPE).astype("u1")
    place = folder / "probability.zarr"
    computed = [index for index in np.ndindex(3, 3, 3) if index != (0, 1, 0)]
    image = stored_image(
        place, levels, kind="probability", classes=["a"], finish={"scale": 1 / 255}, computed=computed
    )
    expected = levels / 255
    expected[image.manifest.grid.region((0, 1, 0))] = 0
    reporter = Heard()
    data, *_ = read(export_map(place, folder / "a.mrc", reporter=reporter).place)
    assert np.allclose(data, expected, atol=1e-6)
    assert image.array.n_not_computed == 1 and "1 blocks of" in reporter.warned[0]


def test_smoothing_by_blocks_is_that_of_the_whole(folder, values, small_blocks):
    stored_image(folder / "tomogram.zarr", values, voxel_size=(20.0, 10.0, 10.0))
    data, *_ = read(export_map(folder / "tomogram.zarr", folder / "a.mrc", sigma=15.0).place)
    assert np.array_equal(data, ndimage.gaussian_filter(values, (0.75, 1.5, 1.5)))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16"])
def test_a_tomogram_that_does_not_fit_is_stretched_around_its_mean(folder, values, dtype):
    stored_image(folder / "tomogram.zarr", values)
    exported = export_map(folder / "tomogram.zarr", folder / "a.mrc", dtype=dtype)
    data, *_ = read(exported.place)
    limits = np.iinfo(dtype)
    low = max(limits.min, -limits.max)
    ends = values.mean() - 5 * values.std(), values.mean() + 5 * values.std()
    expected = np.interp(values.astype(float), ends, (low, limits.max))
    assert data.dtype == np.dtype(dtype) and np.abs(data - expected).max() < 0.51 + limits.max * 1e-5
    assert "5 standard deviations" in exported.meaning


def test_whole_numbers_that_fit_stay_as_they_are(folder):
    whole = np.random.default_rng(0).integers(-100, 100, SHAPE).astype("i2")
    stored_image(folder / "tomogram.zarr", whole)
    for dtype in ("int16", "int8", "float16", None):
        data, *_ = read(
            export_map(folder / "tomogram.zarr", folder / "a.mrc", dtype=dtype, overwrite=True).place
        )
        assert np.array_equal(data, whole) and data.dtype == np.dtype(dtype or "int16")


def test_any_tomogram_can_be_exported_packed_ones_too(folder, values):
    import gzip

    plain = write_mrc(folder.local_path() / "a.mrc", values, 13.48)
    packed = folder / "b.mrc.gz"
    packed.write(gzip.compress(plain.read_bytes()))
    data, edges, *_ = read(export_map(packed, folder / "out" / "c.rec").place)
    assert np.array_equal(data, values) and edges == pytest.approx((13.48,) * 3)
    assert [c.name for c in (folder / "out").children()] == ["c.rec"]


def test_nothing_is_replaced_unasked_and_nothing_is_left_half_written(folder, values):
    stored_image(folder / "tomogram.zarr", values)
    (folder / "a.mrc").write(b"mine")
    with pytest.raises(OutputExistsError, match="use --overwrite"):
        export_map(folder / "tomogram.zarr", folder / "a.mrc")
    for shard in (folder / "tomogram.zarr" / "0").local_path().rglob("c/*/*/2"):
        shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(InputError, match="tomogram.zarr/0/c"):
        export_map(folder / "tomogram.zarr", folder / "a.mrc", overwrite=True)
    assert (folder / "a.mrc").read_bytes() == b"mine"
    assert sorted(os.listdir(folder)) == ["a.mrc", "tomogram.zarr"]


def test_a_full_disk_is_an_error_and_not_a_signal(folder, values, monkeypatch):
    stored_image(folder / "tomogram.zarr", values)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="no space is left"):
        export_map(folder / "tomogram.zarr", folder / "a.mrc")
    assert os.listdir(folder) == ["tomogram.zarr"]


def test_what_cannot_be_exported_is_said(folder, values):
    stored_image(folder / "tomogram.zarr", values)
    stored_image(folder / "labels.zarr", (values > 10).astype("u4"), kind="labels")
    place = folder / "tomogram.zarr"
    for words, options in (
        ("does not end like an MRC file", {"output": folder / "a.tif"}),
        ("name one of the images in it: labels.zarr, tomogram.zarr", {"image": folder}),
        ("float64", {"dtype": "float64"}),
        ("no class 'fas'", {"class_name": "fas"}),
        ("gaussian is -1", {"sigma": -10.0}),
        ("more than 24 would need too much memory", {"sigma": 1e9}),
        ("labels, which smoothing would mix", {"image": folder / "labels.zarr", "sigma": 10.0}),
    ):
        chosen = {"image": place, "output": folder / "a.mrc"} | options
        with pytest.raises(InputError, match=words):
            export_map(chosen.pop("image"), chosen.pop("output"), **chosen)
    holes = values.copy()
    holes[3, 4, 5] = np.nan
    stored_image(folder / "b.zarr", holes)
    with pytest.raises(InputError, match="voxels are NaN or infinite, which int8 cannot hold"):
        export_map(folder / "b.zarr", folder / "a.mrc", dtype="int8")
