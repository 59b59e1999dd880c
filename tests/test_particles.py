"""The Particles noun."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.errors import InputError
from deepict_dask.io.tables import read_particles, write_particles
from deepict_dask.particles import Particles, VoxelGrid, join


def some(**others):
    return Particles.from_positions([[1.5, 2, 3], [4, 5, 6.25]], **others)


def test_the_table_has_exactly_the_promised_columns_in_order():
    table = some(voxel_size=(2.0, 3.0, 4.0)).to_dataframe()
    assert list(table) == [
        "tomogram", "class", "label", "z", "y", "x", "z_angstrom", "y_angstrom", "x_angstrom",
        "score", "score_max", "size", "touches_edge",
    ]  # fmt: skip
    assert table[["z_angstrom", "y_angstrom", "x_angstrom"]].to_numpy().tolist() == [[3, 6, 12], [8, 15, 25]]


def test_without_a_voxel_size_angstrom_is_unknown():
    assert some().to_dataframe()[["z_angstrom", "y_angstrom", "x_angstrom"]].isna().all(axis=None)


def test_length_positions_and_name():
    particles = some(tomogram="TS_1", class_name="ribosome")
    assert len(particles) == 2
    assert particles.positions.tolist() == [[1.5, 2, 3], [4, 5, 6.25]]
    assert repr(particles) == "<Particles: 2 ribosome in TS_1>"


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="column size has 1 rows where column z has 2"):
        some(size=np.zeros(1, np.int64))


def test_scaling_keeps_the_place_in_angstrom_and_rounds_boxes_outward():
    box = np.array([[[1, 2, 3], [3, 4, 5]], [[4, 5, 6], [5, 6, 7]]])
    before = some(voxel_size=(10.0, 10.0, 10.0), bounding_box=box)
    after = before.scaled((0.5, 2.0, 0.4))
    assert after.voxel_size == (20.0, 5.0, 25.0)
    angstrom = ["z_angstrom", "y_angstrom", "x_angstrom"]
    np.testing.assert_allclose(after.to_dataframe()[angstrom], before.to_dataframe()[angstrom], rtol=1e-14)
    # z: voxels 1 and 2 span 0.5..2.5, halved 0.25..1.25: voxels 0 and 1.
    assert after.bounding_box[0, :, 0].tolist() == [0, 2]
    assert (after.size == before.size).all()


def test_scaling_with_an_offset_and_a_stated_voxel_size():
    after = some().scaled(2.0, voxel_size=(7.0, 7.0, 7.0), offset=(0.5, 0.5, 0.5))
    assert after.positions[0].tolist() == [3.5, 4.5, 6.5]
    assert after.voxel_size == (7.0, 7.0, 7.0)


@pytest.mark.parametrize("factor", [0, -1.0, float("nan")])
def test_factors_must_be_positive(factor):
    with pytest.raises(InputError, match="factor"):
        some().scaled(factor)


def test_write_hands_over_to_the_format_of_the_suffix(tmp_path):
    assert some().write(tmp_path / "picks.csv").read_text().startswith("tomogram,class,label,z,y,x,")
    assert some().write(tmp_path / "picks.dat", format="motl").read_text().count(",") == 38


def two():
    a = some(
        tomogram="a",
        class_name="fas",
        voxel_size=(10.0, 10.0, 20.0),
        others={"thickness": np.array([1.5, 2.5])},
    )
    b = some(
        tomogram="b", class_name="ribosome", voxel_size=(5.0, 5.0, 5.0), touches_edge=np.array([True, False])
    )
    return join([a, b])


def test_joined_tables_keep_every_row_under_its_own_name_and_in_its_own_angstrom():
    both = two()
    assert (both.tomogram, both.class_name) == ("", "")
    assert both["tomogram"].tolist() == ["a", "a", "b", "b"] and both.names("class") == ["fas", "ribosome"]
    assert both["x_angstrom"].tolist() == [60, 125, 15, 31.25]
    assert both["touches_edge"].tolist() == [-1, -1, 1, 0]
    np.testing.assert_array_equal(both["thickness"], [1.5, 2.5, np.nan, np.nan])
    one = both.of_tomogram("b")
    assert (one.tomogram, one.class_name, one.voxel_size) == ("b", "ribosome", (5.0, 5.0, 5.0))
    with pytest.raises(InputError, match="no particles of tomogram 'c', but of a, b"):
        both.of_tomogram("c")
    with pytest.raises(InputError, match="join particles in voxels of one size"):
        join([some(tomogram="a", voxel_size=(1.0,) * 3), some(tomogram="a", voxel_size=(2.0,) * 3)])


def test_rows_are_chosen_as_numpy_chooses_them_and_columns_by_name():
    both = two()
    assert both[both["z"] > 2].positions.tolist() == [[4, 5, 6.25]] * 2
    assert len(both[1:3]) == 2 and both[1:3].names("tomogram") == ["a", "b"]
    assert both[[3, 0]]["label"].tolist() == [2, 1] and both[-1].tomogram == "b"
    assert both[[0, 1]].voxel_size == (10.0, 10.0, 20.0)
    assert "thickness" in both[[3]].others
    for key in ("nothing", [9], "z_nm", np.array([0.5])):
        with pytest.raises(InputError):
            both[key]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_files_keep_names_unknown_columns_and_voxel_sizes(tmp_path, name):
    both = two()
    back = read_particles(write_particles(both, tmp_path / name))
    for column, values in both.columns().items():
        assert back[column].tolist() == values.tolist() or np.array_equal(
            back[column], values, equal_nan=True
        ), column
    assert back.grid_of("a") == VoxelGrid((10.0, 10.0, 20.0)) and back.grid_of("b").voxel_size == (5.0,) * 3
    again = write_particles(back, tmp_path / f"again_{name}")
    if name == "t.csv":
        assert again.read_bytes() == (tmp_path / name).read_bytes()


def test_the_origin_is_added_to_angstrom_and_found_again(tmp_path):
    moved = some(voxel_size=(10.0, 10.0, 10.0), origin=(-100.0, 0.0, 7.5))
    assert moved["z_angstrom"].tolist() == [-85, -60] and moved["x_angstrom"].tolist() == [37.5, 70]
    back = read_particles(write_particles(moved, tmp_path / "t.csv"))
    assert (back.voxel_size, back.origin) == (moved.voxel_size, moved.origin)


def test_a_notebook_shows_a_table_and_a_picture_and_no_markup_of_names():
    html = some(tomogram="<b>TS</b>", class_name="ribosome")._repr_html_()
    assert "<svg" in html and html.count("<circle") == 2 and "<b>TS" not in html
    assert Particles.from_positions(np.zeros((0, 3)))._repr_html_()
