"""Region masks are read before the network runs: what is neither inside nor outside is refused, the share is said."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.config import load_settings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.stages.picking.again import pick_again, plan_pick
from tests.conftest import write_mrc
from tests.stages.test_condition import go


@pytest.fixture
def cell(tmp_path, volume):
    return write_mrc(tmp_path / "cell.mrc", volume)


@pytest.mark.parametrize(("odd", "said"), [(0.5, "values between 0 and 1"), (np.nan, "holds NaN")])
def test_a_mask_that_cannot_be_used_is_refused_before_the_network_runs(
    cell, volume, network, tmp_path, odd, said
):
    mask = np.ones(volume.shape, "f4")
    mask[:, :50] = 0
    mask[-1, -1, -1] = odd
    region = write_mrc(tmp_path / "region.mrc", mask)
    outcome, reporter = go(cell, tmp_path / "out", network, region=str(region))
    assert isinstance(outcome.error, InputError) and said in str(outcome.error)
    assert not (tmp_path / "out" / "cell" / "probability.zarr").exists()
    assert "segment" not in reporter.stages


def test_a_mask_is_read_once_and_its_share_is_said(cell, volume, network, tmp_path):
    mask = np.zeros(volume.shape, "f4")
    mask[:, :20] = 0.25
    mask[:, 40:60] = 0.75
    region = write_mrc(tmp_path / "region.mrc", mask)
    options = {"region": str(region), "region_threshold": 0.5}
    outcome, reporter = go(cell, tmp_path / "out", network, **options)
    assert outcome.error is None and outcome.picked[0].n_particles > 0
    assert reporter.stages.count("read") == 1 and reporter.stages.index("read") < reporter.stages.index(
        "segment"
    )
    share = 100 * 20 / volume.shape[1]
    assert f"cell: {share:.3g} % of the region mask region is inside" in reporter.said
    outcome, reporter = go(cell, tmp_path / "out", network, **options)
    assert outcome.kept == {"ingest", "segment", "pick"} and reporter.stages == []
    # Another threshold is another region.
    outcome, reporter = go(
        cell, tmp_path / "out", network, overwrite=True, **options | {"region_threshold": 0.1}
    )
    share = 100 * 40 / volume.shape[1]
    assert f"cell: {share:.3g} % of the region mask region is inside" in reporter.said


@pytest.mark.parametrize(("value", "word"), [(0, "nothing"), (1, "everything")])
def test_nothing_or_everything_inside_is_a_warning(cell, volume, network, tmp_path, value, word):
    region = write_mrc(tmp_path / "region.mrc", np.full(volume.shape, value, "i1"))
    outcome, reporter = go(cell, tmp_path / "out", network, region=str(region))
    assert outcome.error is None
    assert any(f"{word} of {region} is above 0" in s for s in reporter.warned)
    excluded = [s for s in reporter.warned if f"only where the region mask {region} leaves it out" in s]
    assert bool(excluded) == (value == 0)


def test_segment_alone_reads_no_region_and_pick_does(cell, volume, network, tmp_path):
    mask = np.full(volume.shape, 0.5, "f4")
    region = write_mrc(tmp_path / "region.mrc", mask)
    outcome, reporter = go(cell, tmp_path / "out", network, until="segment", region=str(region))
    assert outcome.error is None and "read" not in reporter.stages
    again = load_settings(None, {"region": str(region)})
    maps, failed = plan_pick([str(tmp_path / "out")], lambda used: again)
    assert not failed
    (picked,) = pick_again(maps)
    assert "values between 0 and 1" in str(picked.error)
    assert not Location.of(tmp_path / "out" / "cell" / "particles.csv").exists()
