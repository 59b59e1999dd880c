"""The words of ``deepict-dask masks``."""

from __future__ import annotations

import pytest

from deepict_dask.cli.masks import make_masks
from deepict_dask.errors import DeepictError
from deepict_dask.io.ome_zarr import open_image

TABLE = "class,z,y,x\nfas,9,20,30\nribosome,20,50,60\nfas,30,8,9\n"
WORKERS = {"workers": 1, "threads": 1, "dashboard_port": 0}


def go(mrc, tmp_path, **options):
    table = tmp_path / "p.csv"
    table.write_text(TABLE)
    positions = [f"{name}={table}" for name in ("ribosome", "fas")]
    make_masks(False, tomogram=str(mrc), positions=positions, output=tmp_path / "out", **WORKERS, **options)


def test_classes_have_their_own_radius_and_a_line_each(mrc, tmp_path, capsys):
    go(mrc, tmp_path, radius=["ribosome=4"], radius_nm=["fas=8.2"])
    image = open_image(tmp_path / "out" / "cell" / "masks.zarr")
    assert image.classes == ["ribosome", "fas"] and image.attributes["labelled"]["ribosome"] == 257
    printed = capsys.readouterr().out
    assert "ribosome" in printed and "257" in printed and "masks.zarr" in printed


def test_a_plain_radius_is_that_of_the_classes_that_have_none_of_their_own(mrc, tmp_path):
    go(mrc, tmp_path, radius=["4", "fas=1"])
    labelled = open_image(tmp_path / "out" / "cell" / "masks.zarr").attributes["labelled"]
    assert labelled == {"ribosome": 257, "fas": 14}


def test_a_table_alone_is_one_class_and_quiet_says_nothing(mrc, tmp_path, capsys):
    (tmp_path / "p.csv").write_text("z,y,x\n9,20,30\n")
    positions = [str(tmp_path / "p.csv")]
    make_masks(True, tomogram=str(mrc), positions=positions, output=tmp_path, radius=["1"], **WORKERS)
    image = open_image(tmp_path / "cell" / "masks.zarr")
    assert image.shape == (37, 83, 101) and image.array[:].sum() == 7
    assert image.attributes["classes"] == ["particle"] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs a radius"),
        ({"radius": ["eight"]}, "'eight' is not a number"),
        ({"radius": ["8", "9"]}, "twice for all classes"),
        ({"radius": ["fas=8", "fas=9"]}, "twice for class 'fas'"),
        ({"radius": ["8"], "radius_nm": ["9"]}, "radius and radius_nm"),
        ({"radius": ["-8"]}, "greater than 0"),
    ],
)
def test_what_is_not_understood_is_said_before_work_begins(mrc, tmp_path, options, words):
    with pytest.raises(DeepictError, match=words) as raised:
        go(mrc, tmp_path, **options)
    assert raised.value.exit_code == 2 and not (tmp_path / "out").exists()
