"""Which tables a path names, and what they are about."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deepict_dask.errors import InputError
from deepict_dask.io.tables import write_particles
from deepict_dask.io.tables.files import find_tables
from deepict_dask.particles import Particles

ONE = Particles.from_positions(
    [[1, 2, 3]], score=np.ones(1), voxel_size=(10.0, 10.0, 10.0), shape=(20, 30, 40)
)


def about(path):
    return [(t.path.name, t.tomogram, t.classes) for t in find_tables(path)]


def test_run_folder_and_folder_of_a_tomogram(tmp_path):
    for name in ("TS_2", "TS_1"):
        for end in (".csv", "_motl.csv", ".star"):
            write_particles(ONE, tmp_path / name / f"particles_fas{end}")
    wanted = [("particles_fas.csv", "TS_1", ("fas",)), ("particles_fas.csv", "TS_2", ("fas",))]
    write_particles(ONE, tmp_path / "truth.csv")  # a table beside the run is not part of it
    assert about(tmp_path) == wanted
    assert about(tmp_path / "TS_1") == wanted[:1]


def test_folder_of_tables_named_by_tomogram(tmp_path):
    write_particles(ONE, tmp_path / "TS_1.csv")
    write_particles(ONE, tmp_path / "TS_2_motl.csv")
    (tmp_path / "notes.txt").write_text("")
    assert about(tmp_path) == [("TS_1.csv", "TS_1", ()), ("TS_2_motl.csv", "TS_2", ())]


def test_the_file_beside_a_table_knows_best(tmp_path):
    write_particles(ONE, tmp_path / "a" / "particles.csv")
    side = {"tomogram": "TS_9", "voxel_size": [1, 2, 3], "class": "ribosome", "made_by": {}}
    (tmp_path / "a" / "particles.json").write_text(json.dumps(side))
    (table,) = find_tables(tmp_path)
    assert (table.tomogram, table.classes, table.voxel_size) == ("TS_9", ("ribosome",), (1, 2, 3))
    # "particle" is what a network that names no class finds.
    side["class"] = "particle"
    (tmp_path / "a" / "particles.json").write_text(json.dumps(side))
    assert find_tables(tmp_path)[0].classes == ()


def test_classes_of_rows_win_and_are_read_by_row(tmp_path):
    path = tmp_path / "particles_all.csv"
    path.write_text("class,z,y,x\nfas,1,2,3\nribosome,4,5,6\n")
    (table,) = find_tables(path)
    assert table.classes == ("fas", "ribosome") and table.has_column
    assert table.read("fas").positions.tolist() == [[1, 2, 3]]
    assert len(table.read()) == 2
    assert table.holds("fas") and not table.holds("tric")
    named = write_particles(
        Particles.from_positions([[1, 2, 3]], class_name="tric"), tmp_path / "x" / "particles.parquet"
    )
    assert find_tables(named)[0].classes == ("tric",)
    assert find_tables(named)[0].read("tric").class_name == "tric"


@pytest.mark.parametrize("column", ["tomogram", "class"])
def test_rows_that_do_not_say_what_others_say_are_refused(tmp_path, column):
    path = tmp_path / "mix.csv"
    path.write_text(f"{column},z,y,x\na,1,2,3\n,4,5,6\nb,7,8,9\n")
    with pytest.raises(InputError, match=f"fill in the empty cells of column {column}"):
        find_tables(path)
