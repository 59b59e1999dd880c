"""Run folders of one tomogram with planted blobs, for tests of pictures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from deepict_dask.io.location import Location
from deepict_dask.io.tables import write_particles
from deepict_dask.particles import Particles
from tests.images import stored_image

SHAPE = (24, 40, 56)


def blob(
    shape: tuple[int, int, int], at: tuple[float, float, float], sigma: tuple[float, float, float]
) -> np.ndarray:
    """A bright Gaussian blob."""
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    distance = sum(((g - a) / s) ** 2 for g, a, s in zip(grid, at, sigma, strict=True))
    return np.asarray(np.exp(-distance / 2), "f4")


def run_with(
    folder: Location,
    values: np.ndarray,
    positions: Any,
    *,
    name: str = "TS_01",
    image: str = "tomogram",
    class_name: str = "ribosome",
    size: int = 500,
    voxel_size: tuple[float, float, float] = (10.0, 10.0, 10.0),
    finish: dict[str, Any] | None = None,
    **options: Any,
) -> Location:
    """Make ``RUN/NAME`` with an image and a table; gives the folder of the tomogram."""
    place = folder / name
    location = place / f"{image}.zarr"
    stored_image(location, values, name=name, voxel_size=voxel_size, finish=finish, **options)
    table(place, positions, class_name=class_name, size=size, name=name)
    return place


def table(
    place: Location,
    positions: Any,
    *,
    class_name: str,
    size: int = 500,
    name: str = "TS_01",
    stem: str = "particles",
) -> None:
    """Write a table and what lies beside it."""
    n = len(positions)
    found = Particles.from_positions(
        np.reshape(positions, (-1, 3)),
        tomogram=name,
        class_name=class_name,
        size=np.full(n, size),
        score=np.linspace(0.5, 1, n),
    )
    write_particles(found, place / f"{stem}.csv")
    side = {
        "complete": True,
        "n_particles": n,
        "tomogram": name,
        "class": class_name,
        "tables": {},
        "made_by": {},
    }
    (place / f"{stem}.json").write(json.dumps(side))
