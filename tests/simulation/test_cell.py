"""The simulated cell keeps its promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from deepict_dask.errors import SettingsError
from deepict_dask.simulation import CellSettings, SimulatedCell, simulate_cell
from deepict_dask.simulation.cell import MEMBRANE_HALF_WIDTH, draw_cell
from deepict_dask.simulation.solids import SOLIDS

SMALL: dict[str, Any] = {
    "shape": (40, 96, 112),
    "n_ribosome": 3,
    "n_fas": 2,
    "organelle_radius": 400.0,
    "n_vesicles": 0,
    "seed": 3,
}


@pytest.fixture(scope="module")
def cell() -> SimulatedCell:
    return simulate_cell(**SMALL)


def positions(truth: np.ndarray) -> np.ndarray:
    return np.stack([truth["z"], truth["y"], truth["x"]], axis=1)


def test_the_tomogram_is_float32_of_the_wanted_shape(cell: SimulatedCell) -> None:
    assert cell.tomogram.shape == (40, 96, 112)
    assert cell.tomogram.dtype == np.float32 and cell.tomogram.flags.c_contiguous
    assert np.isfinite(cell.tomogram).all()


def test_truth_lists_every_particle(cell: SimulatedCell) -> None:
    assert sorted(cell.truth["class"]) == ["fas"] * 2 + ["ribosome"] * 3
    assert cell.truth.dtype.names == ("class", "z", "y", "x", "rot", "tilt", "psi")


def test_particles_are_dark(cell: SimulatedCell) -> None:
    grid = np.moveaxis(np.indices(cell.tomogram.shape), 0, -1)
    std = cell.tomogram.std()
    for row in cell.truth:
        distance = np.linalg.norm(grid - np.array([row["z"], row["y"], row["x"]]), axis=-1)
        assert cell.tomogram[distance < 9].mean() < cell.tomogram.mean() - 0.2 * std


def test_the_membrane_is_dark(cell: SimulatedCell) -> None:
    assert cell.tomogram[cell.masks["membrane"]].mean() < cell.tomogram.mean() - 0.2 * cell.tomogram.std()


def test_every_voxel_is_in_exactly_one_mask(cell: SimulatedCell) -> None:
    total = sum(mask.astype(int) for mask in cell.masks.values())
    assert np.all(total == 1)
    assert all(mask.any() for mask in cell.masks.values())


def test_the_membrane_separates_organelle_and_cytosol(cell: SimulatedCell) -> None:
    organelle, cytosol = cell.masks["organelle"], cell.masks["cytosol"]
    for axis in range(3):
        one, other = (np.moveaxis(m, axis, 0) for m in (organelle, cytosol))
        assert not (one[1:] & other[:-1]).any() and not (one[:-1] & other[1:]).any()


def test_the_membrane_is_as_thick_as_said() -> None:
    changes = {"organelle_radius": 300.0, "voxel_size": 7.0, "n_fas": 0, "n_ribosome": 0}
    specimen = draw_cell(CellSettings(**{**SMALL, **changes}))
    width = specimen.masks["membrane"].shape[2]
    membrane, organelle = (specimen.masks[name].reshape(-1, width) for name in ("membrane", "organelle"))
    # Lines along x that go right through: the shortest way is the one along the surface's normal.
    through = organelle.any(axis=1) & membrane.any(axis=1) & ~membrane[:, 0] & ~membrane[:, -1]
    runs = [
        np.diff(np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]]))))[0]
        for line in membrane[through]
    ]
    assert 9 <= min(runs) <= 12  # of 7 A
    assert 2 * MEMBRANE_HALF_WIDTH == 70


@hypothesis_settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_particles_never_overlap_are_never_cut_and_stay_in_the_cytosol(seed: int) -> None:
    specimen = draw_cell(CellSettings(**{**SMALL, "seed": seed, "crowding": 0.0}))
    centers = positions(specimen.truth)
    radii = np.array([SOLIDS[name].radius for name in specimen.truth["class"]]) / 13.48
    distance = np.linalg.norm(centers[:, None] - centers[None], axis=2) + np.diag(
        np.full(len(centers), np.inf)
    )
    assert np.all(distance >= radii[:, None] + radii[None] - 1e-9)
    assert np.all(centers >= radii[:, None]) and np.all(centers <= np.array([39, 95, 111]) - radii[:, None])
    for (z, y, x), r in zip(centers, radii, strict=True):
        near = np.linalg.norm(np.moveaxis(np.indices((40, 96, 112)), 0, -1) - (z, y, x), axis=-1) <= r
        assert specimen.masks["cytosol"][near].all()


def test_particles_may_be_cut_on_request() -> None:
    changes = {**SMALL, "organelle_radius": 0.0, "crowding": 0.0}
    free = [
        positions(draw_cell(CellSettings(**{**changes, "seed": s, "allow_cut": True})).truth)
        for s in range(4)
    ]
    centers = np.concatenate(free)
    assert (centers[:, 0] < 140 / 13.48).any()
    assert np.all(centers >= 0) and np.all(centers <= np.array([39, 95, 111]))


def test_vesicles_are_closed_and_whole() -> None:
    specimen = draw_cell(
        CellSettings(**{**SMALL, "organelle_radius": 0.0, "n_vesicles": 1, "vesicle_radius": 190.0})
    )
    inside = specimen.masks["organelle"]
    assert inside.sum() * 13.48**3 == pytest.approx(4 / 3 * math.pi * (190 - 35) ** 3, rel=0.15)
    for axis in range(3):
        ends = np.moveaxis(inside | specimen.masks["membrane"], axis, 0)[[0, -1]]
        assert not ends.any()


def test_same_seed_same_cell_bit_for_bit(cell: SimulatedCell) -> None:
    again = simulate_cell(**SMALL)
    assert again.tomogram.tobytes() == cell.tomogram.tobytes()
    assert again.truth.tobytes() == cell.truth.tobytes()
    other = simulate_cell(**{**SMALL, "seed": 4})
    assert not np.array_equal(other.truth["x"], cell.truth["x"])


def test_dose_and_optics_leave_the_specimen_as_it_is(cell: SimulatedCell) -> None:
    other = simulate_cell(cell.settings, dose=5.0, phase_shift=0.0)
    assert np.array_equal(other.density, cell.density)
    assert not np.array_equal(other.tomogram, cell.tomogram)


def test_more_crowding_fills_more_of_the_volume() -> None:
    empty = {**SMALL, "n_ribosome": 0, "n_fas": 0, "organelle_radius": 0.0}
    little, much = (draw_cell(CellSettings(**{**empty, "crowding": c})).density for c in (0.05, 0.15))
    assert (little > 0.6).mean() == pytest.approx(0.05, rel=0.25)
    assert much.sum() > 2 * little.sum()


@pytest.mark.parametrize(
    "changes",
    [
        {"n_ribosome": 300},
        {"n_vesicles": 30, "vesicle_radius": 150.0},
        {"shape": (16, 96, 112)},  # thinner than a particle
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="fit into"):
        draw_cell(CellSettings(**{**SMALL, **changes}))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"voxel_size": 0}, "voxel_size"),
        ({"voxel_size": math.nan}, "voxel_size"),
        ({"shape": (4, 64, 64)}, "shape"),
        ({"shape": (64, 64)}, "shape"),
        ({"n_fas": -1}, "n_fas"),
        ({"crowding": 0.9}, "crowding"),
        ({"max_tilt": 91}, "max_tilt"),
        ({"dose": 0}, "dose"),
        ({"detective_efficiency": 0}, "detective_efficiency"),
        ({"n_ribosomes": 3}, "n_ribosomes"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        simulate_cell(**changes)


def test_tilts_are_symmetric_about_zero() -> None:
    assert CellSettings(max_tilt=60, tilt_step=3).tilts == tuple(float(t) for t in range(-60, 61, 3))
    assert CellSettings(max_tilt=10, tilt_step=4).tilts == (-8.0, -4.0, 0.0, 4.0, 8.0)
