"""The package from Python, with a real network: lazy, the same on every chunking, equal to one pass."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import deepict_dask as dd
from deepict_dask.errors import InputError
from deepict_dask.tomogram import tomogram as make_tomogram

axis = st.one_of(st.sampled_from([1, 2, 5, 7, 13, 23]), st.integers(1, 41))
shapes = st.tuples(axis, axis, axis)
chunkings = st.tuples(st.integers(1, 23), st.integers(1, 23), st.integers(1, 23))


def one_pass(volume, network, halo):
    """The network over the whole, mirrored tomogram at once, in plain torch."""
    import torch

    from deepict_dask.networks.checkpoint import load_checkpoint
    from deepict_dask.networks.torch_runtime import build_module

    loaded = load_checkpoint(network)
    net = build_module(loaded.architecture, loaded.state).eval()
    step = loaded.architecture.alignment
    x = ((volume - volume.mean(dtype="f8")) / volume.std(dtype="f8")).astype("f4")
    x = np.pad(x, [(halo, halo + -n % step) for n in volume.shape], mode="reflect")
    with torch.inference_mode():
        y = torch.sigmoid(net(torch.from_numpy(x)[None, None]))[0].numpy()
    return y[(slice(None), *(slice(halo, halo + n) for n in volume.shape))]


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@settings(max_examples=12, deadline=None)
@given(shape=shapes, chunks=chunkings, block=st.sampled_from([8, 16, 24]), seed=st.integers(0, 5))
def test_exact_tiling_is_one_pass_on_every_chunking_and_block(network, runtime, shape, chunks, block, seed):
    if runtime == "openvino":
        pytest.importorskip("openvino")
    if np.prod(shape) < 4:
        return  # nothing to take a standard deviation of
    volume = (np.random.default_rng(seed).normal(size=shape) * 9 + 70).astype("f4")
    model = dd.load_model(network)
    lazy = make_tomogram(da.from_array(volume, chunks=chunks), 13.48)
    ours = dd.segment(lazy, model, runtime=runtime, block=block)
    whole = dd.segment(
        make_tomogram(da.from_array(volume, chunks=shape), 13.48), model, runtime=runtime, block=block
    )
    assert ours.dims == ("z", "y", "x") and ours.dtype == np.float32
    np.testing.assert_array_equal(ours.compute(), whole.compute())
    np.testing.assert_allclose(ours, one_pass(volume, network, model.halo)[0], atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(shape=shapes, chunks=chunkings, convention=st.sampled_from(["physical", "deepict"]))
def test_equalizing_is_the_same_on_every_chunking(shape, chunks, convention):
    volume = np.random.default_rng(1).normal(size=shape).astype("f4")
    if volume.size < 4:
        return
    target = make_tomogram(
        ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(20, 22, 24)), 1), 10.0
    )
    results = [
        dd.equalize(
            make_tomogram(da.from_array(volume, chunks=c), 10.0), target, convention=convention
        ).compute()
        for c in (chunks, shape)
    ]
    np.testing.assert_array_equal(*results)
    assert np.isfinite(results[0]).all()


@settings(max_examples=25, deadline=None)
@given(
    shape=shapes, chunks=chunkings, connectivity=st.sampled_from([6, 18, 26]), density=st.floats(0.02, 0.6)
)
def test_labels_and_picks_are_those_of_scipy_on_every_chunking(shape, chunks, connectivity, density):
    probability = np.random.default_rng(3).random(shape, dtype="f4") ** (0.5 / density)
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    expected, n = ndimage.label(probability > 0.5, structure)
    lazy = da.from_array(probability, chunks=chunks)
    np.testing.assert_array_equal(dd.label(lazy > 0.5, connectivity), expected)
    found = dd.pick(make_tomogram(lazy, 10.0), min_size=2, connectivity=connectivity)
    sizes = np.bincount(expected.ravel(), minlength=n + 1)[1:]
    np.testing.assert_array_equal(found.label, np.flatnonzero(sizes > 2) + 1)
    whole = dd.pick(make_tomogram(probability, 10.0), min_size=2, connectivity=connectivity)
    pd.testing.assert_frame_equal(found.to_dataframe(), whole.to_dataframe(), check_exact=True)


def test_everything_up_to_pick_is_lazy(network, mrc):
    def forbidden(*_, **__):
        raise AssertionError("computed too early")

    with dask.config.set(scheduler=forbidden):
        tomogram = dd.open_tomogram(mrc)
        equalized = dd.equalize(tomogram, tomogram, cutoff=40)
        by_index = dd.equalize(tomogram, tomogram, convention="deepict")
        probability = dd.segment(equalized, network)
        labels = dd.label(probability > 0.4)
        dd.extract_spectrum(tomogram)
    assert equalized.shape == by_index.shape == probability.shape == labels.shape == (37, 83, 101)
    assert probability.attrs["voxel_size"] == 13.48 and probability.name == "cell"


def test_with_and_without_a_client_the_same(network, mrc, client):
    tomogram = dd.open_tomogram(mrc)
    probability = dd.segment(dd.equalize(tomogram, tomogram), network)
    distributed = dd.pick(probability, threshold=0.4, min_size=20)
    with dask.config.set(scheduler="threads"):
        threaded = dd.pick(probability.compute(), threshold=0.4, min_size=20)
    assert len(distributed) > 5
    pd.testing.assert_frame_equal(distributed.to_dataframe(), threaded.to_dataframe(), check_exact=True)


def test_python_and_command_line_find_the_same_particles(network, mrc, tmp_path):
    from deepict_dask.campaign.plan import plan_run
    from deepict_dask.campaign.run import run
    from deepict_dask.config import load_settings
    from deepict_dask.io.location import Location

    config = load_settings(
        None, {"model": str(network), "threshold": 0.4, "min_size": 20, "target_spectrum": str(mrc)}
    )
    (outcome,) = run(plan_run([str(mrc)], Location.of(tmp_path), config))
    assert outcome.error is None
    stored = dd.open_tomogram(tmp_path / "cell" / "probability.zarr")
    again = dd.pick(stored, threshold=0.4, min_size=20)
    table = pd.read_csv(tmp_path / "cell" / "particles.csv")
    pd.testing.assert_frame_equal(again.to_dataframe(), table, check_exact=True)
    tomogram = dd.open_tomogram(mrc)
    probability = dd.segment(dd.equalize(tomogram, str(mrc)), network)
    assert abs(probability - stored * stored.attrs["scale"]).max() <= 0.5 / 255 + 1e-6


def test_several_classes_lead_and_are_chosen_by_name(mrc):
    from deepict_dask.data import demo_network_path

    probability = dd.segment(dd.open_tomogram(mrc), str(demo_network_path()))
    assert probability.dims == ("class", "z", "y", "x")
    assert list(probability["class"].values) == ["ribosome", "fas"]
    picked = dd.pick(probability.sel({"class": "fas"}), min_size=1, threshold=0.05)
    assert picked.class_name == "fas"


def test_mistakes_are_sentences(mrc, network, tmp_path):
    tomogram = dd.open_tomogram(mrc)
    with pytest.raises(InputError, match="voxel size"):
        dd.equalize(make_tomogram(np.ones((4, 5, 6)), None), tomogram)
    with pytest.raises(InputError, match=r"\(3, 3, 3\).*\(37, 83, 101\)|\(37, 83, 101\).*\(3, 3, 3\)"):
        dd.pick(dd.segment(tomogram, network), region=np.ones((3, 3, 3)))
    with pytest.raises(InputError, match="standard deviation of 0"):
        dd.segment(make_tomogram(da.ones((8, 8, 8)), 10.0), network).compute()
    with pytest.raises(InputError):
        dd.open_tomogram(tmp_path / "nowhere.mrc")


def test_importing_the_package_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import deepict_dask, sys; dir(deepict_dask);"
        "print([m for m in ('dask','torch','zarr','pandas','xarray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_doubtful_in_a_header_is_a_python_warning(tmp_path):
    import mrcfile

    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.zeros((4, 9, 8), "f4"))
        file.set_volume()
        file.voxel_size = 1.0
    with pytest.warns(UserWarning, match="exactly 1 A") as caught:
        opened = dd.open_tomogram(tmp_path / "a.mrc")
    assert "voxel_size" not in opened.attrs and caught[0].filename == __file__
    turned = dd.open_tomogram(tmp_path / "a.mrc", voxel_size=10, axes="xzy")
    assert turned.shape == (9, 4, 8)
