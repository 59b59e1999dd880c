"""The bundled network is small, says what it is, and finds the particles of the demo's cell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from deepict_dask.data import demo_network_path
from deepict_dask.networks.checkpoint import load_checkpoint
from deepict_dask.simulation import CellSettings, simulate_cell


def test_it_is_under_one_megabyte_with_its_card_beside_it() -> None:
    path = demo_network_path()
    assert path.is_file()
    assert path.stat().st_size < 1_000_000
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["classes"] == ["ribosome", "fas"]
    assert card["voxel_size"] == CellSettings().voxel_size
    assert card["training_data"]


def test_its_card_reports_what_was_held_out() -> None:
    metrics = load_checkpoint(demo_network_path()).card.metrics
    for name in ("ribosome", "fas"):
        assert metrics[f"demo_{name}_f1"] > 0.9


@pytest.mark.parametrize("seed", [0, 77])
def test_it_finds_the_particles_of_cells_that_it_never_saw(seed: int) -> None:
    torch = pytest.importorskip("torch")
    from deepict_dask.networks.unet3d import UNet3D

    loaded = load_checkpoint(demo_network_path())
    net = UNet3D.from_architecture(loaded.architecture).eval()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in loaded.state.items()})
    cell = simulate_cell(seed=seed)
    x = (cell.tomogram - cell.tomogram.mean(dtype=float)) / cell.tomogram.std(dtype=float)
    with torch.inference_mode():
        probability = torch.sigmoid(net(torch.from_numpy(x.astype(np.float32))[None, None]))[0].numpy()
    for name, volume in zip(loaded.card.classes, probability, strict=True):
        labels, _ = ndimage.label(volume > 0.5, np.ones((3, 3, 3)))
        kept = np.flatnonzero(np.bincount(labels.ravel())[1:] > 300) + 1
        picks = np.array(ndimage.center_of_mass(labels > 0, labels, kept))
        rows = cell.truth[cell.truth["class"] == name]
        truth = np.stack([rows["z"], rows["y"], rows["x"]], axis=1)
        # True positions are more than 20 voxels apart, so within 10 voxels at most one is meant.
        distance, nearest = cKDTree(truth).query(picks)
        hits = len(set(nearest[distance <= 10]))
        assert 2 * hits / (len(picks) + len(truth)) > 0.9, name
