"""Particles look the same at any voxel size, and turn the way that the angles say."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.simulation.solids import SOLIDS, Ellipsoid, Solid, draw
from deepict_dask.simulation.truth import random_orientations, to_reference


def drawn(name: str, voxel_size: float) -> np.ndarray:
    n = int(400 / voxel_size)
    region, density, _ = draw(SOLIDS[name], np.full(3, (n - 1) / 2), np.eye(3), (n, n, n), voxel_size)
    volume = np.zeros((n, n, n), np.float32)
    volume[region] = density
    return volume


@pytest.mark.parametrize("name", ["ribosome", "fas"])
def test_mass_does_not_depend_on_the_voxel_size(name: str) -> None:
    masses = [drawn(name, size).sum() * size**3 for size in (5.0, 10.0, 13.48)]
    assert max(masses) == pytest.approx(min(masses), rel=0.1)


@pytest.mark.parametrize("name", ["ribosome", "fas"])
def test_size_in_voxels_scales_with_the_voxel_size(name: str) -> None:
    half = SOLIDS[name].potential / 2
    extents = []
    for size in (6.0, 12.0):
        points = np.argwhere(drawn(name, size) > half)
        extents.append((points.max(axis=0) - points.min(axis=0) + 1) * size)
    np.testing.assert_allclose(extents[0], extents[1], atol=24)
    assert 220 <= extents[0].max() <= 290  # about 27 nm


@pytest.mark.parametrize("name", ["ribosome", "fas"])
def test_a_particle_fits_into_its_sphere(name: str) -> None:
    volume = drawn(name, 5.0)
    points = (np.argwhere(volume > 0.5 * SOLIDS[name].potential) - (volume.shape[0] - 1) / 2) * 5
    assert np.linalg.norm(points, axis=1).max() <= SOLIDS[name].radius


def test_fas_is_hollow_with_a_wheel_and_the_ribosome_is_solid() -> None:
    fas, ribosome = drawn("fas", 5.0), drawn("ribosome", 5.0)
    middle = fas.shape[0] // 2
    assert fas[middle, middle, middle] > 1  # the wheel
    assert fas[middle + 11, middle, middle] < 0.2  # a chamber, 55 A above it
    grid = np.moveaxis(np.indices(fas.shape), 0, -1) - (fas.shape[0] - 1) / 2
    core = np.linalg.norm(grid, axis=-1) * 5 < 80
    assert ribosome[core].mean() > 2 * fas[core].mean()


def relion_matrix(rot: float, tilt: float, psi: float) -> np.ndarray:
    """RELION's Euler_angles2matrix, which takes the reference to the image."""
    a, b, g = np.radians([rot, tilt, psi])
    ca, sa, cb, sb, cg, sg = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(g), np.sin(g)
    return np.array(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
    )


def test_particles_turn_as_relion_says() -> None:
    pointer = Solid(1.0, 130.0, (Ellipsoid((30.0, -40.0, 100.0), (20.0, 20.0, 20.0)),))  # z, y, x
    for angles in random_orientations(6, np.random.default_rng(2)):
        region, density, _ = draw(pointer, np.full(3, 20.0), to_reference(*angles), (41, 41, 41), 10.0)
        points = np.moveaxis(np.indices(density.shape), 0, -1) + [s.start for s in region]
        center_zyx = (points * density[..., None]).sum(axis=(0, 1, 2)) / density.sum()
        expected_xyz = relion_matrix(*angles) @ [100.0, -40.0, 30.0]
        np.testing.assert_allclose((center_zyx - 20) * 10, expected_xyz[::-1], atol=1.0)


def test_orientations_are_uniform() -> None:
    axes = np.stack(
        [to_reference(*angles)[2] for angles in random_orientations(2000, np.random.default_rng(0))]
    )
    # Uniform on the sphere: mean 0, second moments 1/3.
    assert np.abs(axes.mean(axis=0)).max() < 0.05
    np.testing.assert_allclose((axes**2).mean(axis=0), 1 / 3, atol=0.03)


def test_drawing_clips_at_the_faces() -> None:
    whole = draw(SOLIDS["fas"], np.full(3, 15.0), np.eye(3), (31, 31, 31), 13.48)[1]
    region, half, _ = draw(SOLIDS["fas"], np.array([0.0, 15, 15]), np.eye(3), (31, 31, 31), 13.48)
    assert region[0].start == 0
    np.testing.assert_allclose(half, whole[-half.shape[0] :], atol=1e-5)
