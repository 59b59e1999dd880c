"""A handful of small tomograms, and what one thread makes of them one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.config import load_settings
from deepict_dask.io.location import Location
from tests.conftest import write_mrc

N = 5
OPTIONS = {"min_size": 5, "threshold": 0.4, "block": 32}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Small tomograms, no two alike, of shapes that no two axes share."""
    from scipy import ndimage

    folder = tmp_path_factory.mktemp("cells")
    for n in range(N):
        noise = ndimage.gaussian_filter(np.random.default_rng(n).normal(size=(20 + n, 41, 53)), 2)
        write_mrc(folder / f"TS_{n:02d}.mrc", (20 * noise / noise.std()).astype("f4"))
    return folder


def go(tomograms, output, network, *, reporter=None, done=lambda o: None, window=None, retries=1, **options):
    settings = load_settings(None, {**OPTIONS, "model": str(network), **options})
    plan = plan_run([str(tomograms)], Location.of(output), settings)
    return run(plan, threads=1, reporter=reporter, done=done, window=window, retries=retries)


def tables(output):
    return {str(p.relative_to(output)): p.read_bytes() for p in sorted(Path(output).rglob("*particles*.csv"))}


@pytest.fixture(scope="module")
def alone(cells, network, tmp_path_factory):
    """The run of one thread, one tomogram after the other."""
    output = tmp_path_factory.mktemp("alone")
    assert all(o.error is None for o in go(cells, output, network))
    return output
