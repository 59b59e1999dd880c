"""Particles of three tomograms on which an axis swap, a factor of the binning or half a voxel shows."""

from __future__ import annotations

import numpy as np

from deepict_dask.io.tables import write_particles
from deepict_dask.particles import Particles, join

VOXEL, PIXEL = 13.48, 3.37  # A; binned fourfold
SHAPES = {
    "rec_TS_01_13.48Apx": (50, 72, 94),
    "rec_TS_2_13.48Apx": (61, 75, 91),
    "rec_TS_10_13.48Apx": (40, 71, 100),
}
NAMES = ("TS_01", "TS_10", "TS_2")  # as they are sorted
RENAME = "rec_{name}_*Apx"
CLASSES = ("fas_x", "ribosome")
COUNTS = {("TS_01", "ribosome"): 5, ("TS_01", "fas_x"): 2, ("TS_10", "ribosome"): 1, ("TS_2", "fas_x"): 3}


def own_name(name: str) -> str:
    return f"rec_{name}_13.48Apx"


def some(name: str, kind: str, *, angles: bool = True, voxel_size=(VOXEL,) * 3) -> Particles:
    rng = np.random.default_rng([NAMES.index(name), CLASSES.index(kind)])
    n, shape = COUNTS.get((name, kind), 0), SHAPES[own_name(name)]
    turns = {
        "rot": rng.uniform(-180, 180, n),
        "tilt": rng.uniform(1, 179, n),
        "psi": rng.uniform(-180, 180, n),
    }
    return Particles.from_positions(
        rng.random((n, 3)) * np.array(shape),
        score=rng.random(n),
        size=rng.integers(300, 900, n),
        voxel_size=voxel_size,
        shape=shape,
        tomogram=own_name(name),
        class_name=kind,
        others=turns if angles else {},
    )


def everything(*, angles: bool = True) -> dict[str, Particles]:
    """By the names of the tilt series; rows of one class after those of the other."""
    return {
        name: join([some(name, kind, angles=angles) for kind in CLASSES if (name, kind) in COUNTS])
        for name in NAMES
    }


def run_folder(folder, *, angles: bool = True):
    """Write tables as a run does: by tomogram and class."""
    for name, kind in COUNTS:
        picks = some(name, kind, angles=angles)
        path = folder / own_name(name) / f"particles_{kind}.parquet"
        write_particles(picks, path)
    return folder


def xyz(name: str) -> np.ndarray:
    """Voxels of a tomogram, (n, 3), x-y-z, as tables list them."""
    return everything()[name].positions[:, ::-1]


def shape_xyz(name: str) -> np.ndarray:
    return np.array(SHAPES[own_name(name)][::-1])


def turns(name: str) -> np.ndarray:
    """What turns a reference into each particle, (n, 3, 3), x-y-z, written out from RELION's definition."""

    def about(axis: str, degrees: float) -> np.ndarray:
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        return np.array(
            [[c, -s, 0], [s, c, 0], [0, 0, 1]] if axis == "z" else [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        )

    p = everything()[name].others
    return np.stack(
        [
            about("z", -c) @ about("y", -b) @ about("z", -a)
            for a, b, c in zip(p["rot"], p["tilt"], p["psi"], strict=True)
        ]
    )
