from __future__ import annotations

import importlib.util
import itertools
import json
import math
import pickle
from pathlib import Path
from typing import Any

import ngff_zarr
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models.v05.image import Image as Image05

from deepict_dask.errors import FormatError, InputError, MissingFileError, OutputExistsError
from deepict_dask.io.ome_zarr import (
    Image,
    create_image,
    finish_image,
    open_image,
    pyramid_levels,
    read_attributes,
    update_attributes,
)
from deepict_dask.kernels.pyramid import mean_pyramid_block

# ngff-zarr checks against the JSON schema of the specification only with its [validate] extra.
HAS_JSONSCHEMA = importlib.util.find_spec("jsonschema") is not None


def make(path: Path, **changes: Any) -> Image:
    options: dict[str, Any] = {
        "shape": (37, 70, 130),
        "dtype": "f4",
        "voxel_size": (14.0, 13.48, 13.48),
        "name": "TS_1",
        "core": (40, 40, 80),
        "n_levels": 3,
    }
    return create_image(path, **{**options, **changes})


def fill(image: Image, values: np.ndarray) -> Image:
    """Write an image block by block, as tasks do, and finish it."""
    lead = values.shape[:-3]
    shards = []
    for corner in itertools.product(
        *(range(0, n, k) for n, k in zip(values.shape[-3:], image.core, strict=True))
    ):
        spatial = tuple(
            slice(a, min(a + k, n)) for a, k, n in zip(corner, image.core, values.shape[-3:], strict=True)
        )
        region = (*(slice(0, n) for n in lead), *spatial)
        shards += image.writer.write(region, values[region])
    return finish_image(image, shards)


def levels(image: Image) -> tuple[Any, ...]:
    return image.writer.levels


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("classes", [None, ["ribosome"], ["ribosome", "fas"]])
def test_written_groups_are_valid_for_other_readers(
    tmp_path: Path, version: str, classes: list[str] | None
) -> None:
    path = tmp_path / "a.ome.zarr"
    kind = "probability" if classes else "tomogram"
    image = make(path, version=version, kind=kind, classes=classes)
    values = np.random.default_rng(0).random(image.shape).astype("f4")
    fill(image, values)
    if version == "0.5":
        model = Image05.from_zarr(zarr.open_group(path, mode="r"))
        assert model.ome_attributes.version == "0.5"
    theirs = ngff_zarr.from_ngff_zarr(str(path), validate=HAS_JSONSCHEMA, version=version)
    assert len(theirs.images) == 3
    lead = 1 if classes and len(classes) > 1 else 0
    for i, level in enumerate(theirs.images):
        assert level.dims[-3:] == ("z", "y", "x")
        assert level.scale["z"] == 14.0 * 2**i and level.scale["x"] == 13.48 * 2**i
        # The first cell of level i covers 2**i voxels; its center is at their mean.
        assert level.translation["z"] == pytest.approx(14.0 * np.arange(2**i).mean())
        assert level.axes_units["z"] == "angstrom"
    assert theirs.images[0].data.shape == image.shape == (2, 37, 70, 130)[1 - lead :]
    np.testing.assert_array_equal(theirs.images[0].data.compute(scheduler="synchronous"), values)


def test_reading_back_gives_what_was_said(tmp_path: Path) -> None:
    make(tmp_path / "a.zarr", kind="probability", classes=["a", "b"], dtype="u1")
    image = pickle.loads(pickle.dumps(open_image(tmp_path / "a.zarr")))
    assert (image.shape, image.dtype) == ((2, 37, 70, 130), np.dtype("u1"))
    assert (image.voxel_size, image.name, image.version) == ((14.0, 13.48, 13.48), "TS_1", "0.5")
    assert image.classes == ["a", "b"]
    assert [level.shape for level in levels(image)] == [(2, 37, 70, 130), (2, 19, 35, 65), (2, 10, 18, 33)]
    assert image.attributes["kind"] == "probability"
    assert not image.is_complete and not image.is_foreign


edges = st.sampled_from([4, 8, 12, 20, 24, 40])
sizes = st.integers(1, 50)


@settings(max_examples=15, deadline=None)
@given(st.tuples(sizes, sizes, sizes), st.tuples(edges, edges, edges), st.integers(1, 3))
def test_no_file_is_shared_by_two_writing_tasks(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    core: tuple[int, int, int],
    n_levels: int,
) -> None:
    for version in ("0.5", "0.4"):
        folder = tmp_path_factory.mktemp("shards")
        image = make(folder / "a.zarr", shape=shape, core=core, n_levels=n_levels, version=version)
        for i, level in enumerate(levels(image)):
            unit = level.shards or level.chunks
            # A task writes core // 2**i from multiples of that; a storage unit must lie in one such region.
            assert all((edge // 2**i) % u == 0 for edge, u in zip(core, unit, strict=True))
            assert all(c <= 64 for c in level.chunks)
            assert level.shape == tuple(math.ceil(n / 2**i) for n in shape)


def test_shards_are_the_cores_and_chunks_are_never_slivers(tmp_path: Path) -> None:
    image = make(tmp_path / "a.zarr", shape=(300, 300, 300), core=(256, 252, 268), n_levels=2)
    assert [level.shards for level in levels(image)] == [(256, 252, 268), (128, 126, 134)]
    assert [level.chunks for level in levels(image)] == [(64, 63, 67), (64, 63, 67)]


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_blocks_written_one_by_one_make_the_pyramid_of_the_whole(tmp_path: Path, version: str) -> None:
    values = np.random.default_rng(0).normal(size=(37, 70, 130)).astype("f4")
    image = fill(make(tmp_path / "a.zarr", version=version), values)
    for array, whole in zip(levels(image), mean_pyramid_block(values, 3), strict=True):
        np.testing.assert_array_equal(array[:], whole)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize(
    ("kind", "dtype", "expected"),
    [
        ("probability", "f4", "nan"),
        ("probability", "f2", "nan"),
        ("probability", "u1", "0"),
        ("tomogram", "f4", "0.0"),
    ],
)
def test_holes_show_in_floating_probabilities(
    tmp_path: Path, version: str, kind: str, dtype: str, expected: str
) -> None:
    image = make(tmp_path / "a.zarr", kind=kind, dtype=dtype, version=version)
    assert str(image.array[0, 0, 0]) == expected


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_codecs_follow_the_kind(tmp_path: Path, version: str) -> None:
    def codecs(kind: str, dtype: str) -> str:
        image = make(tmp_path / f"{kind}.zarr", kind=kind, dtype=dtype, version=version)
        name = "0/zarr.json" if version == "0.5" else "0/.zarray"
        return Path(image.path, name).read_text()

    assert "lz4" in codecs("tomogram", "f4")
    assert "zstd" in codecs("probability", "u1") and "blosc" not in codecs("labels", "u4")


def test_labels_have_one_level_unless_asked(tmp_path: Path) -> None:
    assert len(make(tmp_path / "a.zarr", kind="labels", dtype="u4", n_levels=None).level_paths) == 1
    strided = make(tmp_path / "b.zarr", kind="labels", dtype="u4", n_levels=2)
    metadata = json.loads((Path(strided.path) / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][
        0
    ]
    assert metadata["type"] == "nearest"
    assert metadata["datasets"][1]["coordinateTransformations"][1]["translation"] == [0, 0, 0]


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_complete_comes_last_and_attributes_stay(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.zarr"
    make(path, version=version)
    update_attributes(path, mean=np.float32(1.5), region=(np.int64(1), 2), source=Path("a.mrc"), low=math.nan)
    assert not open_image(path).is_complete
    assert read_attributes(path)["complete"] is False
    image = finish_image(open_image(path), [], std=2.0, complete="ignored")
    assert image.is_complete
    expected = {"mean": 1.5, "region": [1, 2], "source": "a.mrc", "low": "NaN", "std": 2.0, "complete": True}
    found = {key: image.attributes[key] for key in (*expected, "kind", "name", "core")}
    assert found == {"kind": "tomogram", "name": "TS_1", "core": [40, 40, 80], **expected}
    assert image.voxel_size == (14.0, 13.48, 13.48)  # the metadata of the image is still there
    for file in path.rglob("*.json"):
        json.loads(file.read_text(), parse_constant=pytest.fail)  # strict JSON, without NaN


def test_what_a_killed_process_leaves_is_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "a.zarr"
    with monkeypatch.context() as context:
        context.setattr(zarr, "create_array", killed)
        with pytest.raises(KeyboardInterrupt):
            make(path)
    assert read_attributes(path).get("complete") is False
    with pytest.raises(FormatError, match="not a Zarr array"):
        open_image(path)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "out" / "a.zarr"
    make(path)
    (tmp_path / "file").write_text("x")
    for place in (path, tmp_path / "file", tmp_path):
        with pytest.raises(OutputExistsError, match="exists already"):
            make(place)
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")


@pytest.mark.parametrize("name", ["../fas", "a/b", "", "a=b"])
def test_classes_are_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a class in .* is called"):
        make(tmp_path / "a.zarr", kind="probability", classes=["ribosome", name])
    image = make(tmp_path / "b.zarr", kind="probability", classes=["ribosome", "x"])
    update_attributes(image.location, classes=["ribosome", name])
    with pytest.raises(InputError, match="a class in .* is called"):
        _ = open_image(image.location).classes


def test_wrong_requests_say_what_to_change(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at most 2 levels"):
        make(tmp_path / "a.zarr", core=(6, 8, 8), n_levels=3)
    with pytest.raises(InputError, match=r"version '0\.3'"):
        make(tmp_path / "a.zarr", version="0.3")
    with pytest.raises(InputError, match="kind 'mask'"):
        make(tmp_path / "a.zarr", kind="mask")
    with pytest.raises(InputError, match="for 2 classes"):
        make(tmp_path / "a.zarr", shape=(3, 4, 5, 6), classes=["a", "b"])
    assert not (tmp_path / "a.zarr").exists()


def test_pyramid_levels_end_at_64_voxels_or_where_cores_cannot_be_halved() -> None:
    assert pyramid_levels((64, 64, 64), (64, 64, 64)) == 1
    assert pyramid_levels((10, 65, 10), (16, 64, 64)) == 2
    assert pyramid_levels((1000, 1000, 1000), (63, 64, 64)) == 1
    assert pyramid_levels((1000, 1000, 1000), (64, 64, 4)) == 3


def test_foreign_images_are_complete_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    ngff_zarr.to_ngff_zarr(
        str(path),
        ngff_zarr.to_multiscales(
            ngff_zarr.to_ngff_image(
                np.zeros((8, 9, 10), "f4"),
                dims=("z", "y", "x"),
                scale={"z": 1.0, "y": 2.0, "x": 2.0},
                axes_units=dict.fromkeys("zyx", "nanometer"),
            ),
            scale_factors=[],
        ),
        version="0.5",
    )
    image = open_image(path)
    assert image.is_foreign and image.is_complete
    assert (image.shape, image.voxel_size) == ((8, 9, 10), (10.0, 20.0, 20.0))
    with pytest.raises(MissingFileError, match="does not exist"):
        open_image(tmp_path / "absent.zarr")
    with pytest.raises(FormatError, match="not a Zarr group"):
        open_image(tmp_path)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("classes", [["ribosome", "α-β [x]"], ["fas"]])
@pytest.mark.parametrize("dtype, largest", [("u1", 255.0), ("f4", 1.0)])
def test_viewers_know_the_classes_by_name_and_color(tmp_path, version, classes, dtype, largest):
    make(tmp_path / "a.zarr", kind="probability", classes=classes, dtype=dtype, version=version)
    attributes = zarr.open_group(tmp_path / "a.zarr", mode="r").attrs.asdict()
    ours = attributes.get("ome", attributes)["omero"]["channels"]
    theirs = ngff_zarr.from_ngff_zarr(str(tmp_path / "a.zarr"), validate=HAS_JSONSCHEMA, version=version)
    read = theirs.metadata.omero.channels
    assert [c.label for c in read] == [c["label"] for c in ours] == classes
    assert [(c.window.min, c.window.max, c.window.start, c.window.end) for c in read] == [
        (0, largest, 0, largest)
    ] * len(read)
    colors = {c.label: c.color for c in read}
    assert colors[sorted(classes)[0]] == "E69F00", "the colors of the pictures, which order classes by name"
    if version == "0.5":
        Image05.from_zarr(zarr.open_group(tmp_path / "a.zarr", mode="r"))


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("classes", [["ribosome", "α-β [x]"], ["fas"]])
def test_napari_names_the_classes(tmp_path, version, classes):
    reader = pytest.importorskip("ome_zarr.reader", reason="needs ome-zarr, by which napari reads")
    from ome_zarr.io import parse_url

    make(tmp_path / "a.zarr", kind="probability", classes=classes, dtype="u1", version=version)
    node = next(iter(reader.Reader(parse_url(tmp_path / "a.zarr"))()))
    assert node.metadata["channel_names"] == classes


def test_tomograms_and_labels_have_no_channels(tmp_path):
    for kind in ("tomogram", "labels"):
        make(tmp_path / f"{kind}.zarr", kind=kind, dtype="u4")
        assert "omero" not in zarr.open_group(tmp_path / f"{kind}.zarr", mode="r").attrs["ome"]
