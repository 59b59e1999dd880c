"""The commands that show results."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from deepict_dask.cli.main import cli
from tests.pictures.scenes import SHAPE, blob, run_with


@pytest.fixture
def run(folder):
    for name in ("TS_01", "TS [02]"):
        run_with(folder / "run", blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]], name=name)
    return folder / "run"


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_a_run_gets_a_picture_for_each_tomogram(run):
    result = invoke("snapshot", run, "--width", "100")
    assert result.exit_code == 0, result.output
    places = [run / name / "snapshot.png" for name in ("TS [02]", "TS_01")]
    assert result.output.split("\n")[:2] == [str(p) for p in places] and all(p.is_file() for p in places)


def test_tomograms_are_chosen_by_name_and_the_output_may_hold_it(run, folder):
    result = invoke("snapshot", run, "TS_01", "-o", folder / "{name}_a.jpg", "--width", "100")
    assert result.exit_code == 0 and (folder / "TS_01_a.jpg").is_file()
    result = invoke("snapshot", run, "-o", folder / "all", "--width", "100")
    assert result.exit_code == 0 and [c.name for c in (folder / "all").children()] == [
        "TS [02].png",
        "TS_01.png",
    ]
    assert not (run / "TS_01" / "snapshot.png").exists()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["TS_09"], "holds no tomogram 'TS_09'; it holds TS [02], TS_01"),
        (["-o", "a.png"], "several pictures cannot go to the one file"),
        (["TS_01", "-o", "a.bmp"], "does not end like a picture"),
        (["--contrast", "1"], "--contrast takes two percentiles"),
        (["--z", "1,x"], "--z takes numbers separated by commas"),
        (["--slices", "0"], "draw 1 to 64 slices"),
        (["TS_01", "--classes", "fas"], "no particles of class 'fas'"),
        (["TS_01", "--particles", "none.csv"], "there is no particle table or folder"),
    ],
)
def test_mistakes_are_one_sentence(run, words, sentence, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = invoke("snapshot", run, *words)
    said = str(result.exception) + result.output
    assert result.exit_code != 0 and sentence in said.replace("\n", " ")
    assert not (run / "TS_01" / "snapshot.png").exists()


def test_one_bad_tomogram_does_not_stop_the_others(run):
    for shard in (run / "TS [02]" / "tomogram.zarr" / "0").local_path().rglob("c/*/*/*"):
        shard.unlink()
    result = invoke("snapshot", run, "--width", "100")
    assert result.exit_code == 1 and (run / "TS_01" / "snapshot.png").is_file()
    assert "is missing" in result.output


def test_a_file_is_drawn_with_the_table_that_is_given(mrc, folder):
    (folder / "picks.csv").write("z,y,x\n10,20,30\n")
    result = invoke("snapshot", mrc, "--particles", folder / "picks.csv")
    assert result.exit_code != 0 and "say where the picture goes with --output" in str(result.exception)
    result = invoke("snapshot", mrc, "--particles", folder / "picks.csv", "-o", folder / "a.png")
    assert result.exit_code == 0 and (folder / "a.png").is_file(), result.output


def test_a_map_is_exported_and_its_values_are_explained(run, folder):
    import mrcfile

    words = ("export-map", run / "TS_01" / "tomogram.zarr", "-o", folder / "a.mrc", "--dtype", "int8")
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert "24 x 40 x 56 voxels of 10 A (z, y, x), int8, -127 to 127 stand for" in result.output.replace(
        "\n", " "
    )
    with mrcfile.open(str(folder / "a.mrc")) as file:
        assert file.data.shape == SHAPE
    assert "use --overwrite" in str(invoke(*words).exception)
    assert invoke(*words, "--overwrite").exit_code == 0
