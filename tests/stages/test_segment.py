"""Memory of a worker: the documented bound holds, and blocks that break it are refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deepict_dask.networks.architecture import Architecture
from deepict_dask.stages import memory
from deepict_dask.tomogram import same_voxel_size

MEASURE = """
import re, sys
import numpy as np
from deepict_dask.networks.checkpoint import load_model
from deepict_dask.networks.blocks import BlockPredictor
from deepict_dask.networks.predictor import ModelSpec
from deepict_dask.kernels.probability import standardize
import dask.array, distributed, zarr
model = load_model(sys.argv[1])
halo = (model.halo,) * 3
core = (96, 128, 160)
predict = BlockPredictor(ModelSpec.of(model, runtime=sys.argv[2], threads=1), halo, False)
shape = [n + 2 * h for n, h in zip(core, halo)]
block = np.random.default_rng(0).normal(size=shape[1:]).astype("f4")[None].repeat(shape[0], 0)
predict(standardize(block, 0.0, 1.0))
# Not getrusage: its peak is inherited from the process that started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_block_takes_no_more_than_the_formula_says(runtime):
    from deepict_dask.data import demo_network_path
    from deepict_dask.networks.checkpoint import load_model

    if runtime == "openvino":
        pytest.importorskip("openvino")
    path = demo_network_path()
    model = load_model(path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), runtime], capture_output=True, text=True, check=True
    )
    measured = int(done.stdout)
    halo = (model.halo,) * 3
    bound = memory.segment(model.architecture, runtime, (96, 128, 160), halo, 4, 1).total
    assert 0.4 * bound < measured <= bound


def test_the_bound_knows_no_tomogram_and_grows_with_the_block():
    a = Architecture(2, 4)
    small = memory.segment(a, "openvino", (104, 104, 104), (24,) * 3, 4, 2).total
    large = memory.segment(a, "openvino", (208, 208, 208), (24,) * 3, 4, 2).total
    assert 3e8 < small < large < 2e9


def test_voxel_sizes_agree_to_five_percent():
    assert same_voxel_size((10.0, 10.4, 9.6), 10.0) and not same_voxel_size((10.0, 10.0, 10.6), 10.0)
