"""What is far from the others is said, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from deepict_dask.campaign.report.gather import gather
from deepict_dask.campaign.report.outliers import LIMIT, remarks, robust_scores
from deepict_dask.io.location import Location
from tests.campaign.report.runs import many, plant, state, summarize


def test_scores_are_those_of_median_and_scaled_mad():
    values = np.random.default_rng(0).normal(7, 2, 101)
    expected = (values - np.median(values)) / stats.median_abs_deviation(values, scale="normal")
    np.testing.assert_allclose(robust_scores(values), expected, rtol=1e-4)


def test_few_values_and_unknown_ones_are_not_unusual():
    assert not robust_scores([1, 1, 1, 50]).any()
    scores = robust_scores([1.0, 2, 3, np.nan, 4, 5, 90])
    assert np.isnan(scores[3]) and scores[6] > LIMIT


def test_a_run_of_equal_numbers_has_no_outliers_and_one_that_differs_is_far():
    assert not robust_scores([5.0] * 9).any()
    assert robust_scores([5.0] * 9 + [6.0])[-1] == np.inf


def test_counting_noise_is_not_unusual_and_a_hundred_where_twenty_are_usual_is(tmp_path):
    # Their median absolute deviation is 0.
    run = many(tmp_path / "run", [20, 20, 20, 20, 20, 20, 24, 12, 100, 0])
    said = {name: [r.kind for r in rs] for name, rs in remarks(gather(run)).items()}
    assert said == {"TS_08": ["count"], "TS_09": ["none"]}
    (remark,) = remarks(gather(run))["TS_08"]
    assert remark.score == pytest.approx(80 / 20**0.5)
    assert "100, where about 20 are usual" in remark.sentence


def test_numbers_are_compared_per_volume(tmp_path):
    run = many(tmp_path / "run", [20, 21, 19, 20, 22])
    # A tenth of the tomogram, with as many particles as all of the others have.
    plant(run, "TS_05", {"ribosome": 20}, share=0.1)
    summarize(run, [state(f"TS_{i:02d}") for i in range(6)])
    assert [r.kind for r in remarks(gather(run))["TS_05"]] == ["count"]


def test_voxel_size_and_contrast_far_from_the_others_are_said(tmp_path):
    run = Location.of(tmp_path)
    states = [
        state(f"TS_{i}", voxel_size=(13.48 * (1 + 1e-4 * i),) * 3, contrast=0.1 + 0.001 * i) for i in range(8)
    ]
    states[3] = state("TS_3", voxel_size=(10.2,) * 3)
    states[6] = state("TS_6", voxel_size=(13.48,) * 3, contrast=0.2)
    for s in states:
        plant(run, s.name, {"fas": 0})
    summarize(run, states)
    kinds = {name: {r.kind for r in rs} - {"none"} for name, rs in remarks(gather(run)).items()}
    assert {name: kind for name, kind in kinds.items() if kind} == {
        "TS_3": {"voxel size"},
        "TS_6": {"contrast"},
    }
