"""Projects of other programs as input: names, voxel sizes and what is known of the tilt series."""

from __future__ import annotations

import json
import shutil

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile

from deepict_dask.campaign.entries import find_entries, overrides_of
from deepict_dask.campaign.plan import plan_run
from deepict_dask.config import Settings
from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.location import Location
from deepict_dask.io.projects import is_project, series_of_run
from tests.conftest import write_mrc

SHAPE = (9, 20, 31)


@pytest.fixture
def tomogram():
    return np.random.default_rng(0).random(SHAPE).astype("f4")


def relion(folder, tomogram, names=("TS_01", "TS_2"), **columns):
    """A RELION project whose list lies in a job's folder, as RELION's own programs write it."""
    job = folder / "Tomograms" / "job063"
    (job / "tomograms").mkdir(parents=True)
    for name in names:
        write_mrc(job / "tomograms" / f"rec_{name}.mrc", tomogram, 10.0)
    frame = pd.DataFrame(
        {
            "rlnTomoName": names,
            "rlnVoltage": 300.0,
            "rlnTomoHand": -1.0,
            "rlnTomoTiltSeriesPixelSize": 2.5,
            "rlnTomoTomogramBinning": 4.0,
            "rlnTomoSizeX": SHAPE[2] * 4 + 1,
            "rlnTomoSizeY": SHAPE[1] * 4,
            "rlnTomoSizeZ": SHAPE[0] * 4 - 1,
            "rlnTomoReconstructedTomogram": [f"Tomograms/job063/tomograms/rec_{name}.mrc" for name in names],
            **columns,
        }
    )
    starfile.write({"global": frame}, job / "tomograms.star")
    return job / "tomograms.star"


def test_relion5(tmp_path, tomogram, monkeypatch):
    star = relion(tmp_path, tomogram)
    monkeypatch.chdir(tmp_path.parent)  # not the project's folder: paths are found above the list
    entries = find_entries([str(star)])
    assert [e.name for e in entries] == ["TS_01", "TS_2"]
    assert entries[0].path == str(star.parent / "tomograms" / "rec_TS_01.mrc")
    assert overrides_of(entries)["tomograms"]["TS_2"] == {"ingest": {"voxel_size": 10.0}}
    known = entries[0].metadata
    assert (known["tilt_series_pixel_size"], known["hand"]) == (2.5, -1.0)
    assert (known["unbinned_z"], known["unbinned_y"], known["unbinned_x"]) == (35, 80, 125)
    assert known["tomograms_star"] == str(star)
    with pytest.raises(FormatError, match="tilt series without tomograms"):
        frame = pd.DataFrame({"rlnTomoName": ["a"], "rlnTomoTiltSeriesPixelSize": [1.0]})
        starfile.write({"global": frame}, tmp_path / "tilt_series.star")
        find_entries([str(tmp_path / "tilt_series.star")])
    starfile.write({"particles": pd.DataFrame({"rlnCoordinateX": [1.0]})}, tmp_path / "p.star")
    with pytest.raises(FormatError, match=r"no tomograms.star"):
        find_entries([str(tmp_path / "p.star")])


def test_relion5_rows_without_a_tomogram_and_halves(tmp_path, tomogram):
    paths = ["Tomograms/job063/tomograms/rec_TS_01.mrc", ""]
    star = relion(tmp_path, tomogram, rlnTomoReconstructedTomogram=paths)
    text = star.read_text()
    with pytest.raises(
        FormatError,
        match=r"row 2 of .*tomograms.star \(TS_2\) names no tomogram in rlnTomoReconstructedTomogram",
    ):
        find_entries([str(star)])
    star.write_text(
        text.replace("rlnTomoReconstructedTomogram", "rlnTomoReconstructedTomogramHalf1").replace(
            '""', paths[0]
        )
    )
    entries = find_entries([str(star)])
    assert (
        len(entries) == 2
        and "the first halves (rlnTomoReconstructedTomogramHalf1) are taken" in entries[0].warnings[0]
    )


SETTINGS = """<?xml version="1.0" encoding="utf-8"?>
<Settings>
  <Import><Param Name="PixelSize" Value="1.25" /><Param Name="BinTimes" Value="1" /></Import>
  <Tomo><Param Name="DimensionsX" Value="4400" /><Param Name="DimensionsY" Value="6000" /><Param Name="DimensionsZ" Value="1000" /></Tomo>
</Settings>"""


@pytest.mark.parametrize("place", ["", "warp_tiltseries", "warp_tiltseries/reconstruction"])
def test_warptools(tmp_path, tomogram, place):
    folder = tmp_path / "warp_tiltseries" / "reconstruction"
    folder.mkdir(parents=True)
    (folder / "even").mkdir()
    for name in ("TS_01", "TS_2"):
        write_mrc(folder / f"{name}_10.00Apx.mrc", tomogram, 10.0)
        write_mrc(folder / "even" / f"{name}_10.00Apx.mrc", tomogram, 10.0)
    (tmp_path / "warp_tiltseries.settings").write_text(SETTINGS, encoding="utf-8-sig")
    entries = find_entries([str(tmp_path / place)])
    assert [e.name for e in entries] == ["TS_01", "TS_2"]
    known = entries[0].metadata
    assert known["tilt_series_pixel_size"] == 2.5
    assert (known["unbinned_z"], known["unbinned_y"], known["unbinned_x"]) == (500, 3000, 2200)
    (tmp_path / "warp_tiltseries.settings").write_text("<Settings>")
    with pytest.raises(FormatError, match="not Warp's settings"):
        find_entries([str(tmp_path / place)])
    (tmp_path / "warp_tiltseries.settings").unlink()
    assert "tilt_series_pixel_size" not in find_entries([str(tmp_path / place)])[0].metadata
    write_mrc(folder / "TS_01_5.00Apx.mrc", tomogram, 5.0)
    with pytest.raises(InputError, match=r"tomograms of 5.00, 10.00 A"):
        find_entries([str(tmp_path / place)])


def test_aretomo3(tmp_path, tomogram):
    for name in ("Position_1", "Position_2"):
        for half in ("", "_EVN", "_ODD"):
            write_mrc(tmp_path / f"{name}{half}_Vol.mrc", tomogram, 10.0)
        with mrcfile.new(tmp_path / f"{name}.mrc") as file:
            file.set_data(np.zeros((3, 4, 5), "i2"))
            file.voxel_size = 1.35
        (tmp_path / f"{name}.aln").write_text("# AreTomo Alignment / Priims bprmMn\n# RawSize = 5 4 3\n")
    entries = find_entries([str(tmp_path)])
    assert [e.name for e in entries] == ["Position_1", "Position_2"]
    assert entries[1].path.endswith("Position_2_Vol.mrc")
    assert entries[0].metadata["tilt_series_pixel_size"] == 1.35
    assert not entries[0].warnings
    write_mrc(tmp_path / "Position_3_Vol.mrc", tomogram, 10.0)
    warnings = find_entries([str(tmp_path)])[0].warnings
    assert len(warnings) == 1 and "of Position_3_Vol.mrc, so these are left out" in warnings[0]
    plan = plan_run([str(tmp_path)], Location.of(tmp_path / "run"), Settings(), until="ingest")
    assert plan.warnings == warnings  # which whoever runs it says
    (tmp_path / "Position_1.mrc").write_bytes(b"no stack")
    assert "tilt_series_pixel_size" not in find_entries([str(tmp_path)])[0].metadata


def test_copick(tmp_path):
    import zarr

    static = tmp_path / "static"
    for run in ("TS_01", "TS_2"):
        for kind in ("VoxelSpacing10.000/wbp", "VoxelSpacing10.000/denoised", "VoxelSpacing5.000/wbp"):
            zarr.open_group(static / "ExperimentRuns" / run / f"{kind}.zarr", mode="w", zarr_format=2)
    config = tmp_path / "config.json"
    objects = [{"name": "ribosome", "is_particle": True}]
    config.write_text(json.dumps({"pickable_objects": objects, "static_root": f"local://{static}"}))
    entries = find_entries([f"{config}#10.000/wbp"])
    assert [e.name for e in entries] == ["TS_01", "TS_2"]
    assert entries[0].path == str(static / "ExperimentRuns" / "TS_01" / "VoxelSpacing10.000" / "wbp.zarr")
    with pytest.raises(
        InputError, match=r"up to 3 tomograms per run; choose one kind, such as '.*#10.000/denoised'"
    ):
        find_entries([str(config)])
    # Spacings are numbers, and either part may be enough.
    wbp = [e.path for e in entries]
    assert [e.path for e in find_entries([f"{config}#10/wbp"])] == wbp
    assert [e.path for e in find_entries([f"{config}#denoised"])] == [
        p.replace("wbp", "denoised") for p in wbp
    ]
    assert [e.path for e in find_entries([f"{config}#5.0"])] == [p.replace("10.000", "5.000") for p in wbp]
    with pytest.raises(InputError, match=r"up to 2 tomograms per run.*10.000/wbp, 5.000/wbp\)"):
        find_entries([f"{config}#wbp"])
    # Runs that lack the kind are named.
    assert not entries[0].warnings
    shutil.rmtree(wbp[1])
    left = find_entries([f"{config}#10/wbp"])
    assert [e.name for e in left] == ["TS_01"]
    assert "TS_2 of" in left[0].warnings[0] and "have no tomogram 10.000/wbp" in left[0].warnings[0]
    # Different kinds in different runs are not mixed.
    for run, kind in (
        ("TS_01", "VoxelSpacing10.000/denoised"),
        ("TS_01", "VoxelSpacing5.000/wbp"),
        ("TS_2", "VoxelSpacing5.000/wbp"),
    ):
        shutil.rmtree(static / "ExperimentRuns" / run / f"{kind}.zarr")
    with pytest.raises(
        InputError, match=r"different tomograms in different runs; .*10.000/denoised, 10.000/wbp"
    ):
        find_entries([str(config)])
    with pytest.raises(InputError, match=r"no tomograms 7/wbp; there are 10.000/denoised, 10.000/wbp"):
        find_entries([f"{config}#7/wbp"])
    config.write_text(json.dumps({"pickable_objects": objects, "static_root": "s3://bucket/x"}))
    with pytest.raises(InputError, match="in a folder of this machine"):
        find_entries([str(config)])


def test_other_folders_and_files_are_what_they_were(tmp_path, tomogram):
    write_mrc(tmp_path / "TS_01_10.00Apx.mrc", tomogram, 10.0)
    (tmp_path / "x.json").write_text("[1]")
    assert not is_project(str(tmp_path)) and not is_project(str(tmp_path / "x.json"))
    assert [e.name for e in find_entries([str(tmp_path)])] == ["TS_01_10.00Apx"]
    assert series_of_run(tmp_path) == ({}, "")
    (tmp_path / "summary.json").write_text('{"tomograms": [{"name": "a", "metadata": {"hand": "x"}}, 3]}')
    assert series_of_run(tmp_path) == ({}, "")
