"""The commands ``export`` and ``import``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from deepict_dask.cli.exchange import FORMATS
from deepict_dask.cli.main import cli
from deepict_dask.errors import InputError
from deepict_dask.io.tables import read_particles
from tests.exchanged import NAMES, RENAME, everything, run_folder


def test_the_formats_of_the_help_are_those_there_are():
    from deepict_dask.io import exchange

    assert tuple(exchange.FORMATS) == FORMATS


def test_a_run_goes_out_and_comes_back(tmp_path):
    run = str(run_folder(tmp_path / "run"))
    out = str(tmp_path / "warp")
    words = ["export", run, "-f", "warp", "-o", out, "--rename", RENAME]
    said = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "rec_TS_01_13.48Apx" in said.output and "TS_01" in said.output and "particles.star" in said.output
    assert "kept" in CliRunner().invoke(cli, words, catch_exceptions=False).output
    table = tmp_path / "back.csv"
    said = CliRunner().invoke(
        cli, ["import", f"{out}/particles.star", "-o", str(table)], catch_exceptions=False
    )
    assert "fas_x, ribosome" in said.output and "13.48" in said.output
    assert len(read_particles(table)) == sum(len(p) for p in everything().values())
    assert CliRunner().invoke(cli, ["-q", *words], catch_exceptions=False).output == ""
    assert read_particles(table).names("tomogram") == list(NAMES)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--shape", "10,20"], "--shape is three whole numbers"),
        (["--shape", "a,b,c"], "--shape is three whole numbers"),
        (["--shape", "0,1,2"], "--shape is three whole numbers"),
        (["--voxel-size", "no"], "--voxel-size"),
        (["--offset", "1,2"], "--offset"),
        (["--pixel-size", "-1"], "--pixel-size is a positive number"),
        (["--diameter", "0"], "--diameter is a positive length"),
        (["--tomograms", "nowhere.star"], "no list of tomograms"),
    ],
)
def test_mistakes_are_sentences(tmp_path, words, sentence):
    run = str(run_folder(tmp_path / "run"))
    with pytest.raises(InputError, match=sentence):
        CliRunner().invoke(
            cli, ["export", run, "-f", "tom", "-o", str(tmp_path / "o"), *words], catch_exceptions=False
        )
    assert not (tmp_path / "o").exists()


def test_cleaning_says_what_each_rule_removed(tmp_path):
    run = str(run_folder(tmp_path / "run"))
    words = [
        "clean",
        run,
        "-o",
        str(tmp_path / "c.csv"),
        "--min-score",
        "0.4",
        "--distance",
        "300",
        "--top",
        "3",
    ]
    said = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert all(word in said.output for word in ("score", "distance", "top", "stay"))
    assert 0 < len(read_particles(tmp_path / "c.csv")) < sum(len(p) for p in everything().values())


def test_a_folder_with_one_table_is_that_table(tmp_path):
    run = str(run_folder(tmp_path / "run"))
    said = CliRunner().invoke(
        cli, ["export", run, "-f", "warp", "-o", str(tmp_path / "w")], catch_exceptions=False
    )
    assert "--coords_angpix" in said.output
    CliRunner().invoke(
        cli, ["import", str(tmp_path / "w"), "-o", str(tmp_path / "b.csv")], catch_exceptions=False
    )
    assert len(read_particles(tmp_path / "b.csv")) == sum(len(p) for p in everything().values())


def test_an_import_says_what_was_converted_and_what_was_kept(tmp_path):
    run = str(run_folder(tmp_path / "run"))
    export = ["export", run, "-f", "dynamo", "-o", str(tmp_path / "d"), "--rename", RENAME]
    CliRunner().invoke(cli, export, catch_exceptions=False)
    words = ["import", str(tmp_path / "d"), "-o", str(tmp_path / "b.csv"), "--voxel-size", "6.74"]
    said = CliRunner().invoke(cli, words, catch_exceptions=False).output
    assert "positions of TS_01 are counted in voxels of 13.48 A" in said and "written" in said
    assert "kept" in CliRunner().invoke(cli, words, catch_exceptions=False).output
    double = read_particles(tmp_path / "b.csv").of_tomogram("TS_01").positions / 2
    assert double == pytest.approx(everything()["TS_01"].positions, abs=1e-5)
    assert CliRunner().invoke(cli, ["-q", *words], catch_exceptions=False).output == ""
