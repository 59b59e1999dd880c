"""What was exported, read by the programs' own readers or those of third parties; positions from first principles.

Three readers want other versions than this package and are tried in an environment of their own, elsewhere their tests skip: copick
(zarr 2), cryocat 0.7.1 (pandas 2), napari. ``pip install copick napari 'pandas<3' cryocat==0.7.1 pytest``, then the packages of this one
that are not there, and this file by itself.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import starfile
from scipy.spatial.transform import Rotation

from deepict_dask.io.exchange import Details, Geometry
from deepict_dask.scoring.export import export
from tests.exchanged import (
    CLASSES,
    COUNTS,
    NAMES,
    PIXEL,
    RENAME,
    VOXEL,
    everything,
    run_folder,
    shape_xyz,
    turns,
    xyz,
)

EDGE = np.array([0.5, 0.5, 0])
CLOSE = {"rtol": 0, "atol": 2e-6}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return run_folder(tmp_path_factory.mktemp("run"))


@pytest.fixture
def exported(source, tmp_path):
    def make(format, **options):
        geometry = Geometry(pixel_size=PIXEL, **options.pop("geometry", {}))
        export([str(source)], tmp_path / format, format, geometry=geometry, rename=RENAME, **options)
        return tmp_path / format

    return make


def all_of(function):
    return np.concatenate([function(name) for name in NAMES])


def coordinates(table, pattern):
    return table[[pattern.format(a) for a in ("X", "Y", "Z")]].to_numpy(float)


def relion(folder, block="particles"):
    blocks = starfile.read(folder / "particles.star", always_dict=True, parse_as_string=["rlnTomoName"])
    return blocks[block], blocks


def test_relion5_counts_angstrom_from_half_of_the_size(exported):
    folder = exported("relion5")
    table, _ = relion(folder)
    expected = all_of(lambda name: (xyz(name) - shape_xyz(name) / 2) * VOXEL)
    np.testing.assert_allclose(coordinates(table, "rlnCenteredCoordinate{}Angst"), expected, **CLOSE)
    assert table["rlnTomoName"].tolist() == [n for n in NAMES for _ in range(len(everything()[n]))]
    assert table["rlnTomoParticleName"].tolist()[:2] == ["TS_01/1", "TS_01/2"]
    assert sorted(table["rlnRandomSubset"].unique()) == [1, 2]
    assert table["rlnClassNumber"].tolist() == [1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1]
    angles = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    # starfile's own authors: RELION's angles are the inverse of intrinsic ZYZ.
    np.testing.assert_allclose(
        Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix(), all_of(turns), rtol=0, atol=1e-7
    )
    tomograms = starfile.read(folder / "tomograms.star", parse_as_string=["rlnTomoName"])
    assert tomograms["rlnTomoName"].tolist() == list(NAMES)
    sizes = tomograms[["rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ"]].to_numpy()
    np.testing.assert_array_equal(sizes, [shape_xyz(name) * 4 for name in NAMES])
    assert set(tomograms["rlnTomoTiltSeriesPixelSize"]) == {PIXEL}
    # What RELION's C++ makes of it: coordinates / pixel size + half of the bin-1 size; a voxel is four pixels.
    pixels = coordinates(table, "rlnCenteredCoordinate{}Angst") / PIXEL + np.repeat(
        sizes / 2, [len(everything()[n]) for n in NAMES], axis=0
    )
    np.testing.assert_allclose(pixels, all_of(lambda name: xyz(name) * 4), rtol=0, atol=1e-5)
    sets = starfile.read(folder / "optimisation_set.star")
    assert sets["rlnTomoParticlesFile"].tolist() == [str(folder / "particles.star")]
    assert sets["rlnTomoTomogramsFile"].tolist() == [str(folder / "tomograms.star")]


def test_relions_pickers_center_is_one_pixel_before(exported):
    ours, _ = relion(exported("relion5", geometry={"center": "half-minus-one"}))
    # get_particle_poses/particles.py, with rlnTomoTomogramBinning 4
    expected = all_of(lambda name: xyz(name) * VOXEL - (shape_xyz(name) * 4 / 2 - 1) * PIXEL)
    np.testing.assert_allclose(coordinates(ours, "rlnCenteredCoordinate{}Angst"), expected, **CLOSE)


def test_relion5_takes_sizes_and_pixels_of_the_projects_own_list(exported, tmp_path):
    project = tmp_path / "tomograms.star"
    frame = pd.DataFrame(
        {
            "rlnTomoName": NAMES,
            **{f"rlnTomoSize{a}": [int(shape_xyz(n)[k] * 4 + 2) for n in NAMES] for k, a in enumerate("XYZ")},
            "rlnTomoTiltSeriesPixelSize": 3.37,
            "rlnTomoTomogramBinning": 4.0,
        }
    )
    starfile.write({"global": frame}, project)
    folder = exported("relion5", tomograms=str(project))
    assert not (folder / "tomograms.star").exists()
    sets = starfile.read(folder / "optimisation_set.star")
    assert sets["rlnTomoTomogramsFile"].tolist() == [str(project)]
    table, _ = relion(exported("relion4", tomograms=str(project)))
    # Centers are the same place: the bin-1 tomogram is two pixels larger, so its first pixel lies one further out.
    np.testing.assert_allclose(
        coordinates(table, "rlnCoordinate{}"), all_of(lambda name: xyz(name) * 4 + 1), rtol=0, atol=1e-5
    )


def test_relion4_counts_pixels_of_the_tilt_series(exported):
    table, blocks = relion(exported("relion4"))
    np.testing.assert_allclose(
        coordinates(table, "rlnCoordinate{}"), all_of(lambda name: xyz(name) * VOXEL / PIXEL), **CLOSE
    )
    optics = blocks["optics"]
    assert float(np.ravel(optics["rlnTomoTiltSeriesPixelSize"])[0]) == PIXEL
    assert set(table["rlnOpticsGroup"]) == {1}


@pytest.mark.parametrize(
    ("format", "block", "end"), [("relion31", "particles", ""), ("warp", "", ".tomostar")]
)
def test_relion31_and_warp_count_voxels(exported, format, block, end):
    table, blocks = relion(exported(format), block)
    np.testing.assert_allclose(coordinates(table, "rlnCoordinate{}"), all_of(xyz), **CLOSE)
    assert list(dict.fromkeys(table["rlnMicrographName"])) == [name + end for name in NAMES]
    assert len(blocks) == (2 if format == "relion31" else 1)


def test_dynamotable_reads_dynamo(exported):
    dynamotable = pytest.importorskip("dynamotable", reason="needs dynamotable (extra test)")
    folder = exported("dynamo", details=Details(tomogram_path="tomograms/{name}.mrc"))
    table = dynamotable.read(folder / "particles.tbl", folder / "particles.doc")
    np.testing.assert_allclose(table[["x", "y", "z"]].to_numpy(float), all_of(xyz) + 1, **CLOSE)
    assert list(dict.fromkeys(table["tomo_file"])) == [f"tomograms/{name}.mrc" for name in NAMES]
    assert table["class"].tolist() == [1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1]
    np.testing.assert_allclose(table["cc"], all_of(lambda n: everything()[n].score), rtol=0, atol=1e-6)
    np.testing.assert_allclose(table["apix"].astype(float), VOXEL)
    # The inverse of what turns the reference, extrinsic zxz.
    turned = Rotation.from_euler("zxz", table[["tdrot", "tilt", "narot"]].to_numpy(float), degrees=True)
    np.testing.assert_allclose(turned.inv().as_matrix(), all_of(turns), rtol=0, atol=1e-7)


def test_emfile_reads_tom(exported):
    emfile = pytest.importorskip("emfile", reason="needs emfile (extra test)")
    _, rows = emfile.read(exported("tom") / "particles.em")
    rows = rows.reshape(-1, 20)
    np.testing.assert_allclose(rows[:, 7:10], all_of(xyz) + 1, rtol=0, atol=1e-5)
    assert rows[:, 4].tolist() == [k + 1 for k, n in enumerate(NAMES) for _ in range(len(everything()[n]))]
    turned = Rotation.from_euler("zxz", rows[:, [16, 18, 17]], degrees=True).as_matrix()
    np.testing.assert_allclose(turned, all_of(turns), rtol=0, atol=1e-5)


def test_stopgap_as_starfile_reads_it(exported):
    table = starfile.read(exported("stopgap") / "particles.star")
    whole = table[["orig_x", "orig_y", "orig_z"]].to_numpy()
    assert whole.dtype.kind == "i"
    shifts = table[["x_shift", "y_shift", "z_shift"]].to_numpy()
    np.testing.assert_allclose(whole + shifts, all_of(xyz) + 1, **CLOSE)
    assert np.abs(shifts).max() <= 0.5
    # As the data portal reads it.
    turned = Rotation.from_euler("zxz", table[["phi", "the", "psi"]].to_numpy(), degrees=True).as_matrix()
    np.testing.assert_allclose(turned, all_of(turns), rtol=0, atol=1e-7)


def test_first_voxel_is_what_the_user_says(exported):
    table = starfile.read(exported("stopgap", geometry={"first_voxel": 0.0}) / "particles.star")
    sums = (
        table[["orig_x", "orig_y", "orig_z"]].to_numpy() + table[["x_shift", "y_shift", "z_shift"]].to_numpy()
    )
    np.testing.assert_allclose(sums, all_of(xyz), **CLOSE)


@pytest.fixture
def cryomotl():
    module = pytest.importorskip(
        "cryocat.cryomotl", reason="needs cryocat, in an environment of its own: it wants pandas 2"
    )
    return module


def needs_old_pandas():
    from importlib.metadata import version

    if pd.__version__ >= "3" and version("cryocat") == "0.7.1":
        pytest.skip(
            "cryocat 0.7.1 reads no STAR file at all with pandas 3: it calls pandas.to_numeric(errors='ignore'), which is gone "
            "there ('invalid error value specified'); use pandas 2"
        )


def of_cryocat(motl):
    frame = motl.df
    positions = frame[["x", "y", "z"]].to_numpy(float) + frame[["shift_x", "shift_y", "shift_z"]].to_numpy(
        float
    )
    turned = Rotation.from_euler("zxz", frame[["phi", "theta", "psi"]].to_numpy(float), degrees=True)
    return positions, turned.as_matrix()


@pytest.mark.parametrize("format", ["tom", "dynamo", "stopgap", "relion4", "relion5"])
def test_cryocat_reads_it(exported, cryomotl, format):
    if format not in ("tom", "dynamo"):
        needs_old_pandas()
    folder = exported(format)
    star = str(folder / "particles.star")
    first = 1
    if format == "tom":
        motl = cryomotl.EmMotl(str(folder / "particles.em"))
    elif format == "dynamo":
        motl = cryomotl.DynamoMotl(str(folder / "particles.tbl"))
    elif format == "stopgap":
        motl = cryomotl.StopgapMotl(star)
    else:
        first = 0
        if format == "relion4":
            motl = cryomotl.RelionMotl(star, version=4.0, pixel_size=PIXEL, binning=1.0)
        else:
            sizes = starfile.read(folder / "tomograms.star", parse_as_string=["rlnTomoName"])
            motl = cryomotl.RelionMotlv5(star, sizes, pixel_size=PIXEL, binning=4.0)
    positions, turned = of_cryocat(motl)
    factor = 4 if format in ("relion4", "relion5") else 1
    np.testing.assert_allclose(positions, all_of(xyz) * factor + first, rtol=0, atol=1e-4)
    np.testing.assert_allclose(turned, all_of(turns), rtol=0, atol=1e-5)


def test_copick_reads_a_project(exported):
    pytest.importorskip("copick", reason="needs copick, in an environment of its own: it wants zarr 2")
    from copick.impl.filesystem import CopickRootFSSpec

    folder = exported("copick", details=Details(user="me", session="7", diameter=270.0))
    root = CopickRootFSSpec.from_file(str(folder / "config.json"))
    assert [(o.name, o.radius) for o in root.pickable_objects] == [("fas-x", 135.0), ("ribosome", 135.0)]
    for name in NAMES:
        run = root.get_run(name)
        read, turned, scores = [], [], []
        for kind in ("fas-x", "ribosome"):
            for picks in run.get_picks(object_name=kind, user_id="me", session_id="7"):
                points, transforms = picks.numpy()
                read.append(points)
                turned.append(transforms[:, :3, :3])
                scores += [p.score for p in picks.points]
        np.testing.assert_allclose(np.concatenate(read), xyz(name) * VOXEL, **CLOSE)
        np.testing.assert_allclose(np.concatenate(turned), turns(name), rtol=0, atol=1e-7)
        np.testing.assert_allclose(scores, everything()[name].score, rtol=0, atol=1e-8)


def test_the_portals_points(exported):
    folder = exported("portal")
    for name in NAMES:
        place = folder / name / "Reconstructions" / f"VoxelSpacing{VOXEL:.3f}" / "Annotations"
        read, turned = [], []
        for k, kind in enumerate(CLASSES):
            if (name, kind) not in COUNTS:
                assert not (place / f"{100 + k}").exists()
                continue
            points = place / f"{100 + k}" / f"{kind}-1.0_orientedpoint.ndjson"
            about = json.loads((points.parent / f"{kind}-1.0.json").read_text())
            lines = [json.loads(line) for line in points.read_text().splitlines()]
            assert about["object_count"] == len(lines) == COUNTS[name, kind]
            assert about["annotation_object"]["name"] == kind
            assert (folder / about["files"][0]["path"]).is_file()
            assert all(set(line) == {"type", "location", "xyz_rotation_matrix"} for line in lines)
            read += [[line["location"][a] for a in "xyz"] for line in lines]
            turned += [line["xyz_rotation_matrix"] for line in lines]
        np.testing.assert_allclose(read, xyz(name), **CLOSE)
        np.testing.assert_allclose(turned, turns(name), rtol=0, atol=1e-7)


def test_imodmodel_reads_models(exported):
    imodmodel = pytest.importorskip("imodmodel", reason="needs imodmodel (extra test)")
    folder = exported("imod")
    for name in NAMES:
        table = imodmodel.read(folder / f"{name}.mod")
        # The center of the first voxel is (0.5, 0.5, 0) in IMOD's models.
        np.testing.assert_allclose(table[["x", "y", "z"]], xyz(name) + EDGE, rtol=0, atol=1e-5)
        model = imodmodel.models.ImodModel.from_file(folder / f"{name}.mod")
        assert (model.header.xmax, model.header.ymax, model.header.zmax) == tuple(shape_xyz(name))
        assert model.header.pixelsize == pytest.approx(VOXEL) and model.header.units == -10
        kinds = [kind for kind in CLASSES if (name, kind) in COUNTS]
        assert [
            bytes(o.header.name, "utf8") if isinstance(o.header.name, str) else o.header.name
            for o in model.objects
        ] == [kind.encode() for kind in kinds]


def test_imods_points_are_object_contour_x_y_z(exported):
    folder = exported("imod_points")
    rows = np.loadtxt(folder / "TS_01_points.txt")
    np.testing.assert_allclose(rows[:, 2:], xyz("TS_01") + EDGE, **CLOSE)
    assert rows[:, 0].tolist() == [1, 1, 2, 2, 2, 2, 2]


def test_napari_opens_points(exported):
    folder = exported("napari")
    table = pd.read_csv(folder / "TS_01" / "ribosome.csv")
    expected = everything()["TS_01"].of_class("ribosome").positions
    np.testing.assert_allclose(table[["axis-0", "axis-1", "axis-2"]], expected, **CLOSE)
    reader = pytest.importorskip("napari_builtins.io", reason="needs napari")
    data, _, kind = reader.csv_to_layer_data(str(folder / "TS_01" / "ribosome.csv"), require_type="points")
    assert kind == "points"
    np.testing.assert_allclose(data, expected, **CLOSE)


def test_eman2_counts_pixels_from_the_middle_voxel(exported):
    folder = exported("eman2")
    for name in NAMES:
        content = json.loads((folder / "info" / f"{name}_info.json").read_text())
        boxes = content["boxes_3d"]
        # e2spt_boxer.py: b / apix * apix_unbin + shape // 2
        voxels = np.array([b[:3] for b in boxes]) / VOXEL * content["apix_unbin"] + shape_xyz(name) // 2
        np.testing.assert_allclose(voxels, xyz(name), **CLOSE)
        kinds = [content["class_list"][str(b[5])]["name"] for b in boxes]
        assert kinds == everything()[name]["class"].tolist()
        np.testing.assert_allclose([b[4] for b in boxes], everything()[name].score, rtol=0, atol=1e-6)


def test_parquet_holds_everything(exported):
    table = pd.read_parquet(exported("parquet") / "particles.parquet")
    np.testing.assert_array_equal(table[["x", "y", "z"]].to_numpy(), all_of(xyz))
    assert list(dict.fromkeys(table["tomogram"])) == list(NAMES)
    np.testing.assert_allclose(table["x_angstrom"], all_of(xyz)[:, 0] * VOXEL)
