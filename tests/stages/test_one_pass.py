"""Map and picks of one pass over the blocks: the tables are those of the stored map, and that is not read."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy import ndimage

from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import finish_image, open_image
from deepict_dask.stages import segment as segment_stage
from deepict_dask.stages.picking import pick as pick_stage
from tests.conftest import write_mrc
from tests.stages.test_run import go

OPTIONS = {"min_size": 12, "threshold": 0.35, "connectivity": 6, "border": [2, 3, 4], "block": 48}


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """A checkpoint of two classes with random weights."""
    import torch

    from deepict_dask.networks.card import ModelCard
    from deepict_dask.networks.checkpoint import save_checkpoint
    from deepict_dask.networks.unet3d import UNet3D

    torch.manual_seed(5)
    model = UNet3D(depth=1, initial_features=4, out_classes=2).eval()
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 24, 24)), 2)
    with torch.no_grad():
        # Spread the logits of each class over what sigmoids can tell apart, with a mean that makes blobs rare.
        logits = model(torch.from_numpy((smooth / smooth.std()).astype("f4"))[None, None])
        mean, std = logits.mean((0, 2, 3, 4)), logits.std((0, 2, 3, 4))
        model.out_conv.weight *= (2 / std)[:, None, None, None, None]
        model.out_conv.bias -= model.out_conv.bias + 2 / std * (mean - model.out_conv.bias) + 2
    card = ModelCard(
        name="two", classes=("ribosome", "fas"), architecture=model.architecture, voxel_size=13.48
    )
    return save_checkpoint(tmp_path_factory.mktemp("two") / "two.safetensors", model.state_dict(), card)


@pytest.fixture(scope="module")
def cell(tmp_path_factory, volume):
    folder = tmp_path_factory.mktemp("cell")
    write_mrc(folder / "cell.mrc", volume)
    inside = np.zeros(volume.shape, "f4")
    inside[3:, 10:70, :90] = 1
    write_mrc(folder / "inside.mrc", inside)
    return folder


@pytest.fixture
def no_reading(monkeypatch):
    """Picking that may not read the map."""

    def read(*args, **kwargs):
        raise AssertionError("the map is read")

    monkeypatch.setattr(pick_stage, "_search", read)


def tables(folder):
    return {p.name: p.read_bytes() for p in sorted((folder / "cell").glob("particles*"))}


def stored(folder):
    """Leave the map and its tables' settings, but no tables."""
    for file in (folder / "cell").glob("particles*"):
        file.unlink()


@pytest.mark.parametrize("tiling", ["exact", "deepict"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("where", ["here", "cluster"])
def test_tables_are_those_of_the_stored_map(cell, two_classes, tmp_path, tiling, dtype, where, request):
    if where == "cluster":
        request.getfixturevalue("client")
    options = OPTIONS | {
        "model": str(two_classes),
        "tiling": tiling,
        "dtype": dtype,
        "formats": ["csv", "motl"],
    }
    options |= {"region": str(cell / "inside.mrc"), "threshold": {"ribosome": 0.35, "fas": 0.5}}
    source = [cell / "cell.mrc"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pick_stage, "_search", None)  # whoever reads the map ends here
        (outcome,) = go(source, tmp_path, **options)
        assert outcome.error is None
    found = tables(tmp_path)
    assert {"particles_ribosome.csv", "particles_fas.csv", "particles_fas_motl.csv"} <= found.keys()
    assert sum(p.n_particles for p in outcome.picked) > 4
    stored(tmp_path)
    (outcome,) = go(source, tmp_path, **options)
    assert outcome.error is None and "segment" in outcome.kept
    assert tables(tmp_path) == found


def test_several_networks_and_classes_that_are_kept_find_their_own(cell, two_classes, tmp_path, no_reading):
    """Only the map is gone: tables that are there, made by the same, are kept, and nothing is searched for them."""
    options = OPTIONS | {"model": str(two_classes)}
    (outcome,) = go([cell / "cell.mrc"], tmp_path, **options)
    assert outcome.error is None
    found = tables(tmp_path)
    shutil.rmtree(tmp_path / "cell" / "probability.zarr")
    (tmp_path / "cell" / "particles_fas.json").unlink()
    (tmp_path / "cell" / "particles_fas.csv").unlink()
    searched = []
    reduce = segment_stage.map_part
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            segment_stage,
            "map_part",
            lambda block, index, grid, searches: (
                searched.append(len(searches)) or reduce(block, index, grid, searches)
            ),
        )
        (outcome,) = go([cell / "cell.mrc"], tmp_path, **options)
    assert outcome.error is None and set(searched) == {1}
    assert [p.is_kept for p in outcome.picked] == [True, False]
    assert tables(tmp_path) == found


def test_a_run_that_ends_with_the_map_searches_nothing(cell, network, tmp_path, monkeypatch):
    seen = []
    reduce = segment_stage.map_part
    monkeypatch.setattr(
        segment_stage,
        "map_part",
        lambda block, index, grid, searches: seen.append(searches) or reduce(block, index, grid, searches),
    )
    (outcome,) = go([cell / "cell.mrc"], tmp_path, until="segment", model=str(network), block=48)
    assert outcome.error is None and seen and not any(seen)


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_a_bad_region_is_refused_before_the_network_runs(cell, network, tmp_path, volume, value):
    bad = np.ones(volume.shape, "f4")
    bad[-1, -1, -1] = value
    write_mrc(tmp_path / "bad.mrc", bad)
    (outcome,) = go(
        [cell / "cell.mrc"], tmp_path / "o", model=str(network), region=str(tmp_path / "bad.mrc"), **OPTIONS
    )
    assert "the region mask" in str(outcome.error)
    assert not (tmp_path / "o" / "cell" / "probability.zarr").exists()
    if value == 0.5:
        (outcome,) = go(
            [cell / "cell.mrc"],
            tmp_path / "o",
            model=str(network),
            region=str(tmp_path / "bad.mrc"),
            region_threshold=0.2,
            **OPTIONS,
        )
        assert outcome.error is None


@pytest.mark.parametrize("change", [{}, {"min_size": 20}, {"threshold": 0.4}])
def test_a_killed_map_is_gone_on_with_whatever_is_picked_from_it(cell, network, tmp_path, change):
    """Blocks that were searched for the same need not be searched again; for something else the map is read."""
    options = OPTIONS | {"model": str(network)}
    (outcome,) = go([cell / "cell.mrc"], tmp_path / "undisturbed", **(options | change))
    assert outcome.error is None

    def killed(image, *args, **attributes):
        return 1 / 0 if image.kind == "probability" else finish_image(image, *args, **attributes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepict_dask.stages.write_image.finish_image", killed)
        (outcome,) = go([cell / "cell.mrc"], tmp_path / "o", **options)
        assert isinstance(outcome.error, ZeroDivisionError)
    image = tmp_path / "o" / "cell" / "probability.zarr"
    written = {p: p.stat().st_mtime_ns for p in image.glob("0/c/**/*") if p.is_file()}
    assert len([*image.glob(".blocks-*/*")]) == len(written) > 1
    read = []
    search = pick_stage._search
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pick_stage, "_search", lambda *a: read.append(1) or search(*a))
        (outcome,) = go([cell / "cell.mrc"], tmp_path / "o", **(options | change))
    assert outcome.error is None
    assert bool(read) is ("threshold" in change)
    assert {p: p.stat().st_mtime_ns for p in image.glob("0/c/**/*") if p.is_file()} == written
    assert tables(tmp_path / "o") == tables(tmp_path / "undisturbed")
    assert not [*image.glob(".blocks-*")] and open_image(Location.of(image)).is_complete
