"""Tiny simulated cells in files, and settings to train on them in a second."""

from __future__ import annotations

import pandas as pd

from deepict_dask.simulation import simulate_cell
from tests.conftest import write_mrc

CELL = {
    "shape": (28, 48, 52),
    "n_ribosome": 3,
    "n_fas": 0,
    "n_vesicles": 0,
    "organelle_radius": 0,
    "crowding": 0.05,
    "allow_cut": True,
}


def write_cells(folder, names):
    for k, name in enumerate(names):
        cell = simulate_cell(seed=k, **CELL)
        write_mrc(folder / f"{name}.mrc", cell.tomogram)
        pd.DataFrame(cell.truth).to_csv(folder / f"{name}.csv", index=False)
    return folder


def training_tree(cells, names, **changes):
    tree = {
        "name": "tiny",
        "tomograms": [
            {"tomogram": str(cells / f"{n}.mrc"), "positions": str(cells / f"{n}.csv")} for n in names
        ],
        "classes": [{"name": "ribosome", "radius": 6, "unit": "voxels"}],
        "split": {"split": "patch", "validation": 0.3},
        "network": {"depth": 1, "initial_features": 2},
        "patches": {"patch": 16, "overlap": 2, "patches_per_epoch": 4},
        "fit": {"epochs": 2, "batch_size": 2, "learning_rate": 0.01},
        "hardware": {"device": "cpu"},
    }
    for key, value in changes.items():
        tree[key] = tree[key] | value if isinstance(tree.get(key), dict) else value
    return tree
