"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy import ndimage

from deepict_dask.io.location import Location

_SAFE_PATH = os.environ.get("PYTHONSAFEPATH")


@pytest.fixture(autouse=True)
def _own_modules_for_programs():
    """The command line keeps its workers from the working folder's modules; what later tests start needs those tests."""

    def restore():
        if _SAFE_PATH is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = _SAFE_PATH

    restore()
    yield
    restore()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the reference outputs and data sets, which are not part of the repository."""
    folder = Path(os.environ.get("DEEPICT_DASK_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "reference").is_dir():
        pytest.skip(f"needs the reference data in {folder} (set DEEPICT_DASK_SHARED)")
    return folder


@pytest.fixture(scope="session")
def _cluster():
    """Two worker processes of one thread each, shared by all tests that need a cluster."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "2GB", "host": "127.0.0.1"}
    # Not the default client: tests that did not ask for it must not run on it.
    with (
        LocalCluster(dashboard_address="127.0.0.1:0", **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def client(_cluster):
    """Client of the shared cluster, the default one for the length of a test only."""
    with _cluster.as_current():
        yield _cluster


@pytest.fixture
def folder(tmp_path: Path) -> Location:
    """An empty folder, as stages name it."""
    return Location.of(tmp_path)


def write_mrc(path: Path, volume: np.ndarray, voxel_size: float = 13.48) -> Path:
    """Write an MRC file with the field's own library."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(volume)
        file.voxel_size = voxel_size
    return path


@pytest.fixture(scope="session")
def volume() -> np.ndarray:
    """Blobs in noise; z, y and x all different and multiples of nothing."""
    noise = ndimage.gaussian_filter(np.random.default_rng(7).normal(size=(37, 83, 101)), 2)
    return (20 * noise / noise.std() + 3).astype("f4")


@pytest.fixture
def mrc(tmp_path: Path, volume: np.ndarray) -> Path:
    """That tomogram in a file."""
    return write_mrc(tmp_path / "cell.mrc", volume)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a 3D U-Net of depth 1 with random weights, which makes blobs of blobs."""
    import torch

    from deepict_dask.networks.card import ModelCard
    from deepict_dask.networks.checkpoint import save_checkpoint
    from deepict_dask.networks.unet3d import UNet3D

    torch.manual_seed(3)
    model = UNet3D(depth=1, initial_features=4).eval()
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 24, 24)), 2)
    with torch.no_grad():
        # Spread the logits over what sigmoids can tell apart, with a mean that makes blobs rare.
        logits = model(torch.from_numpy((smooth / smooth.std()).astype("f4"))[None, None])
        model.out_conv.weight *= 2 / logits.std()
        model.out_conv.bias -= (
            model.out_conv.bias + 2 / logits.std() * (logits.mean() - model.out_conv.bias) + 2
        )
    card = ModelCard(name="tiny", classes=("blob",), architecture=model.architecture, voxel_size=13.48)
    return save_checkpoint(tmp_path_factory.mktemp("network") / "tiny.safetensors", model.state_dict(), card)
