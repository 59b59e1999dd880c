"""Draw a crowded cell: what is there before a microscope looks at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import SettingsError
from deepict_dask.simulation.settings import CellSettings
from deepict_dask.simulation.solids import SOLIDS, Ellipsoid, Solid, draw
from deepict_dask.simulation.truth import TRUTH_DTYPE, random_orientations, to_reference

LEAFLET_DISTANCE = 40.0
"""Between the head groups of the two leaflets of a bilayer, angstrom."""
LEAFLET_SIGMA = 9.0
MEMBRANE_POTENTIAL = 1.9
MEMBRANE_HALF_WIDTH = 35.0
"""The membrane mask reaches this far on both sides of the middle of the bilayer, angstrom."""
MEMBRANE_CLEARANCE = 25.0
"""Between the membrane mask and a particle's sphere, angstrom."""
ORGANELLE_RIPPLE, VESICLE_RIPPLE = 0.05, 0.03
"""How far a membrane strays from a sphere at most, as a fraction of its radius."""
CROWDER_POTENTIAL = 1.2
CROWDER_RADII = (18.0, 50.0)
TRIES = 4000


@dataclass(frozen=True, eq=False)
class Specimen:
    """A cell as it is.

    Attributes
    ----------
    density : numpy.ndarray of float32, (z, y, x)
        Inner potential above that of ice, volts.
    truth : numpy.ndarray of TRUTH_DTYPE
        The particles.
    masks : dict of str to numpy.ndarray of bool, (z, y, x)
        ``membrane``, ``organelle`` (organelle and vesicles, inside) and ``cytosol``: every voxel is in
        exactly one of them.
    """

    density: np.ndarray
    truth: np.ndarray
    masks: dict[str, np.ndarray]


def draw_cell(settings: CellSettings) -> Specimen:
    """Draw the cell that the settings describe.

    Raises
    ------
    SettingsError
        If the particles or vesicles do not fit.
    """
    # One stream for each part: adding a particle must not move the membrane.
    seeds = np.random.SeedSequence(settings.seed).spawn(4)
    for_membrane, for_places, for_angles, for_crowders = map(np.random.default_rng, seeds)

    distance = _membrane_distance(settings, for_membrane)
    half = LEAFLET_DISTANCE / 2
    density = MEMBRANE_POTENTIAL * (
        np.exp(-0.5 * ((distance - half) / LEAFLET_SIGMA) ** 2)
        + np.exp(-0.5 * ((distance + half) / LEAFLET_SIGMA) ** 2)
    )
    masks = {
        "membrane": np.abs(distance) <= MEMBRANE_HALF_WIDTH,
        "organelle": distance < -MEMBRANE_HALF_WIDTH,
        "cytosol": distance > MEMBRANE_HALF_WIDTH,
    }
    envelope = masks["membrane"].astype(np.float32)

    truth = _place_particles(settings, distance, for_places, for_angles)
    for row in truth:
        center = np.array([row["z"], row["y"], row["x"]])
        matrix = to_reference(row["rot"], row["tilt"], row["psi"])
        region, volts, filled = draw(
            SOLIDS[str(row["class"])], center, matrix, settings.shape, settings.voxel_size
        )
        density[region] += volts
        envelope[region] = np.maximum(envelope[region], filled)

    density += _crowders(settings, for_crowders) * (1 - envelope)
    return Specimen(density.astype(np.float32), truth, masks)


def _membrane_distance(settings: CellSettings, rng: np.random.Generator) -> np.ndarray:
    """Signed distance to the nearest membrane in angstrom, above 0 in the cytosol: float32 (z, y, x)."""
    shape = np.array(settings.shape)
    box = (shape - 1) * settings.voxel_size
    points = np.moveaxis(np.indices(settings.shape, dtype=np.float32), 0, -1) * np.float32(
        settings.voxel_size
    )
    distance = np.full(settings.shape, np.inf, np.float32)
    if settings.organelle_radius > 0:
        # Centered on the rim of the circle that fits the tomogram, so about half of it is in view.
        turn = rng.uniform(0, 2 * np.pi)
        rim = 0.5 * min(box[1], box[2]) * np.array([0, np.sin(turn), np.cos(turn)])
        center = box / 2 + rim + [rng.uniform(-0.2, 0.2) * box[0], 0, 0]
        distance = _bag(points, center, settings.organelle_radius, ORGANELLE_RIPPLE, rng)
    r = settings.vesicle_radius
    for done in range(settings.n_vesicles):
        wall = (1 + VESICLE_RIPPLE) * r + MEMBRANE_HALF_WIDTH
        for _ in range(TRIES):
            center = rng.uniform(0, box)
            voxel = tuple(np.rint(center / settings.voxel_size).astype(int))
            inside = np.all(center >= wall) and np.all(center <= box - wall)
            if inside and distance[voxel] > wall + MEMBRANE_HALF_WIDTH:
                break
        else:
            raise SettingsError(
                f"only {done} of n_vesicles={settings.n_vesicles} with vesicle_radius={r:g} A fit into "
                f"{settings.shape} voxels of {settings.voxel_size:g} A; ask for fewer or smaller ones"
            )
        distance = np.minimum(distance, _bag(points, center, r, VESICLE_RIPPLE, rng))
    return distance


def _bag(
    points: np.ndarray, center: np.ndarray, radius: float, ripple: float, rng: np.random.Generator
) -> np.ndarray:
    """Signed distance to a gently rippled sphere (exact to first order in the ripple)."""
    offset = points - center.astype(np.float32)
    length = np.sqrt((offset**2).sum(axis=-1))
    unit = offset / np.maximum(length, 1e-3)[..., None]
    bump = np.zeros_like(length)
    for _ in range(4):
        wave = rng.normal(size=3).astype(np.float32)
        wave *= np.float32(rng.uniform(3, 6) / np.linalg.norm(wave))
        bump += np.cos(unit @ wave + np.float32(rng.uniform(0, 2 * np.pi))) / 4
    return length - np.float32(radius) * (1 + np.float32(ripple) * bump)


def _place_particles(
    settings: CellSettings,
    distance: np.ndarray,
    for_places: np.random.Generator,
    for_angles: np.random.Generator,
) -> np.ndarray:
    """Put the particles into the cytosol one after another, spheres never overlapping."""
    names = ["ribosome"] * settings.n_ribosome + ["fas"] * settings.n_fas
    truth = np.zeros(len(names), TRUTH_DTYPE)
    truth["class"] = names
    angles = random_orientations(len(names), for_angles)
    for column, values in zip(("rot", "tilt", "psi"), angles.T, strict=True):
        truth[column] = values
    shape = np.array(settings.shape)
    radii = np.array([SOLIDS[name].radius for name in names]) / settings.voxel_size
    placed: list[int] = []
    centers = np.zeros((len(names), 3))
    for i in for_places.permutation(len(names)):
        # With a margin of one radius from the outermost voxels' centers, nothing is cut.
        low = np.zeros(3) if settings.allow_cut else np.full(3, radii[i])
        clear = MEMBRANE_HALF_WIDTH + MEMBRANE_CLEARANCE + radii[i] * settings.voxel_size
        for _ in range(TRIES if np.all(low <= shape - 1 - low) else 0):
            center = for_places.uniform(low, shape - 1 - low)
            z, y, x = np.rint(center).astype(int)
            apart = np.linalg.norm(centers[placed] - center, axis=1) >= radii[placed] + radii[i]
            if distance[z, y, x] > clear and apart.all():
                break
        else:
            raise SettingsError(
                f"only {len(placed)} of {len(names)} particles fit into {settings.shape} voxels of "
                f"{settings.voxel_size:g} A; ask for fewer (n_ribosome, n_fas) or a larger shape"
            )
        centers[i] = center
        placed.append(i)
    truth["z"], truth["y"], truth["x"] = centers.T
    return truth


def _crowders(settings: CellSettings, rng: np.random.Generator) -> np.ndarray:
    """Fill a volume with small globular proteins: volts, float32 (z, y, x)."""
    shape = np.array(settings.shape)
    # Mean of r^3 for radii drawn evenly from a range.
    a, b = CROWDER_RADII
    mean_volume = 4 / 3 * np.pi * (b**4 - a**4) / (4 * (b - a))
    n = round(settings.crowding * float(shape.prod()) * settings.voxel_size**3 / mean_volume)
    volume = np.zeros(settings.shape, np.float32)
    centers = rng.uniform(-0.5, shape - 0.5, (n, 3))
    radii = rng.uniform(a, b, n)
    squash = rng.uniform(0.8, 1.25, (n, 3))
    for center, radius, axes in zip(centers, radii, squash, strict=True):
        sizes = radius * axes / np.cbrt(axes.prod())
        ball = Ellipsoid((0.0, 0.0, 0.0), (float(sizes[0]), float(sizes[1]), float(sizes[2])))
        solid = Solid(CROWDER_POTENTIAL, float(sizes.max()), (ball,))
        region, volts, _ = draw(solid, center, np.eye(3), settings.shape, settings.voxel_size)
        volume[region] = np.maximum(volume[region], volts)
    return volume
