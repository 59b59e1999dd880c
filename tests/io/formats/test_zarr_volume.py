from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from deepict_dask.errors import DamagedOutputError, FormatError, InputError, WorkError
from deepict_dask.io.source import open_source
from tests.images import stored_image

VALUES = np.random.default_rng(4).normal(size=(4, 6, 10)).astype("f4")
ALL = (slice(None),) * 3


def axes(names: str, unit: str | None = "angstrom") -> list[dict[str, str]]:
    kinds = {"t": "time", "c": "channel"}
    return [
        {"name": n, "type": kinds.get(n.lower(), "space")}
        | ({"unit": unit} if unit and n.lower() in "zyx" else {})
        for n in names
    ]


def scale(*values: Any, kind: str = "scale") -> dict[str, Any]:
    return {"type": kind, kind: list(values)}


def image(
    path: Path,
    names: str = "zyx",
    values: np.ndarray = VALUES,
    *,
    own: list[dict[str, Any]] | None = None,
    overall: list[dict[str, Any]] | None = None,
    unit: str | None = "angstrom",
    v3: bool = False,
    level: str = "0",
    chunks: tuple[int, ...] | None = None,
) -> Path:
    group = zarr.create_group(path, zarr_format=3 if v3 else 2)
    more = {} if v3 else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    group.create_array(level, data=values, chunks=chunks or values.shape, **more)
    own = [scale(*[10.0] * values.ndim)] if own is None else own
    content: dict[str, Any] = {
        "axes": axes(names, unit),
        "datasets": [{"path": level, "coordinateTransformations": own}],
    }
    if overall:
        content["coordinateTransformations"] = overall
    group.attrs.update(
        {"ome": {"version": "0.5", "multiscales": [content]}} if v3 else {"multiscales": [content]}
    )
    return path


@pytest.mark.parametrize("names", ["zyx", "xyz", "ZYX", "yxz", "cxyz", "tczyx", "zyxc"])
def test_axes_may_have_any_order(tmp_path: Path, names: str) -> None:
    order = [n for n in names.lower() if n in "zyx"]
    stored = VALUES.transpose(["zyx".index(n) for n in order])
    for i, name in enumerate(names):
        stored = np.expand_dims(stored, i) if name in "tc" else stored
    edges = [{"z": 30.0, "y": 20.0, "x": 15.0}.get(n, 1.0) for n in names.lower()]
    source = open_source(image(tmp_path / "a.zarr", names, stored, own=[scale(*edges)]))
    assert source.shape == VALUES.shape and source.voxel_size == (30.0, 20.0, 15.0)
    region = (slice(1, 3), slice(0, 6), slice(2, 9))
    np.testing.assert_array_equal(source.read(region), VALUES[region])
    assert len(source.warnings) == (order != list("zyx"))


@pytest.mark.parametrize("v3", [False, True])
def test_a_bare_array_may_name_its_axes(tmp_path: Path, v3: bool) -> None:
    more: dict[str, Any] = (
        {"dimension_names": ("X", "Y", "Z")} if v3 else {"attributes": {"_ARRAY_DIMENSIONS": list("xyz")}}
    )
    zarr.create_array(tmp_path / "a.zarr", data=VALUES.T.copy(), zarr_format=3 if v3 else 2, **more)
    np.testing.assert_array_equal(open_source(tmp_path / "a.zarr")[...], VALUES)
    odd: dict[str, Any] = (
        {"dimension_names": ("a", "b", "c")} if v3 else {"attributes": {"_ARRAY_DIMENSIONS": "ab"}}
    )
    zarr.create_array(tmp_path / "b.zarr", data=VALUES, zarr_format=3 if v3 else 2, **odd)
    np.testing.assert_array_equal(open_source(tmp_path / "b.zarr")[...], VALUES)


def test_a_scale_of_exactly_one_nanometer_is_said(tmp_path: Path) -> None:
    source = open_source(image(tmp_path / "a.zarr", own=[scale(1.0, 1.0, 1.0)], unit="nanometer"))
    assert source.voxel_size == (10.0, 10.0, 10.0) and "exactly 1 nanometer" in source.warnings[0]


def test_links_that_lead_back_end(tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr")
    (path / "0" / "loop").symlink_to(path / "0")
    assert open_source(path).shape == VALUES.shape
    (path / "0" / "self").symlink_to(path / "0" / "self")
    with pytest.raises((InputError, WorkError), match="self"):
        open_source(path)


def test_of_several_channels_one_is_asked_for_and_series_are_refused(tmp_path: Path) -> None:
    both = np.stack([VALUES, VALUES + 1])
    path = image(tmp_path / "c.zarr", "czyx", both)
    with pytest.raises(InputError, match="2 channels; say which with --channel"):
        open_source(path)
    np.testing.assert_array_equal(open_source(path, channel=1).read(ALL), VALUES + 1)
    with pytest.raises(FormatError, match="2 entries along t; it is a series"):
        open_source(image(tmp_path / "t.zarr", "tzyx", both))
    with pytest.raises(FormatError, match="the axes y, x"):
        open_source(image(tmp_path / "p.zarr", "yx", VALUES[0]))


def test_scales_multiply_and_translations_give_the_origin(tmp_path: Path) -> None:
    own = [scale(2.0, 2.0, 2.0), scale(1.0, 2.0, 3.0, kind="translation")]
    path = image(tmp_path / "a.zarr", own=own, overall=[scale(0.5, 0.5, 0.5)], unit="nanometer")
    source = open_source(path)
    assert source.voxel_size == (10.0, 10.0, 10.0)
    assert source.origin == (5.0, 10.0, 15.0)
    four = image(
        tmp_path / "b.zarr",
        "czyx",
        VALUES[None],
        own=[],
        overall=[scale(0.001, 0.0013, 0.0013)],
        unit="micrometer",
    )
    assert open_source(four).voxel_size == (10.0, 13.0, 13.0)  # one number per axis of space


@pytest.mark.parametrize(
    "wrong", ["10", [10.0], [10.0] * 5, [10.0, None, 10.0], [10.0, float("inf"), 10.0], 10, None]
)
def test_a_scale_that_is_not_one_number_per_axis_is_a_sentence(tmp_path: Path, wrong: Any) -> None:
    path = image(tmp_path / "a.zarr", own=[{"type": "scale", "scale": wrong}])
    with pytest.raises(FormatError, match="not one number for each of the axes z, y, x"):
        open_source(path)


@pytest.mark.parametrize(
    ("unit", "size", "said"),
    [
        (None, 13.48, r"a scale of \(13.48, 13.48, 13.48\) \(z, y, x\) without a known unit"),
        ("parsec", 13.48, "in the unknown unit parsec"),
        ("angstrom", 1.0, "exactly 1 A"),
        ("millimeter", 1.0, "no tomogram has such voxels"),
    ],
)
def test_a_voxel_size_that_cannot_be_believed_says_the_number(
    tmp_path: Path, unit: str | None, size: float, said: str
) -> None:
    source = open_source(image(tmp_path / "a.zarr", own=[scale(size, size, size)], unit=unit))
    assert source.voxel_size is None
    with pytest.raises(InputError, match=said):
        source.require_voxel_size()


def test_one_angstrom_of_our_own_was_given_by_someone(tmp_path: Path) -> None:
    own = stored_image(tmp_path / "a.zarr", np.zeros((4, 5, 6), "f4"), voxel_size=(1.0, 1.0, 1.0))
    assert open_source(own.path).voxel_size == (1.0, 1.0, 1.0)
    assert open_source(own.path).warnings == ()


def test_a_missing_shard_of_our_own_is_an_error_and_not_a_warning(tmp_path: Path) -> None:
    own = stored_image(tmp_path / "a.zarr", VALUES)
    (tmp_path / "a.zarr/0/c/0/0/0").unlink()
    with pytest.raises(DamagedOutputError, match="c/0/0/0"):
        open_source(own.path)[...]


@pytest.mark.parametrize("path", ["../b", "/etc", "", "0/../../b", "."])
def test_the_array_of_an_image_does_not_lead_out_of_it(tmp_path: Path, path: str) -> None:
    image(tmp_path / "b")
    group = image(tmp_path / "a.zarr")
    attributes = json.loads((group / ".zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["path"] = path
    (group / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(FormatError, match="no name in it"):
        open_source(group)


def container(path: Path, *, v3: bool, n: int, listed: bool) -> Path:
    facts: dict[str, Any] = {"bioformats2raw.layout": 3}
    top = zarr.create_group(path, zarr_format=3 if v3 else 2)
    top.attrs.update({"ome": {"version": "0.5", **facts}} if v3 else facts)
    for i in range(n):
        image(path / str(i), values=VALUES + i, v3=v3)
    if listed:
        series = {"series": [str(i) for i in range(n)]}
        top.create_group("OME").attrs.update({"ome": series} if v3 else series)
    return path


@pytest.mark.parametrize("v3", [False, True])
@pytest.mark.parametrize("listed", [False, True])
def test_a_container_of_one_image_is_that_image_and_of_several_lists_them(
    tmp_path: Path, v3: bool, listed: bool
) -> None:
    one = open_source(container(tmp_path / "TS_1.zarr", v3=v3, n=1, listed=listed))
    assert (one.name, one.voxel_size) == ("TS_1", (10.0, 10.0, 10.0))
    np.testing.assert_array_equal(one.read(ALL), VALUES)
    assert one.identity() == one.opened
    several = container(tmp_path / "TS_2.zarr", v3=v3, n=3, listed=listed)
    with pytest.raises(InputError, match=r"several images \(0, 1, 2\); name one, such as .*TS_2.zarr/0"):
        open_source(several)
    np.testing.assert_array_equal(open_source(several, dataset="2").read(ALL), VALUES + 2)
    with pytest.raises(InputError, match="no image 3"):
        open_source(several, dataset="3")


def test_a_group_of_arrays_names_them(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "a.zarr").create_array("raw", data=VALUES)
    with pytest.raises(FormatError, match=r"no multiscales\); it holds raw: name one, such as .*a.zarr/raw"):
        open_source(tmp_path / "a.zarr")


@pytest.mark.parametrize("v3", [False, True])
def test_missing_chunks_are_counted(tmp_path: Path, v3: bool) -> None:
    path = image(tmp_path / "a.zarr", v3=v3, chunks=(2, 3, 5))
    assert open_source(path).warnings == ()
    for name in ("0/1/1", "1/0/0"):
        (path / "0" / ("c" if v3 else "") / name).unlink()
    (warning,) = open_source(path).warnings
    assert "2 of 8 chunks" in warning and str(path) in warning
    assert open_source(path)[0, 3:, 5:].any() == np.False_


def test_missing_shards_are_counted(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", shape=(4, 6, 10), chunks=(1, 3, 5), shards=(2, 6, 5), dtype="f4")[:] = VALUES
    content = {
        "axes": axes("zyx"),
        "datasets": [{"path": "0", "coordinateTransformations": [scale(10.0, 10.0, 10.0)]}],
    }
    group.attrs["ome"] = {"version": "0.5", "multiscales": [content]}
    assert open_source(tmp_path / "a.zarr").warnings == ()
    (tmp_path / "a.zarr/0/c/1/0/1").unlink()
    assert "1 of 4 chunks" in open_source(tmp_path / "a.zarr").warnings[0]


@pytest.mark.parametrize("content", [b"", b"torn", None])
@pytest.mark.parametrize("v3", [False, True])
def test_a_truncated_or_torn_chunk_is_a_sentence_with_its_file(
    tmp_path: Path, v3: bool, content: bytes | None
) -> None:
    path = image(tmp_path / "a.zarr", v3=v3, chunks=(2, 3, 5))
    chunk = path / "0" / ("c" if v3 else "") / "1" / "0" / "1"
    chunk.write_bytes(chunk.read_bytes()[:-3] if content is None else content)
    source = open_source(path)
    np.testing.assert_array_equal(source[:2], VALUES[:2])
    with pytest.raises(FormatError, match=f"{chunk} is damaged or cut off"):
        source[2:, 1:2]


def test_chunks_named_with_another_separator_are_not_read_as_zeros(tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr", chunks=(2, 3, 5))
    metadata = path / "0" / ".zarray"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"dimension_separator": "."}))
    with pytest.raises(FormatError, match="named with '/' between the numbers, but its metadata says '.'"):
        open_source(path)


def test_more_voxels_than_there_can_be_are_refused_at_once(tmp_path: Path) -> None:
    for v3 in (False, True):
        path = image(tmp_path / f"{v3}.zarr", v3=v3)
        metadata = path / "0" / ("zarr.json" if v3 else ".zarray")
        metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"shape": [10**9] * 3}))
        start = time.monotonic()
        with pytest.raises(FormatError, match=r"1e\+27 voxels"):
            open_source(path)
        assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "content", ["[]", "{", "null", "7", '{"node_type": 3}', '{"zarr_format": 3}', "", '"a"']
)
def test_metadata_that_is_no_metadata_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(content)
    with pytest.raises(FormatError, match=r"a\.zarr.* (is damaged|metadata is damaged)"):
        open_source(tmp_path / "a.zarr")


@pytest.mark.parametrize("name", [".zarray", ".zgroup", ".zattrs"])
@pytest.mark.parametrize("content", ["[]", "{", "null", "7"])
def test_metadata_of_version_2_that_is_none_is_a_sentence(tmp_path: Path, name: str, content: str) -> None:
    path = image(tmp_path / "a.zarr")
    (path / ("0" if name == ".zarray" else "") / name).write_text(content)
    with pytest.raises(FormatError, match="a.zarr"):
        open_source(path)


def test_chunks_of_nothing_are_a_sentence(tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr", v3=True)
    metadata = path / "0" / "zarr.json"
    content = json.loads(metadata.read_text())
    content["chunk_grid"]["configuration"]["chunk_shape"][1] = 0
    metadata.write_text(json.dumps(content))
    with pytest.raises(FormatError, match="damaged"):
        open_source(path)


def test_identity_follows_what_is_written_in_place(tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr", v3=True, chunks=(2, 3, 5), level="0")
    source = open_source(path)
    assert source.identity() == source.opened
    chunk = path / "0/c/1/0/1"
    content = chunk.read_bytes()
    chunk.write_bytes(content)
    os.utime(chunk, ns=(5, 5))
    assert source.identity() != source.opened
