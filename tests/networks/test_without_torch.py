"""A CPU run, start to end, in a process in which torch cannot be imported; and what needs it says so."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from deepict_dask.networks.openvino_runtime import has_openvino
from tests.conftest import write_mrc

BLOCKED = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "tensorboard", "optuna", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
"""


def run_blocked(code, *arguments, cwd):
    """Run code without torch, in this process's workers too: threads of a Client in the process."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=cwd,
    )


@pytest.fixture
def tomogram(tmp_path):
    write_mrc(tmp_path / "cell.mrc", np.random.default_rng(0).normal(0, 20, (24, 40, 44)).astype("f4"))
    return tmp_path / "cell.mrc"


@pytest.mark.skipif(not has_openvino(), reason="needs OpenVINO")
def test_a_pth_is_read_and_a_tomogram_segmented_and_picked(tomogram, tmp_path):
    import torch

    from deepict_dask.networks.unet3d import UNet3D

    torch.save({"model_state_dict": UNet3D(1, 2).state_dict()}, tmp_path / "m.pth")
    done = run_blocked(
        """
        from deepict_dask.config import load_settings
        from deepict_dask.io.location import Location
        from deepict_dask.campaign.plan import plan_run
        from deepict_dask.campaign.run import run
        tomogram, out, model = sys.argv[1:]
        settings = load_settings(None, {"model": model, "threshold": 0.1, "device": "cpu"})
        (outcome,) = run(plan_run([tomogram], Location.of(out), settings), threads=1)
        if outcome.error is not None:
            raise outcome.error
        assert outcome.picked[0].tables[0].exists()
        assert "openvino" in sys.modules and "torch" not in sys.modules
        """,
        tomogram,
        tmp_path / "run",
        tmp_path / "m.pth",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "cell" / "probability.zarr").is_dir()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("resolve_runtime('torch', 'cpu')", "the runtime torch needs PyTorch, which is not installed; pip install 'deepict_dask[gpu]'"),
        ("resolve_runtime('auto', 'cuda')", "the device cuda needs PyTorch"),
        ("prepare_training_data(EXAMPLE, None)", "training needs PyTorch, which is not installed; pip install 'deepict_dask[train]'"),
    ],
)  # fmt: skip
def test_what_needs_torch_says_so(tmp_path, code, message):
    done = run_blocked(
        f"""
        from deepict_dask.config.training import EXAMPLE
        from deepict_dask.errors import InputError
        from deepict_dask.learning.training_data import prepare_training_data
        from deepict_dask.networks.predictor import resolve_runtime
        try:
            {code}
        except InputError as error:
            print(error)
        """,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert message in done.stdout
