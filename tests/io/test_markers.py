"""Markers of blocks: nothing unless every byte of the block is there, and never one of another image."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from deepict_dask.errors import WorkError
from deepict_dask.io.location import Location
from deepict_dask.io.markers import Markers
from deepict_dask.io.ome_zarr import create_image, finish_image, open_image

EDITION, OTHER = "a" * 64, "b" * 64
LEFT, RIGHT = ((slice(0, 8), slice(0, 8), slice(x, x + 8)) for x in (0, 8))


def begin(path, edition=EDITION, version="0.5", shape=(8, 8, 16)):
    return create_image(
        path,
        shape=shape,
        dtype="f4",
        voxel_size=(10.0,) * 3,
        name="a",
        core=(8, 8, 8),
        version=version,
        edition=edition,
        n_levels=2,
    )


@pytest.fixture(params=["0.5", "0.4"])
def image(tmp_path, request):
    return begin(tmp_path / "a.zarr", version=request.param)


def block(value):
    return np.full((8, 8, 8), value, "f4")


def write(image, index=(0, 0, 0), region=LEFT, value=1):
    shards = image.writer.write(region, block(value))
    image.writer.note(index, ("part", value), shards)
    return shards


def test_a_marker_gives_back_what_was_noted(image):
    shards = write(image)
    assert image.markers.indices() == [(0, 0, 0)]
    assert image.markers.read((0, 0, 0)) == (("part", 1), shards)
    assert {s.key[0] for s in shards} == {"0", "1"}, "all levels"
    assert image.markers.read((0, 0, 1)) is None


@pytest.mark.parametrize("what", ["shard", "marker"])
@pytest.mark.parametrize("how", ["missing", "empty", "longer", "zeros"])
def test_what_a_power_cut_leaves_is_nothing(image, what, how):
    shards = write(image)
    folder = image.location.local_path()
    for file in [folder / s.key for s in shards] if what == "shard" else [*folder.glob(".blocks-*/0.0.0")]:
        saved = file.read_bytes()
        if how == "missing":
            file.unlink()
        else:
            file.write_bytes({"empty": b"", "longer": saved + b"x", "zeros": bytes(len(saved))}[how])
        assert image.markers.read((0, 0, 0)) is None
        file.write_bytes(saved)
        assert image.markers.read((0, 0, 0)) is not None


def test_a_marker_under_another_number_or_of_another_edition_is_nothing(image):
    write(image)
    folder = next(image.location.local_path().glob(".blocks-*"))
    (folder / "0.0.1").write_bytes((folder / "0.0.0").read_bytes())
    assert image.markers.read((0, 0, 1)) is None
    # Two editions may begin alike; the marker holds the whole of it.
    other = Markers(image.location, EDITION[:16] + OTHER[16:])
    assert other.folder == image.markers.folder and other.read((0, 0, 0)) is None


def test_other_files_among_the_markers_are_passed_by(image):
    write(image)
    folder = next(image.location.local_path().glob(".blocks-*"))
    for name in (".partial-0123", "x", "0.0.x", "-1.0.0"):
        (folder / name).write_text("x")
    assert image.markers.indices() == [(0, 0, 0)]


def test_markers_go_when_the_image_is_finished_and_late_ones_come_to_nothing(image):
    writer = image.writer
    shards = write(image) + write(image, (0, 0, 1), RIGHT)
    done = finish_image(image, shards)
    before = sorted(f for f, _ in done.location.files())
    assert not [f for f in before if ".blocks" in f]
    # A worker that lost its scheduler writes the same block once more.
    writer.note((0, 0, 0), None, writer.write(LEFT, block(1)))
    assert sorted(f for f, _ in done.location.files()) == before
    open_image(done.location).check_whole(deep=True)


def test_a_late_block_of_another_edition_is_refused_and_leaves_no_marker(image):
    late = image.writer
    shards = image.writer.write(LEFT, block(1))
    image.location.remove()
    anew = begin(image.location, OTHER, image.version)
    write(anew, value=2)
    with pytest.raises(WorkError, match="was replaced"):
        late.write(LEFT, block(1))
    late.note((0, 0, 0), "late", shards)
    assert anew.markers.indices() == [(0, 0, 0)] and anew.markers.read((0, 0, 0))[0] == ("part", 2)
    assert [p.name for p in image.location.local_path().glob(".blocks-*")] == [".blocks-" + OTHER[:16]]


def test_one_block_leaves_no_marker(tmp_path):
    image = begin(tmp_path / "a.zarr", shape=(8, 8, 8))
    assert image.markers is None
    image.writer.note((0, 0, 0), None, image.writer.write(LEFT, block(1)))
    assert not [*(tmp_path / "a.zarr").glob(".blocks*")]


def test_zarr_reads_an_unfinished_image_without_a_word_about_its_markers(image, recwarn):
    import zarr

    write(image)
    group = zarr.open_group(str(image.location), mode="r")
    assert group["0"].shape == (8, 8, 16)
    assert open_image(Location.of(image.path)).markers == image.markers
    assert not [w for w in recwarn if "blocks" in str(w.message)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads names of open files from /proc")
def test_a_block_is_on_the_disk_before_anything_says_that_it_is_there(image, monkeypatch):
    """A power cut takes the newest writes: a marker or a mark that outlives its shards would be a lie."""
    settled, named = [], []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(handle):
        settled.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def logged_replace(source, target):
        named.append((str(target), len(settled)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    shards = write(image) + write(image, (0, 0, 1), RIGHT)
    finish_image(image, shards)
    files = [str(image.location.local_path() / s.key) for s in shards]
    (first, n), (second, m) = [pair for pair in named if ".blocks-" in pair[0]]
    assert first.endswith("0.0.0") and second.endswith("0.0.1")
    assert set(files[:2]) <= set(settled[:n]) and set(files) <= set(settled[:m])
    # The manifest, then the mark, last of all.
    group = {"0.5": "zarr.json", "0.4": ".zattrs"}[image.version]
    last = str(image.location.local_path() / group)
    mark = max(i for i, name in enumerate(settled) if name == last)
    # Zarr v2 writes the two files of a group at once, in any order; the other one says only that it is a group.
    beside = str(image.location.local_path() / ".zgroup")
    assert set(settled[mark + 1 :]) <= {beside} and any("/manifest/" in name for name in settled[m:mark])
