"""A run leaves a report, which knows how much of a tomogram its region covers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.report.gather import gather
from deepict_dask.campaign.run import run
from deepict_dask.config import load_settings
from deepict_dask.io.location import Location
from tests.conftest import write_mrc


def go(mrc, output, network, *, overwrite=False, **options):
    chosen = {"min_size": 5, "threshold": 0.4, "block": 32, "model": str(network), **options}
    plan = plan_run([str(mrc)], Location.of(output), load_settings(None, chosen), overwrite=overwrite)
    (outcome,) = run(plan, threads=1)
    assert outcome.error is None


def test_a_run_leaves_a_report_and_the_share_of_its_region(mrc, volume, network, tmp_path):
    mask = np.zeros(volume.shape, "i1")
    mask[:, 10:60] = 1
    region = write_mrc(tmp_path / "mask.mrc", mask)
    output = tmp_path / "out"
    go(mrc, output, network, region=str(region))
    table = pd.read_csv(output / "cell" / "particles.csv")
    assert len(table) and f'<td class="num" data-v="{len(table)}">' in (output / "report.html").read_text()
    expected = len(table) / (np.prod(volume.shape) * 13.48**3 / 1e12 * mask.mean())
    assert gather(Location.of(output)).tomograms[0].density("blob") == pytest.approx(expected)
    # Picked again the mask is not read again, and what was counted then still holds.
    go(mrc, output, network, region=str(region), threshold=0.5, overwrite=True)
    side = json.loads((output / "cell" / "particles.json").read_text())
    assert side["made_by"]["recorded"]["region_share"] == pytest.approx(mask.mean())
