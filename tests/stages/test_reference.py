"""Against the original program and published truth: the reference outputs, from files to tables."""

from __future__ import annotations

import importlib.util

import mrcfile
import numpy as np
import pytest
import yaml

import deepict_dask as dd
from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.config import load_settings
from deepict_dask.io.location import Location


def go(tomogram, output, **options):
    plan = plan_run([str(tomogram)], Location.of(output), load_settings(None, options))
    (outcome,) = run(plan)
    if outcome.error:
        raise outcome.error
    return outcome


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_deepict_tiling_gives_the_originals_probability_map(shared, tmp_path, runtime):
    reference = shared / "reference" / "segment3d"
    outcome = go(
        reference / "even.mrc",
        tmp_path,
        model=str(reference / "ribo_IF4_D2_BN.pth"),
        tiling="deepict",
        runtime=runtime,
        dtype="float32",
        block=80,
    )
    ours = dd.open_tomogram(outcome.folder / "probability.zarr").compute()
    np.testing.assert_allclose(ours, mrcfile.read(reference / "even_probability.mrc"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize(("z_smoothing", "name"), [(0, "tile_probability"), (None, "tile_smooth")])
def test_deepict_tiling_of_slices_gives_the_originals_probability_map(
    shared, tmp_path, runtime, z_smoothing, name
):
    reference = shared / "reference" / "segment2d"
    outcome = go(
        reference / "tile.mrc",
        tmp_path,
        model=str(reference / "organelle_nf2.h5"),
        tiling="deepict",
        runtime=runtime,
        dtype="float32",
        z_smoothing=z_smoothing,
    )
    ours = dd.open_tomogram(outcome.folder / "probability.zarr").compute()
    np.testing.assert_allclose(ours, mrcfile.read(reference / f"{name}.mrc"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["plain", "six", "intersection"])
def test_a_run_ends_in_the_originals_picks(shared, tmp_path, case):
    segment3d, reference = shared / "reference" / "segment3d", shared / "reference" / "pick"
    rules = yaml.safe_load((reference / f"even_{case}.yaml").read_text())
    border = rules["ignore_border_thickness"]
    outcome = go(
        segment3d / "even.mrc",
        tmp_path,
        model=str(segment3d / "ribo_IF4_D2_BN.pth"),
        tiling="deepict",
        dtype="float32",
        threshold=rules["threshold"],
        min_size=rules["min_cluster_size"],
        max_size=rules["max_cluster_size"],
        connectivity={1: 6, 2: 18, 3: 26}[rules["clustering_connectivity"]],
        # The original's order is x, y, z.
        border=border if isinstance(border, int) else tuple(reversed(border)),
        region=str(reference / f"even_{rules['region_mask']}.mrc")
        if rules["region_mask"] != "no_mask"
        else None,
        formats=["motl"],
    )
    assert outcome.picked[0].tables[0].read_bytes() == (reference / f"even_{case}_motl.csv").read_bytes()


def scorer(shared):
    spec = importlib.util.spec_from_file_location("score_picks", shared / "tools" / "score_picks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "with_region", "least"),
    [("TS_014", False, 0.983), ("TS_014", True, 0.998), ("TS_015", False, 0.960), ("TS_015", True, 0.995)],
)
def test_ribosomes_of_the_phantoms_are_found_as_well_as_by_the_original(
    shared, tmp_path, name, with_region, least
):
    folder = shared / "data" / "phantom" / name
    (tomogram,) = folder.glob("tomogram.mrc*")
    outcome = go(
        tomogram,
        tmp_path,
        model=str(shared / "reference" / "models" / "ribosome_vpp_IF4_D2_BN.pth"),
        threshold=0.5,
        min_size=300,
        connectivity=6,
        region=str(folder / "cytosol.mrc.gz") if with_region else None,
    )
    tool = scorer(shared)
    picks = tool.positions(str(outcome.picked[0].tables[0]))
    truth = tool.positions(str(folder / "particles.csv"), "ribosome")
    hits = tool.matched(picks, truth, 135 / 13.48)
    assert round(2 * hits / (len(picks) + len(truth)), 3) >= least
