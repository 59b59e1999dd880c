"""The Particles noun."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.errors import InputError
from deepict_dask.particles import Particles


def some(**others):
    return Particles.from_positions([[1.5, 2, 3], [4, 5, 6.25]], **others)


def test_the_table_has_exactly_the_promised_columns_in_order():
    table = some(voxel_size=(2.0, 3.0, 4.0)).to_dataframe()
    assert list(table) == [
        "label", "z", "y", "x", "score", "score_max", "size", "z_angstrom", "y_angstrom", "x_angstrom",
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
    assert some().write(tmp_path / "picks.csv").read_text().startswith("label,z,y,x,")
    assert some().write(tmp_path / "picks.dat", format="motl").read_text().count(",") == 38
