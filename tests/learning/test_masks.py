"""Masks of a tomogram, start to end: against spheres by brute force, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ome_zarr_models
import pytest
import zarr

from deepict_dask.config.masks import MaskSettings
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.io.source import open_source
from deepict_dask.learning.masks import masks as masks_with
from deepict_dask.learning.positions import read_positions
from deepict_dask.particles import Particles
from deepict_dask.simulation import TRUTH_DTYPE
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from tests.conftest import write_mrc

SHAPE, EDGE = (37, 83, 101), 13.48


def masks(tomogram, positions, folder, settings, reporter=None, overwrite=False):
    work = Work(reporter or Reporter(), overwrite)
    return masks_with(tomogram, positions, Location.of(folder), settings, work)


def sphere_targets(truth, shape, classes, radius):
    """Brute force: every voxel's distance from every particle."""
    radii = [radius] * len(classes) if np.ndim(radius) == 0 else radius
    targets = np.zeros((len(classes), *shape), np.uint8)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    for target, name, r in zip(targets, classes, radii, strict=True):
        for row in truth[truth["class"] == name]:
            target |= np.linalg.norm(grid - (row["z"], row["y"], row["x"]), axis=-1) <= r
    return targets


@pytest.fixture
def truth():
    rows = np.zeros(30, TRUTH_DTYPE)
    rng = np.random.default_rng(3)
    rows["class"] = ["ribosome"] * 20 + ["fas"] * 10
    for axis, n in zip("zyx", SHAPE, strict=True):
        rows[axis] = rng.uniform(0, n - 1, 30)
    return rows


@pytest.fixture
def positions(truth):
    found = {}
    for name in ("ribosome", "fas"):
        rows = truth[truth["class"] == name]
        found[name] = Particles.from_positions(np.stack([rows[a] for a in "zyx"], axis=1))
    return found


@pytest.fixture
def source(mrc):
    return open_source(mrc)


class Listening(Reporter):
    def __init__(self):
        self.warned = []

    def warn(self, sentence):
        self.warned.append(sentence)


def test_spheres_are_those_of_the_simulator(source, positions, truth, tmp_path):
    image = masks(source, positions, tmp_path, MaskSettings(radius={"ribosome": 8, "fas": 10}))
    expected = sphere_targets(truth, SHAPE, ["ribosome", "fas"], [8, 10])
    np.testing.assert_array_equal(image.array[:], expected)
    assert image.is_complete and image.classes == ["ribosome", "fas"] and image.dtype == np.uint8
    assert image.attributes["kind"] == "labels" and image.voxel_size == pytest.approx((EDGE,) * 3)
    assert image.attributes["n_particles"] == {"ribosome": 20, "fas": 10}
    labelled = dict(zip(image.classes, expected.sum(axis=(1, 2, 3)).tolist(), strict=True))
    assert image.attributes["labelled"] == labelled
    assert ome_zarr_models.open_ome_zarr(zarr.open_group(tmp_path / "masks.zarr", mode="r"))


def test_workers_write_the_same(source, positions, truth, tmp_path, client):
    image = masks(source, positions, tmp_path, MaskSettings(radius=8))
    expected = sphere_targets(truth, SHAPE, ["ribosome", "fas"], 8)
    np.testing.assert_array_equal(image.array[:], expected)


def test_labels_number_the_classes_in_their_order(source, positions, truth, tmp_path):
    image = masks(source, positions, tmp_path, MaskSettings(radius=8, layout="labels", zarr_version="0.4"))
    ribosome, fas = sphere_targets(truth, SHAPE, ["ribosome", "fas"], 8)
    np.testing.assert_array_equal(image.array[:], np.where(fas, 2, ribosome))
    assert (
        image.shape == SHAPE and image.attributes["labelled"]["fas"] == fas.sum() and image.version == "0.4"
    )


@pytest.mark.parametrize("edge", [5.0, 13.48, 20.0])
def test_a_radius_in_nm_is_as_long_at_any_voxel_size(tmp_path, volume, edge):
    source = open_source(write_mrc(tmp_path / "cell.mrc", volume, edge))
    middle = {"a": Particles.from_positions([[18, 41, 50]])}
    image = masks(source, middle, tmp_path, MaskSettings(radius_nm=8))
    extent = np.ptp(np.nonzero(image.array[:])[1])
    assert extent == 2 * int(80 / edge) and image.shape == SHAPE


def test_a_given_shape_is_pasted(source, tmp_path):
    stamp = np.zeros((3, 5, 7), "f4")
    stamp[1, 2, 3] = stamp[0, 0, 6] = 1
    write_mrc(tmp_path / "stamp.mrc", stamp)
    at = {"a": Particles.from_positions([[10.2, 20.4, 30.9]])}
    image = masks(source, at, tmp_path / "out", MaskSettings(shape=str(tmp_path / "stamp.mrc")))
    assert {tuple(v) for v in np.argwhere(image.array[:])} == {(10, 20, 31), (9, 18, 34)}


def test_what_is_complete_is_kept_and_anything_else_is_refused_by_name(source, positions, tmp_path):
    wanted = MaskSettings(radius=8)
    first = masks(source, positions, tmp_path, wanted)
    before = (tmp_path / "masks.zarr" / "zarr.json").stat().st_mtime_ns
    masks(source, positions, tmp_path, wanted)
    assert (tmp_path / "masks.zarr" / "zarr.json").stat().st_mtime_ns == before
    with pytest.raises(OutputExistsError, match="use --overwrite"):
        masks(source, positions, tmp_path, MaskSettings(radius=9))
    moved = {**positions, "fas": positions["fas"].scaled(0.9)}
    with pytest.raises(OutputExistsError, match="use --overwrite"):
        masks(source, moved, tmp_path, wanted)
    again = masks(source, moved, tmp_path, wanted, overwrite=True)
    assert again.attributes["labelled"]["fas"] != first.attributes["labelled"]["fas"]


def test_masks_that_were_begun_are_made_anew(source, positions, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as m, pytest.raises(OSError, match="disk full"):
        m.setattr("deepict_dask.stages.write_image.execute", fail)
        masks(source, positions, tmp_path, MaskSettings(radius=8))
    assert not open_image(tmp_path / "masks.zarr").is_complete
    assert masks(source, positions, tmp_path, MaskSettings(radius=8)).is_complete


def test_positions_outside_are_counted(source, tmp_path):
    reporter = Listening()
    at = {"a": Particles.from_positions([[1, 2, 3], [36.4, 82.4, 100.4], [1, 2, 101], [-1, 5, 5]])}
    masks(source, at, tmp_path, MaskSettings(radius=3), reporter=reporter)
    assert reporter.warned == [f"2 of 4 positions of class 'a' lie outside cell of {SHAPE} voxels"]


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({}, {"radius": {"ribosome": 8}}, "class 'fas' has no radius and no shape"),
        ({}, {"radius": {"ribosome": 8, "proteasome": 8}}, "'proteasome', of which there are no positions"),
        ({"fas": np.zeros((0, 3))}, {"radius": 8}, "none of the 0 positions of class 'fas'"),
        ({"fas": [[99.0, 50, 5]]}, {"radius": 8}, "check the order of the axes"),
    ],
)
def test_a_class_that_cannot_be_pasted_is_refused(source, positions, tmp_path, change, settings, words):
    changed = {name: Particles.from_positions(p) for name, p in change.items()}
    with pytest.raises(InputError, match=words):
        masks(source, positions | changed, tmp_path / "out", MaskSettings(**settings))
    assert not (tmp_path / "out").exists()


def test_positions_in_other_voxels_are_refused(source, positions, tmp_path):
    other = {"a": replace(positions["fas"], voxel_size=(10.0, 10.0, 10.0))}
    with pytest.raises(InputError, match=r"voxels of 10 A, but cell has voxels of 13\.48 A"):
        masks(source, other, tmp_path, MaskSettings(radius=3))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "give one of them"),
        ({"radius": 3, "radius_nm": 4}, "radius and radius_nm"),
        ({"radius": {"a": 3}, "shape": {"a": "s.mrc"}}, "class 'a' has several"),
        ({"radius": -1}, "greater than 0"),
    ],
)
def test_what_to_paste_is_said_once(given, words):
    with pytest.raises(ValueError, match=words):
        MaskSettings(**given)


def test_a_table_with_classes_gives_its_own_rows_and_one_without_all(source, tmp_path):
    (tmp_path / "all.csv").write_text("class,z,y,x\nfas,1,2,3\nribosome,4,5,6\nfas,7,8,9\n")
    (tmp_path / "plain.csv").write_text("z,y,x\n1,2,3\n4,5,6\n")
    Particles.from_positions([[1, 2, 3]]).write(tmp_path / "a_motl.csv")
    tables = {"fas": "all.csv", "ribosome": "all.csv", "tric": "plain.csv", "m": "a_motl.csv"}
    found = read_positions({name: tmp_path / table for name, table in tables.items()}, source, Reporter())
    assert [len(p) for p in found.values()] == [2, 1, 2, 1]
    assert found["fas"].positions.tolist() == [[1, 2, 3], [7, 8, 9]]
    with pytest.raises(InputError, match="no particles of class 'actin'"):
        read_positions({"actin": tmp_path / "all.csv"}, source, Reporter())
    with pytest.raises(
        InputError, match=r"plain\.csv is given for the classes 'a' and 'b', and has no column class"
    ):
        read_positions({"a": tmp_path / "plain.csv", "b": tmp_path / "plain.csv"}, source, Reporter())
    (tmp_path / "none.csv").write_text("z,y,x\n")
    with pytest.raises(InputError, match="no particles of class 'a'"):
        read_positions({"a": tmp_path / "none.csv"}, source, Reporter())
    assert not len(read_positions({"a": tmp_path / "none.csv"}, source, Reporter(), may_be_absent=True)["a"])
    (tmp_path / "bad.csv").write_text("z,y,x\n1,2,apple\n")
    with pytest.raises(InputError, match="apple"):
        read_positions({"a": tmp_path / "bad.csv"}, source, Reporter())


def test_of_a_table_of_several_tomograms_only_the_rows_of_one_count_in_its_voxels(source, tmp_path):
    table = tmp_path / "all.csv"
    z, y, x = (1, 2, 3)
    own = [f"{n},fas,{z},{y},{x},{26.96 * z},{26.96 * y},{26.96 * x}" for n in (source.name, "other")]
    table.write_text("tomogram,class,z,y,x,z_angstrom,y_angstrom,x_angstrom\n" + "\n".join(own) + "\n")
    assert read_positions({"fas": table}, source, Reporter())["fas"].positions == pytest.approx(
        np.array([[2.0, 4, 6]])
    )
    table.write_text(table.read_text().replace(source.name, "third"))
    with pytest.raises(InputError, match=f"no particles in '{source.name}', but in third, other"):
        read_positions({"fas": table}, source, Reporter())
    table.write_text("z,y,x\n1,2,3\n")
    with pytest.raises(InputError, match="no column class"):
        read_positions({"fas": table, "ribosome": table}, source, Reporter())


def test_positions_of_another_tomogram_are_said(source, tmp_path):
    said = []
    reporter = Reporter()
    reporter.warn = said.append
    table = tmp_path / "p.csv"
    table.write_text("tomogram,z,y,x\nelsewhere,1,2,3\n")
    assert len(read_positions({"fas": table}, source, reporter)["fas"]) == 1
    assert len(said) == 1 and "'elsewhere'" in said[0] and repr(source.name) in said[0]
    table.write_text(f"tomogram,z,y,x\n{source.name},1,2,3\n")
    read_positions({"fas": table}, source, reporter)
    assert len(said) == 1
