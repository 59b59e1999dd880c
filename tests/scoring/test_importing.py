"""Import: voxels that files state, companions that are inputs, names, scores that nobody knows, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from deepict_dask.errors import FormatError, InputError, MissingFileError, OutputExistsError
from deepict_dask.io.exchange import Geometry
from deepict_dask.io.exchange.frame import Series
from deepict_dask.io.tables import read_particles, write_particles
from deepict_dask.particles import Particles, VoxelGrid, join
from deepict_dask.scoring.export import export
from deepict_dask.scoring.importing import import_tables

SHAPE = (50, 60, 70)
TABLES = {
    "dynamo": "particles.tbl",
    "csv": "particles.csv",
    "parquet": "particles.parquet",
    "imod": "",
    "portal": "",
    "copick": "",
}


def picks(tomogram="TS_1", n=4, **columns):
    positions = np.random.default_rng(len(tomogram)).random((n, 3)) * SHAPE
    return Particles.from_positions(
        positions, **{"voxel_size": (10.0,) * 3, "shape": SHAPE, "tomogram": tomogram, **columns}
    )


def exported(folder, format, particles=None, **geometry):
    table = write_particles(particles if particles is not None else picks(), folder / "given.parquet")
    export([str(table)], folder / format, format, geometry=Geometry(**geometry))
    return folder / format / TABLES.get(format, "particles.star")


@pytest.mark.parametrize("format", list(TABLES))
def test_positions_are_converted_where_a_file_states_other_voxels(tmp_path, format):
    """A table in voxels of 10 A, on a tomogram of 5 A: numbers double, places in A stay."""
    place = exported(tmp_path, format)
    twice = import_tables([str(place)], tmp_path / "b.csv", geometry=Geometry(voxel_size=(5.0,) * 3))
    found = read_particles(tmp_path / "b.csv")
    assert found.voxel_size == (5.0,) * 3 and twice.particles.shape is None
    order = np.argsort(found.z)
    np.testing.assert_allclose(found.positions[order], _sorted(picks().positions * 2), atol=1e-4)
    said = [s for s in twice.sentences if "10 A" in s and "5 A" in s]
    assert bool(said) == (format != "copick")  # copick counts A
    # Oblong voxels, and the very size that is stated: nothing is said of that one.
    oblong = import_tables([str(place)], tmp_path / "c.csv", geometry=Geometry(voxel_size=(20.0, 10.0, 5.0)))
    np.testing.assert_allclose(
        _sorted(oblong.particles.positions), _sorted(picks().positions * (0.5, 1, 2)), atol=1e-4
    )
    same = import_tables([str(place)], tmp_path / "d.csv", geometry=Geometry(voxel_size=(10.0,) * 3))
    np.testing.assert_allclose(_sorted(same.particles.positions), _sorted(picks().positions), atol=1e-4)
    assert not same.sentences


def _sorted(positions):
    return positions[np.argsort(positions[:, 0])]


def test_of_several_tomograms_each_is_converted_by_its_own_voxels(tmp_path):
    parts = [picks("TS_1"), picks("TS_22", voxel_size=(8.0,) * 3)]
    place = exported(tmp_path, "dynamo", join(parts))
    found = import_tables(
        [str(place)], tmp_path / "b.csv", geometry=Geometry(voxel_size=(4.0,) * 3)
    ).particles
    for part, factor in zip(parts, (2.5, 2), strict=True):
        np.testing.assert_allclose(
            found.of_tomogram(part.tomogram).positions, part.positions * factor, atol=1e-4
        )
    rows = [line.split() for line in place.read_text().splitlines()]
    rows[1][35] = "9.5"
    place.write_text("".join(" ".join(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"voxels of 9.5 and 10 A; split it"):
        import_tables([str(place)], tmp_path / "c.csv")


def test_one_angstrom_is_what_programs_write_that_do_not_know(tmp_path):
    place = exported(tmp_path, "dynamo")
    rows = [line.split() for line in place.read_text().splitlines()]
    place.write_text("".join(" ".join([*row[:35], "1", *row[36:]]) + "\n" for row in rows))
    found = import_tables([str(place)], tmp_path / "b.csv", geometry=Geometry(voxel_size=(5.0,) * 3))
    np.testing.assert_allclose(found.particles.positions, picks().positions, atol=1e-5)
    assert not found.sentences


@pytest.mark.parametrize(
    ("format", "companion", "change"),
    [
        ("dynamo", "classes.txt", lambda text: text.replace("fas", "tric")),
        ("dynamo", "tomograms.txt", lambda text: text.replace("TS_1", "TS_9")),
        ("tom", "classes.txt", lambda text: text.replace("fas", "tric")),
        ("imod_points", "classes.txt", lambda text: text.replace("fas", "tric")),
        ("portal", "TS_1/Reconstructions/VoxelSpacing10.000/Annotations/100/fas-1.0.json", lambda t: t.replace('"fas"', '"tric"')),
        ("copick", "config.json", lambda text: text.replace("fas", "tric")),
    ],
)  # fmt: skip
def test_what_lies_beside_a_table_is_an_input(tmp_path, format, companion, change):
    classes = np.array(["fas", "fas", "ribosome", "fas"], object)
    place = exported(tmp_path, format, picks(classes=classes))
    place = tmp_path / format / {"dynamo": "particles.tbl", "tom": "particles.em"}.get(format, "")
    told = format if format == "imod_points" else None
    out = tmp_path / "b.csv"
    assert not import_tables([str(place)], out, told).is_kept
    assert import_tables([str(place)], out, told).is_kept
    beside = tmp_path / format / companion
    text = beside.read_text()
    beside.write_text(change(text))
    assert beside.read_text() != text
    with pytest.raises(OutputExistsError, match=f"the table .*b.csv was made with another .*{beside.name}"):
        import_tables([str(place)], out, told)
    again = import_tables([str(place)], out, told, overwrite=True)
    assert not again.is_kept and read_particles(out)["class"].tolist() == again.particles["class"].tolist()


def test_a_list_that_comes_later_and_picks_elsewhere_are_inputs_too(tmp_path):
    place = exported(tmp_path, "dynamo", picks(classes=np.array(["a", "a", "b", "a"], object)))
    listed = place.with_name("classes.txt")
    listed.unlink()
    import_tables([str(place)], tmp_path / "b.csv")
    listed.write_text("1 fas\n2 ribosome\n")
    with pytest.raises(OutputExistsError, match=r"made with no classes.txt, and now there is one"):
        import_tables([str(place)], tmp_path / "b.csv")
    # copick's picks may lie where the configuration says.
    exported(tmp_path, "copick", picks(class_name="fas"))
    config = tmp_path / "project" / "config.json"
    config.parent.mkdir()
    shutil.move(tmp_path / "copick" / "config.json", config)
    import_tables([str(config)], tmp_path / "c.csv")
    file = next((tmp_path / "copick").rglob("*_fas.json"))
    file.write_text(file.read_text().replace('"instance_id": 1,', '"instance_id": 7,'))
    with pytest.raises(OutputExistsError, match="another .*_fas.json"):
        import_tables([str(config)], tmp_path / "c.csv")


def test_two_tomograms_do_not_become_one(tmp_path):
    place = exported(tmp_path, "dynamo", join([picks("TS_1"), picks("TS_22")]))
    names = tmp_path / "names.csv"
    names.write_text("TS_1,same\nTS_22,same\n")
    with pytest.raises(InputError, match="TS_1 and TS_22 would both be called 'same'"):
        import_tables([str(place)], tmp_path / "b.csv", rename=str(names))
    assert not (tmp_path / "b.csv").exists()


def test_a_name_for_one_does_not_name_several(tmp_path):
    place = exported(tmp_path, "dynamo", join([picks("TS_1"), picks("TS_22")]))
    place.with_name("tomograms.txt").unlink()
    place.with_name("particles.doc").unlink()
    with pytest.raises(InputError, match=r"--tomogram TS_7 names one, and .* numbers 2 \(1, 2\)"):
        import_tables([str(place)], tmp_path / "b.csv", tomogram="TS_7")
    assert import_tables([str(place)], tmp_path / "b.csv").particles.names("tomogram") == ["1", "2"]


def test_places_of_napari_say_the_tomogram_and_options_what_single_files_hold(tmp_path):
    exported(tmp_path, "napari", join([picks("TS_1", class_name="fas"), picks("TS_22", class_name="fas")]))
    folder = tmp_path / "napari"
    found = import_tables([str(folder)], tmp_path / "a.csv", tomogram="other", class_name="tric").particles
    assert found.names("tomogram") == ["TS_1", "TS_22"] and found.names("class") == ["fas"]
    single = str(folder / "TS_1" / "fas.csv")
    found = import_tables([single], tmp_path / "b.csv", tomogram="other", class_name="tric").particles
    assert (found.tomogram, found.class_name) == ("other", "tric")
    found = import_tables([single], tmp_path / "c.csv").particles
    assert (found.tomogram, found.class_name) == ("TS_1", "fas")


@pytest.mark.parametrize(
    ("geometry", "series", "words"),
    [
        ({"binning": 4}, Series("A", 1.25), r"--binning says 4 .* project of A 8 \(its pixels have 1.25 A\)"),
        ({"binning": 4}, Series("A", None, None, 8.0), "--binning says 4 .* project of A 8"),
        ({"pixel_size": 2.5}, Series("A", 1.25), "--pixel-size says 2.5 A, and the project of A says 1.25 A"),
        ({"pixel_size": 2.5}, Series("A", None, (400, 480, 560)), "400 x 480 x 560 pixels .* 2 x 2 x 2 times .* 50 x 60 x 70"),
        ({"pixel_size": 1.25}, Series("A", 1.25, (400, 480, 560)), None),
        ({"binning": 8}, Series("A", 1.25, (402, 470, 560), 8.0), None),
        ({"pixel_size": 1.2501}, Series("A", 1.25), None),
    ],
)  # fmt: skip
def test_what_a_project_says_of_pixels_is_not_overridden_in_silence(geometry, series, words):
    known = Geometry(series={"A": series}, **geometry)
    grid = VoxelGrid((10.0,) * 3, SHAPE)
    if words is None:
        assert known.frame("A", grid).pixel_size == pytest.approx(1.25, rel=1e-3)
    else:
        with pytest.raises(InputError, match=words):
            known.frame("A", grid)


def test_of_several_users_of_copick_one_is_chosen(tmp_path):
    exported(tmp_path, "copick", picks(class_name="fas"))
    project = tmp_path / "copick"
    file = next(project.rglob("*_fas.json"))
    content = json.loads(file.read_text())
    other = {**content, "user_id": "ann", "session_id": "7", "points": content["points"][:1]}
    file.with_name("ann_7_fas.json").write_text(json.dumps(other))
    with pytest.raises(
        InputError, match=r"picks of fas by ann \(session 7\), deepict-dask \(session 1\).*--user"
    ):
        import_tables([str(project)], tmp_path / "b.csv")
    assert len(import_tables([str(project)], tmp_path / "b.csv", user="ann").particles) == 1
    assert len(import_tables([str(project)], tmp_path / "c.csv", session="1").particles) == 4
    with pytest.raises(InputError, match="no picks of user bob"):
        import_tables([str(project)], tmp_path / "d.csv", user="bob")
    with pytest.raises(InputError, match="no picks of user bob"):
        import_tables([str(file)], tmp_path / "d.csv", user="bob")
    place = exported(tmp_path, "dynamo")
    with pytest.raises(InputError, match="--user and --session choose among picks of copick"):
        import_tables([str(place)], tmp_path / "d.csv", user="bob")


def test_an_unknown_score_is_neither_the_best_nor_the_worst(tmp_path):
    mixed = picks(score=np.array([0.5, np.nan, 0.25, 0.75]), class_name="fas")
    exported(tmp_path, "copick", mixed)
    points = json.loads(next((tmp_path / "copick").rglob("*_fas.json")).read_text())["points"]
    assert [p["score"] for p in points] == [0.5, None, 0.25, 0.75]
    back = import_tables([str(tmp_path / "copick")], tmp_path / "b.csv").particles
    np.testing.assert_array_equal(back.score, mixed.score)
    for format in ("dynamo", "tom", "tom_csv", "stopgap", "eman2"):
        with pytest.raises(InputError, match="TS_1 have no score and others have"):
            exported(tmp_path, format, mixed, pixel_size=5.0)
        exported(tmp_path, format, picks(), pixel_size=5.0)


def test_an_optimisation_set_is_followed(tmp_path):
    star = exported(tmp_path, "relion5", pixel_size=2.5)
    optimisation = star.with_name("optimisation_set.star")
    found = import_tables([str(optimisation)], tmp_path / "b.csv")
    np.testing.assert_allclose(found.particles.positions, picks().positions, atol=1e-5)
    assert any("optimisation_set.star names the particles" in s for s in found.sentences)
    assert import_tables([str(optimisation)], tmp_path / "b.csv").is_kept
    # RELION names files from the folder of its project; without the comment of an export its tomograms say the voxels.
    star.write_text("".join(line for line in star.read_text().splitlines(True) if not line.startswith("#")))
    optimisation.write_text(optimisation.read_text().replace(f"{tmp_path}/", ""))
    with pytest.raises(OutputExistsError, match="the contents of optimisation_set.star"):
        import_tables([str(optimisation)], tmp_path / "b.csv")
    found = import_tables([str(optimisation)], tmp_path / "c.csv").particles
    np.testing.assert_allclose(found.positions, picks().positions, atol=1e-5)
    star.unlink()
    with pytest.raises(MissingFileError, match="optimisation_set.star names the particles .*particles.star"):
        import_tables([str(optimisation)], tmp_path / "d.csv")


def test_metadata_that_is_damaged_is_not_passed_over(tmp_path):
    place = exported(tmp_path, "portal", picks(class_name="fas"))
    next(place.rglob("fas-1.0.json")).write_text("{")
    with pytest.raises(FormatError, match="fas-1.0.json is not JSON"):
        import_tables([str(place)], tmp_path / "b.csv")


@pytest.mark.parametrize("suffix", ["tbl", "ndjson", "txt", "doc", "csv"])
def test_what_is_no_text_is_said(tmp_path, suffix):
    file = tmp_path / f"junk.{suffix}"
    file.write_bytes(b"\xf6" + bytes(np.random.default_rng(0).integers(0, 256, 2000, "u1")))
    with pytest.raises(InputError, match=r"junk"):
        import_tables([str(file)], tmp_path / "out.csv", geometry=Geometry(voxel_size=(10.0,) * 3))
