"""A class without particles says the numbers, and what usually causes it; never what was done already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepict_dask.config import load_settings
from deepict_dask.engine.picking import Reduced
from deepict_dask.io.location import Location
from deepict_dask.particles import Particles
from deepict_dask.provenance import Provenance
from deepict_dask.stages.picking.explain import few_particles
from deepict_dask.stages.picking.jobs import jobs_of
from deepict_dask.stages.picking.pick import pick
from deepict_dask.stages.work import Work
from tests.images import stored_image
from tests.stages.test_condition import Heard


def made_map(path, values, **attributes):
    own = {"scale": 1 / 255, "maximum": float(values.max()) / 255, **attributes}
    own["maxima"] = [float(v.max()) / 255 for v in (values if values.ndim == 4 else values[None])]
    classes = [f"class{i}" for i in range(len(values))] if values.ndim == 4 else ["ribosome"]
    return stored_image(path, values, kind="probability", classes=classes, finish=own)


def explained(path, values, attributes=None, **options):
    reporter = Heard()
    image = made_map(path, values, **(attributes or {}))
    pick(image, Location.of(path.parent), load_settings(None, options).pick, Work(reporter))
    return reporter.warned


@pytest.fixture
def values():
    values = np.zeros((16, 24, 40), np.uint8)
    values[4:6, 5:8, 6:9] = 200
    values[10:13, 10:13, 20:23] = 240
    return values


def test_the_largest_probability_and_the_threshold_are_said(tmp_path, values):
    (sentence,) = explained(tmp_path / "probability.zarr", values, threshold=0.97, min_size=1)
    assert (
        "a: no particle of class ribosome: the map's largest probability is 0.941, not above the threshold 0.97"
        in sentence
    )
    assert "a lower --threshold finds more" in sentence and "--invert" in sentence
    (sentence,) = explained(tmp_path / "b" / "probability.zarr", values // 10, min_size=1)
    assert "is 0.0941" in sentence and "a lower" not in sentence


def test_components_dropped_for_their_size_are_counted(tmp_path, values):
    (sentence,) = explained(tmp_path / "probability.zarr", values, min_size=20, max_size=25)
    assert (
        "1 with 20 voxels or fewer (--min-size) and 1 with more than 25 (--max-size) of 2 components"
        in sentence
    )
    assert "the largest has 27 voxels" in sentence


def test_a_border_that_excludes_everything_is_named(tmp_path, values):
    (sentence,) = explained(tmp_path / "probability.zarr", values, min_size=1, border=(7, 11, 19))
    assert (
        "0.941, above the threshold 0.5, but only where the border of 7 x 11 x 19 voxels leaves it out"
        in sentence
    )


def test_classes_have_maxima_of_their_own(tmp_path, values):
    both = np.stack([values, values // 4])
    (sentence,) = explained(tmp_path / "probability.zarr", both, min_size=1)
    assert "class1: the map's largest probability is 0.235" in sentence


def test_what_was_done_is_no_cause(tmp_path, values):
    image = made_map(
        tmp_path / "probability.zarr",
        values // 10,
        model={"name": "n", "voxel_size": 10.0, "density": "dark"},
    )
    seen = Provenance("ingest", {}, {"clip": 6.0, "ignore_value": 0.0, "invert": True})
    made_by = Provenance("segment", {"tomogram": Provenance("equalize", {"tomogram": seen}, {})}, {})
    image = replace(image, attributes={**image.attributes, "made_by": made_by.to_json()})
    (job,) = jobs_of(image, Location.of(tmp_path), load_settings(None, {}).pick)
    nothing = Reduced(Particles.from_positions(np.empty((0, 3))), 0, 0, 0, 0)
    (sentence,) = few_particles(image, job, nothing)
    for option in ("--clip", "--ignore-value", "--rescale", "--target-spectrum"):
        assert option not in sentence
    assert "trained on dark particles): leave out --invert" in sentence


def test_particles_need_no_explanation(tmp_path, values):
    assert explained(tmp_path / "probability.zarr", values, min_size=1) == []
