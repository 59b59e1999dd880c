"""Export and import of whole runs: the way back, names, what is not known, and what is in the way."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from deepict_dask.errors import InputError, NeedsGridError, OutputExistsError
from deepict_dask.io.exchange import FORMATS, Details, Geometry
from deepict_dask.io.tables import read_particles, write_particles
from deepict_dask.particles import Particles
from deepict_dask.scoring.export import export
from deepict_dask.scoring.importing import import_tables
from tests.exchanged import CLASSES, NAMES, PIXEL, RENAME, VOXEL, everything, own_name, run_folder, shape_xyz

TABLES = {
    "tom": "particles.em", "tom_csv": "particles_tom.csv", "dynamo": "particles.tbl", "parquet": "particles.parquet",
    "csv": "particles.csv",
    **dict.fromkeys(("relion5", "relion4", "relion31", "warp", "stopgap"), "particles.star"),
}  # fmt: skip
# Lists without a word of the voxel size.
NO_SIZE = ("tom", "tom_csv", "stopgap", "imod_points", "napari", "csv")
NO_SCORES = ("imod", "imod_points", "portal")
NO_ANGLES = ("imod", "imod_points", "eman2")
GEOMETRY = Geometry(pixel_size=PIXEL)


@pytest.fixture
def source(tmp_path):
    return str(run_folder(tmp_path / "run"))


def contents(folder):
    files = [
        f
        for f in sorted(folder.rglob("*"))
        if (f.is_file() and f.parent != folder) or not f.name.startswith("export_")
    ]
    return {str(f.relative_to(folder)): f.read_bytes() for f in files if f.is_file()}


@pytest.mark.parametrize("format", FORMATS)
def test_the_way_back(source, tmp_path, format):
    """Positions, scores, angles, classes come back; a second export of what was imported is the first, byte for byte."""
    there = tmp_path / "there"
    export([source], there, format, geometry=GEOMETRY, rename=RENAME)
    first = contents(there)
    shutil.copytree(there, tmp_path / "copy")
    given = {"voxel_size": (VOXEL,) * 3} if format in (*NO_SIZE, "eman2") else {}
    stars = None
    if format == "eman2":
        export([source], tmp_path / "r5", "relion5", geometry=GEOMETRY, rename=RENAME)
        stars = str(tmp_path / "r5" / "tomograms.star")
    place = there / TABLES.get(format, "")
    told = format if format in ("tom_csv", "imod_points") else None
    geometry = Geometry(pixel_size=PIXEL, **given)
    import_tables([str(place)], tmp_path / "back.csv", told, geometry=geometry, tomograms=stars)
    back = read_particles(tmp_path / "back.csv")
    assert back.names("tomogram") == list(NAMES)
    for name, wanted in everything().items():
        found = back.of_tomogram(name)
        np.testing.assert_allclose(found.positions * VOXEL, wanted.positions * VOXEL, rtol=0, atol=0.01)
        np.testing.assert_allclose(found.positions, wanted.positions, rtol=0, atol=1e-5)
        assert found["class"].tolist() == wanted["class"].tolist()
        if format not in NO_SCORES:
            np.testing.assert_allclose(found.score, wanted.score, rtol=0, atol=1e-6)
        if format not in NO_ANGLES:
            for angle in ("rot", "tilt", "psi"):
                np.testing.assert_allclose(found.others[angle], wanted.others[angle], rtol=0, atol=2e-5)
        assert found.voxel_size == pytest.approx((VOXEL,) * 3)
    shutil.rmtree(there)
    export([str(tmp_path / "back.csv")], there, format, geometry=GEOMETRY, tomograms=stars)
    assert contents(there) == first


@pytest.mark.parametrize("format", FORMATS)
def test_particles_without_angles_scores_and_classes(tmp_path, format):
    rng = np.random.default_rng(3)
    plain = Particles.from_positions(
        rng.random((4, 3)) * 50, voxel_size=(10.0,) * 3, shape=(50, 60, 70), tomogram="TS_1"
    )
    table = write_particles(plain, tmp_path / "plain.parquet")
    there = tmp_path / "there"
    export([str(table)], there, format, geometry=Geometry(binning=4))
    geometry = Geometry(pixel_size=2.5, voxel_size=(10.0,) * 3, shape=(50, 60, 70))
    told = format if format in ("tom_csv", "imod_points") else None
    back = import_tables(
        [str(there / TABLES.get(format, ""))],
        tmp_path / "b.parquet",
        told,
        geometry=geometry,
        tomogram="TS_1",
    ).particles
    np.testing.assert_allclose(back.positions, plain.positions, rtol=0, atol=1e-5)
    assert back.tomogram == ("TS_1" if format not in ("tom", "tom_csv", "stopgap") else back.tomogram)
    assert not {"rot", "tilt", "psi"} & set(back.others)


def test_offset_is_added_and_taken_off(source, tmp_path):
    moved = Geometry(offset=(VOXEL / 2, -VOXEL, 0.0))
    export([source], tmp_path / "n", "napari", geometry=moved, rename=RENAME)
    plain = import_tables(
        [str(tmp_path / "n")], tmp_path / "a.csv", geometry=Geometry(voxel_size=(VOXEL,) * 3)
    ).particles
    wanted = everything()["TS_01"].positions
    np.testing.assert_allclose(
        plain.of_tomogram("TS_01").positions, wanted + np.array([0.5, -1, 0]), atol=1e-6
    )
    back = import_tables(
        [str(tmp_path / "n")],
        tmp_path / "b.csv",
        geometry=Geometry(voxel_size=(VOXEL,) * 3, offset=(VOXEL / 2, -VOXEL, 0.0)),
    ).particles
    np.testing.assert_allclose(back.of_tomogram("TS_01").positions, wanted, atol=1e-6)


def test_relion4_of_another_program_becomes_voxels_of_the_tomogram(tmp_path):
    star = tmp_path / "particles.star"
    star.write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnTomoTiltSeriesPixelSize #2\n1 1.25\n\ndata_particles\n\nloop_\n"
        "_rlnTomoName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n_rlnCoordinateZ #4\n_rlnOpticsGroup #5\n_rlnOriginXAngst #6\n"
        "TS_1 800 400 80 1 12.5\n"
    )
    found = import_tables(
        [str(star)], tmp_path / "a.csv", geometry=Geometry(voxel_size=(10.0,) * 3)
    ).particles
    # 800 px less 10 px of shift, eight pixels per voxel
    assert found.positions.tolist() == [[10, 50, 98.75]]
    assert read_particles(tmp_path / "a.csv").voxel_size == (10.0,) * 3
    as_it_is = import_tables([str(star)], tmp_path / "b.csv").particles
    assert as_it_is.positions.tolist() == [[80, 400, 790]] and as_it_is.voxel_size == (1.25,) * 3


def test_classes_are_chosen_and_numbers_are_kept_as_names(source, tmp_path):
    done = export([source], tmp_path / "one", "tom", geometry=GEOMETRY, rename=RENAME, class_name="fas_x")
    assert [(there, n) for _, there, n in done.tomograms] == [("TS_01", 2), ("TS_10", 0), ("TS_2", 3)]
    with pytest.raises(InputError, match="no picks of class tric"):
        export([source], tmp_path / "x", "tom", class_name="tric", geometry=GEOMETRY, rename=RENAME)
    numbered = Particles.from_positions([[1, 2, 3], [4, 5, 6]], tomograms=np.array(["12", "7"], object))
    table = write_particles(numbered, tmp_path / "numbered.csv")
    export([str(table)], tmp_path / "n", "tom_csv")
    rows = np.loadtxt(tmp_path / "n" / "particles_tom.csv", delimiter=",")
    assert rows[:, 4].tolist() == [7, 12]


def test_names_are_mapped_by_a_table(source, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("".join(f"{own_name(name)},tilt_{k}\n" for k, name in enumerate(NAMES)))
    done = export([source], tmp_path / "a", "napari", rename=str(names))
    assert [there for _, there, _ in done.tomograms] == ["tilt_0", "tilt_1", "tilt_2"]
    names.write_text(f"{own_name('TS_01')},same\n{own_name('TS_2')},same\n{own_name('TS_10')},other\n")
    with pytest.raises(InputError, match="several tomograms would be called 'same'"):
        export([source], tmp_path / "b", "napari", rename=str(names))
    names.write_text(f"{own_name('TS_01')},same\n")
    with pytest.raises(InputError, match="is not in .*names.csv; add a row"):
        export([source], tmp_path / "b", "napari", rename=str(names))
    for wrong, words in (
        ("{name}_bin4", "does not fit --rename"),
        ("nothing", "neither a pattern"),
        ("{name}={name}/up", "never a path"),
        ("{name}{name}", "once on each side"),
    ):
        with pytest.raises(InputError, match=words):
            export([source], tmp_path / "b", "napari", rename=wrong)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("format", "known", "words"),
    [
        ("relion5", {"shape": (9, 9, 9)}, "--pixel-size .* --binning .* --tomograms"),
        ("relion4", {}, "pixel size of the tilt series of TS_1"),
        ("eman2", {"pixel_size": 2.0}, "--shape"),
        ("relion5", {"pixel_size": 2.0}, "--shape"),
        ("copick", {}, None),
        ("portal", {}, None),
        ("tom", {}, None),
    ],
)
def test_what_is_not_known_is_asked_for(tmp_path, format, known, words):
    table = tmp_path / "a.csv"
    table.write_text("tomogram,z,y,x\nTS_1,1,2,3\n")
    with_size = Geometry(voxel_size=(10.0,) * 3, **known)
    if words is None:
        export([str(table)], tmp_path / "ok", format, geometry=with_size)
    else:
        with pytest.raises(NeedsGridError, match=words):
            export([str(table)], tmp_path / "out", format, geometry=with_size)
    if format in ("copick", "portal", "relion5"):
        with pytest.raises(NeedsGridError, match="--voxel-size"):
            export([str(table)], tmp_path / "out", format, geometry=Geometry(pixel_size=2.0, shape=(9, 9, 9)))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_anisotropic_voxels_are_refused_where_one_size_is_meant(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("tomogram,z,y,x\nTS_1,1,2,3\n")
    oblong = Geometry(voxel_size=(20.0, 10.0, 10.0), shape=(9, 12, 15), pixel_size=2.0)
    for format in ("relion31", "warp", "portal", "dynamo"):
        with pytest.raises(InputError, match="20 x 10 x 10 A .* knows one size"):
            export([str(table)], tmp_path / format, format, geometry=oblong)
    with pytest.raises(InputError, match="one --binning does not say"):
        export(
            [str(table)],
            tmp_path / "x",
            "relion4",
            geometry=Geometry(voxel_size=(20.0, 10.0, 10.0), binning=2),
        )
    export([str(table)], tmp_path / "r5", "relion5", geometry=oblong)
    found = read_particles(tmp_path / "r5" / "particles.star")
    np.testing.assert_allclose(found.positions, [[1, 2, 3]], atol=1e-6)
    text = (tmp_path / "r5" / "particles.star").read_text()
    assert (
        "-70.000000" in text and "-45.000000\t-40.000000\t-70.000000" in text
    )  # x, y, z: (3 - 7.5) 10, (2 - 6) 10, (1 - 4.5) 20


def test_what_is_in_the_way_stays(source, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    mine = folder / "tomograms.star"
    mine.write_text("mine")
    with pytest.raises(OutputExistsError, match="tomograms.star .* not written by this program"):
        export([source], folder, "relion5", geometry=GEOMETRY, rename=RENAME)
    assert [p.name for p in folder.iterdir()] == ["tomograms.star"] and mine.read_text() == "mine"
    mine.unlink()
    (folder / "notes.txt").write_text("mine")
    assert not export([source], folder, "relion5", geometry=GEOMETRY, rename=RENAME).is_kept
    assert export([source], folder, "relion5", geometry=GEOMETRY, rename=RENAME).is_kept
    with pytest.raises(OutputExistsError, match="made with .*pixel_size 3.37 and not 3"):
        export([source], folder, "relion5", geometry=Geometry(pixel_size=3.0), rename=RENAME)
    star = folder / "particles.star"
    star.write_text(star.read_text() + "#\n")
    with pytest.raises(OutputExistsError, match="changed since it was exported"):
        export([source], folder, "relion5", geometry=GEOMETRY, rename=RENAME)
    export([source], folder, "relion5", geometry=Geometry(pixel_size=3.0), rename=RENAME, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"
    # Another format beside it is another set of files; files of the same name are not taken from it.
    with pytest.raises(OutputExistsError, match="particles.star"):
        export([source], folder, "stopgap", rename=RENAME)
    export([source], folder, "tom", rename=RENAME)
    assert len(list(folder.glob("export_*.json"))) == 2


def test_a_failed_export_leaves_nothing(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("tomogram,z,y,x,rot,tilt,psi\nA,1,2,3,4,5,6\nB,1,2,3,,,\n")
    with pytest.raises(InputError, match="have no rot, tilt and psi"):
        export([str(table)], tmp_path / "out", "dynamo")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_killed_export_is_completed_by_the_same_command(source, tmp_path, monkeypatch):
    folder, replace = tmp_path / "there", os.replace
    moved = []

    def dies(a, b):
        if len(moved) == 2:
            raise KeyboardInterrupt
        if "particles.em" in str(b) or str(b).endswith(".txt"):
            moved.append(b)
        replace(a, b)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        export([source], folder, "tom", geometry=GEOMETRY, rename=RENAME)
    monkeypatch.undo()
    assert not json.loads((folder / "export_tom.json").read_text())["complete"]
    assert not export([source], folder, "tom", geometry=GEOMETRY, rename=RENAME).is_kept
    assert export([source], folder, "tom", geometry=GEOMETRY, rename=RENAME).is_kept


def test_priors_and_filaments_of_relion(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text(
        "tomogram,z,y,x,rot,tilt,psi,filament\n" + "".join(f"A,1,2,{k},10,20,30,{k // 3}\n" for k in range(9))
    )
    geometry = Geometry(voxel_size=(10.0,) * 3, shape=(50, 60, 70), binning=1)
    export(
        [str(table)], tmp_path / "out", "relion5", geometry=geometry, details=Details(angles_as_priors=True)
    )
    found = read_particles(tmp_path / "out" / "particles.star")
    assert set(found.others["rlnAngleTiltPrior"]) == {20} and set(found.others["rlnAnglePsiPrior"]) == {30}
    tubes, halves = found.others["rlnHelicalTubeID"].tolist(), found.others["rlnRandomSubset"].tolist()
    assert tubes == [k // 3 for k in range(9)]
    assert (
        dict(zip(tubes, halves, strict=True)) == {0: 1, 1: 2, 2: 1}
        and len(set(zip(tubes, halves, strict=True))) == 3
    )
    with pytest.raises(InputError, match="--angles-as-priors"):
        export(
            [str(_plain(tmp_path))],
            tmp_path / "x",
            "relion5",
            geometry=geometry,
            details=Details(angles_as_priors=True),
        )


def _plain(folder):
    path = folder / "plain.csv"
    path.write_text("tomogram,z,y,x\nA,1,2,3\n")
    return path


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tbl", b"1 2 3\n", "3 columns in line 1"),
        ("a.em", b"nothing", "not an EM file"),
        ("a.mod", b"IMODV1.2" + bytes(90), "damaged IMOD model"),
        ("a.mod", b"MODEL", "no IMOD model"),
        ("a.ndjson", b'{"type": "point"}\n', "line 1"),
        ("a.json", b"[1]", "--format"),
        ("a.json", b"{", "not JSON"),
        ("a.json", b'{"boxes_3d": [[1, 2]]}', "a box that is not"),
        ("a.json", b'{"pickable_object_name": "r", "points": [{"x": 1}]}', "none of copick"),
        ("a.star", b"data_x\n\nloop_\n_a #1\n1\n", "rlnCoordinateX"),
        ("a.txt", b"1 2\n", "3 to 5 numbers"),
        ("a.csv", b"1,2,3\n", "--format"),
        ("a.csv", (",".join(["1"] * 20) + "\n").encode(), "DeePiCt counts voxels from 0"),
        ("a.xyz", b"1 2 3\n", "--format"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        import_tables([str(tmp_path / name)], tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_unknown_formats_and_outputs_are_refused(source, tmp_path):
    with pytest.raises(InputError, match="format 'relion6' is unknown; use one of relion5"):
        export([source], tmp_path / "out", "relion6")
    with pytest.raises(InputError, match="ends in .csv"):
        import_tables([source], tmp_path / "out.txt")
    for wrong in ({"pixel_size": 0.0}, {"binning": -1.0}, {"pixel_size": 1.0, "binning": 2.0}):
        with pytest.raises(InputError, match="--pixel-size|--binning"):
            Geometry(**wrong)


def test_imported_tables_keep_sizes_of_every_tomogram(source, tmp_path):
    export([source], tmp_path / "there", "relion5", geometry=GEOMETRY, rename=RENAME)
    import_tables([str(tmp_path / "there" / "particles.star")], tmp_path / "back.csv")
    side = json.loads((tmp_path / "back.json").read_text())
    assert {n: tuple(g["shape"]) for n, g in side["grids"].items()} == {
        n: tuple(shape_xyz(n)[::-1]) for n in NAMES
    }
    assert set(read_particles(tmp_path / "back.csv").names("class")) == set(CLASSES)


def test_what_a_run_knows_of_its_tilt_series_needs_no_options(tmp_path):
    """The names, bin-1 sizes and pixel sizes of a project that was the input of a run."""
    star = tmp_path / "tomograms.star"
    star.write_text("data_global\n\nloop_\n_rlnTomoName #1\nTS_1 \n")
    known = {
        "tilt_series_pixel_size": 2.5,
        "unbinned_z": 202,
        "unbinned_y": 240,
        "unbinned_x": 280,
        "hand": -1.0,
    }
    states = [
        {"name": "TS_1", "metadata": {**known, "tomograms_star": str(star)}},
        {"name": "failed", "metadata": {**known, "tomograms_star": str(star)}},
    ]
    (tmp_path / "run" / "TS_1").mkdir(parents=True)
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"tomograms": states}))
    picks = Particles.from_positions(
        [[10, 20, 30.0]], voxel_size=(10.0,) * 3, shape=(50, 60, 70), tomogram="TS_1", class_name="fas"
    )
    write_particles(picks, tmp_path / "run" / "TS_1" / "particles.parquet")
    run = str(tmp_path / "run")
    export([run], tmp_path / "r4", "relion4")
    found = read_particles(tmp_path / "r4" / "particles.star")
    # The bin-1 tomogram is two pixels thicker than 4 x 50: one of them lies before the first voxel.
    np.testing.assert_allclose(found.positions, [[41, 80, 120]], atol=0.01 / 2.5)
    export([run], tmp_path / "r5", "relion5")
    assert str(star) in (tmp_path / "r5" / "optimisation_set.star").read_text()
    np.testing.assert_allclose(
        read_particles(tmp_path / "r5" / "particles.star").positions, picks.positions, atol=0.001
    )
    # Renamed, the project's list does not know them: one of our own is written.
    export([run], tmp_path / "new", "relion5", rename="{name}=new_{name}")
    text = (tmp_path / "new" / "tomograms.star").read_text()
    assert "new_TS_1\t280\t240\t202\t2.500000\t4.000000\t-1.000000" in text
