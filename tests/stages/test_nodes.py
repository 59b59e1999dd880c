"""The plan of a tomogram as a graph: several networks share what they can, and each keeps its own outputs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepict_dask.config import EqualizeSettings, IngestSettings, PickSettings, SegmentSettings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.networks.checkpoint import load_model
from deepict_dask.stages.equalize import open_target
from deepict_dask.stages.ingest import open_tomogram
from deepict_dask.stages.nodes import run_node
from deepict_dask.stages.plan import Network, plan_tomogram
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from tests.stages.test_run import THRESHOLD, go, picks

PICK = PickSettings(threshold=THRESHOLD, min_size=20)


def plan(mrc, folder, networks):
    return plan_tomogram(
        open_tomogram(str(mrc), IngestSettings()), "cell", Location.of(folder), IngestSettings(), networks
    )


def make(planned):
    """Run all nodes; gives what was kept, and the number of particles of each network."""
    kept, made, picked = set(), {}, {}
    for node in planned.nodes:
        work = Work(Reporter(), threads=1, kept=(stages := set()))
        result = run_node(node, made, work)
        if isinstance(result, list):
            picked[node.name] = result[0].n_particles
        else:
            made[node.name] = result
        if stages:
            kept.add(node.name)
    return kept, picked


def two(network, mrc, *, threshold=THRESHOLD):
    model, target = load_model(network), open_target(EqualizeSettings(target_spectrum=str(mrc)))
    return [
        Network(model, SegmentSettings(), PICK.model_copy(update={"threshold": threshold}), name="plain"),
        Network(model, SegmentSettings(), PICK, 20.0, target, name="coarse"),
        Network(model, SegmentSettings(tiling="deepict"), PICK, 20.0, name="boxes"),
    ]


def test_several_networks_share_an_ingest_and_keep_their_own_outputs(mrc, network, tmp_path):
    planned = plan(mrc, tmp_path / "cell", two(network, mrc))
    assert [node.name for node in planned.nodes] == [
        "ingest",
        *("segment_plain", "pick_plain"),
        *("rescale_coarse", "equalize_coarse", "segment_coarse", "pick_coarse"),
        *("segment_boxes", "pick_boxes"),
    ]
    inputs = {node.name: node.inputs for node in planned.nodes}
    # Two networks that want voxels of one size share them.
    assert inputs["segment_boxes"] == inputs["equalize_coarse"] == ("rescale_coarse",)
    kept, _ = make(planned)
    assert not kept
    single = tmp_path / "single"
    go([mrc], single, model=str(network), threshold=THRESHOLD, min_size=20)
    np.testing.assert_array_equal(
        open_image(tmp_path / "cell" / "probability_plain.zarr").array[:],
        open_image(single / "cell" / "probability.zarr").array[:],
    )
    table = pd.read_csv(tmp_path / "cell" / "particles_plain.csv")
    pd.testing.assert_frame_equal(table, picks(single), check_exact=True)
    for name in ("coarse", "boxes"):
        assert open_image(tmp_path / "cell" / f"probability_{name}.zarr").spatial_shape == (25, 56, 68)
        assert (tmp_path / "cell" / f"particles_{name}.csv").exists()


def test_only_the_nodes_that_changed_are_made_again(mrc, network, tmp_path):
    make(plan(mrc, tmp_path / "cell", two(network, mrc)))
    again = plan(mrc, tmp_path / "cell", two(network, mrc))
    kept, _ = make(again)
    assert kept == {node.name for node in again.nodes}
    changed = plan(mrc, tmp_path / "cell", two(network, mrc, threshold=0.45))
    differs = {node.name for node, look in changed.look() if look.refusal}
    assert differs == {"pick_plain"}


def test_networks_without_names_of_their_own_are_refused(mrc, network, tmp_path):
    model = load_model(network)
    with pytest.raises(InputError, match="their outputs would be the same; name them"):
        plan(mrc, tmp_path, [Network(model, SegmentSettings(), PICK)] * 2)
