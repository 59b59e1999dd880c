"""The face of the package: coordinates, boxes, runs, classes, paths, and mistakes as sentences."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest

import deepict_dask as dd
from deepict_dask.errors import InputError
from deepict_dask.tomogram import tomogram as make_tomogram
from tests.conftest import write_mrc


def blobs(seed=0, shape=(30, 40, 50)):
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return (1 / (1 + np.exp(-4 * noise / noise.std() + 4))).astype("f4")


def run_command(*words):
    from deepict_dask.cli.main import main

    with pytest.raises(SystemExit) as end:
        main(
            [
                *map(str, words),
                "--workers",
                "1",
                "--threads",
                "1",
                "--memory-limit",
                "1GB",
                "--dashboard-port",
                "0",
            ]
        )
    assert not end.value.code


def test_coordinates_are_in_angstrom_and_stay_with_every_step(mrc, network):
    tomogram = dd.open_tomogram(mrc)
    for lazy in (
        tomogram,
        dd.equalize(tomogram, tomogram),
        dd.segment(tomogram, network),
        dd.label(tomogram > 9),
    ):
        for axis, n in zip("zyx", tomogram.shape, strict=True):
            np.testing.assert_allclose(lazy[axis], np.arange(n) * 13.48)
            assert lazy[axis].dtype == np.float64
    box = dd.segment(tomogram.sel(z=slice(100, 400), y=slice(200, None)), network)
    assert box.z.values[0] == pytest.approx(8 * 13.48) and box.y.values[0] == pytest.approx(15 * 13.48)
    assert box.shape == (22, 68, 101)
    assert make_tomogram(np.ones((3, 4, 5)), None).coords == {}


def test_positions_in_a_box_count_from_its_first_voxel(mrc, network):
    probability = dd.segment(dd.open_tomogram(mrc), network).compute()
    box = probability.sel(z=slice(100, 400))
    cut, plain = dd.pick(box, 0.4, 20), dd.pick(make_tomogram(box.data, 13.48), 0.4, 20)
    assert len(cut)
    np.testing.assert_array_equal(cut.positions, plain.positions)
    np.testing.assert_allclose(cut.columns()["z_angstrom"], (cut.z + 8) * 13.48)
    with pytest.raises(InputError, match="apart"):
        dd.pick(probability[::2])


def test_a_rescaled_map_reports_the_tomograms_voxels_as_the_command_line_does(mrc, network, tmp_path):
    inside = np.zeros((37, 83, 101), "i1")
    inside[:, 20:70] = 1
    region = write_mrc(tmp_path / "region.mrc", inside)
    run_command(
        "run", mrc, "--model", network, "-o", tmp_path / "run", "--rescale", "--model-voxel-size", 20,
        "--threshold", 0.4, "--min-size", 5, "--region", region,
    )  # fmt: skip
    stored = dd.open_run(tmp_path / "run")["cell"].probability
    assert stored.attrs["voxel_size"] == 20 and tuple(stored.attrs["own_voxel_size"]) == pytest.approx(
        (13.48,) * 3
    )
    ours, table = dd.pick(stored, 0.4, 5, region=region), dd.open_run(tmp_path / "run")["cell"].particles
    assert len(ours) > 2
    np.testing.assert_array_equal(ours.positions, table.positions)
    np.testing.assert_array_equal(ours.columns()["z_angstrom"], table.columns()["z_angstrom"])


def test_a_run_shows_what_is_complete(mrc, network, tmp_path):
    out = tmp_path / "run"
    run_command(
        "run", mrc, "--model", network, "-o", out, "--threshold", 0.4, "--min-size", 20, "--write-labels"
    )
    run = dd.open_run(out)
    assert list(run) == ["cell"] and len(run) == 1 and "cell" in repr(run) and len(repr(run["cell"])) < 200
    cell = run["cell"]
    assert cell.tomogram.shape == cell.probability.shape == cell.labels.shape == (37, 83, 101)
    assert cell.labels.dtype == np.int32
    labels = {int(cell.labels[tuple(p)]) for p in np.rint(cell.particles.positions).astype(int)}
    assert labels & set(cell.particles.label.tolist())
    with pytest.raises(InputError, match=r"no complete rescaled\.zarr; complete there: .*tomogram"):
        cell.open("rescaled")
    with pytest.raises(KeyError, match="it has cell"):
        run["other"]
    for folder in (out / "nowhere", tmp_path):
        with pytest.raises(InputError, match="give the --output of a run"):
            dd.open_run(folder)


def test_all_classes_are_picked_in_one_pass_and_in_one_table():
    stack = np.stack([blobs(0), blobs(1)])
    calls = []

    def produce(block_id=None):
        calls.append(block_id)
        return stack

    lazy = da.map_blocks(
        produce, chunks=tuple((n,) for n in stack.shape), dtype="f4", meta=np.empty((0,) * 4, "f4")
    )
    probability = make_tomogram(lazy, 10.0, "cell", classes=["ribosome", "fas"])
    found = dd.pick(probability, threshold={"fas": 0.6, "*": 0.4}, min_size={"ribosome": "40A", "*": 5})
    assert len(calls) == 1
    for name, data, threshold, size in (("ribosome", stack[0], 0.4, 34), ("fas", stack[1], 0.6, 5)):
        single = dd.pick(make_tomogram(data, 10.0, "cell"), threshold, size)
        assert len(single)
        np.testing.assert_array_equal(found.of_class(name).positions, single.positions)
    only = dd.pick(probability, classes="fas", threshold=0.6, min_size=5)
    pd.testing.assert_frame_equal(only.to_dataframe(), found.of_class("fas").to_dataframe())


def test_one_class_of_several_is_chosen_by_its_name():
    stack = np.stack([blobs(0), blobs(1)])
    probability = make_tomogram(stack, 10.0, classes=["ribosome", "fas"])
    chosen = dd.pick(probability, classes="fas", min_size=5)
    same = dd.pick(probability.sel({"class": "fas"}), min_size=5)
    assert len(chosen) and chosen.class_name == same.class_name == "fas"
    np.testing.assert_array_equal(chosen.positions, same.positions)
    with pytest.raises(InputError, match="actin"):
        dd.pick(probability, classes=["actin"])
    with pytest.raises(InputError, match="actin"):
        dd.pick(probability, threshold={"actin": 0.3}, classes="fas")


def test_paths_serve_where_arrays_do(mrc, tmp_path):
    write_mrc(tmp_path / "map.mrc", blobs())
    region = write_mrc(tmp_path / "region.mrc", (blobs(2) > 0.1).astype("i1"))
    by_path = dd.pick(str(tmp_path / "map.mrc"), min_size=5, region=region)
    by_array = dd.pick(blobs(), min_size=5, region=blobs(2) > 0.1)
    np.testing.assert_array_equal(by_path.positions, by_array.positions)
    probability = dd.segment(mrc, "demo_network")
    assert probability.dims == ("class", "z", "y", "x") and "ribosome" in probability["class"]
    assert dd.load_model("demo_network").classes == ("ribosome", "fas")


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (0.3, "between 0 and 1|0.3")])
def test_a_region_that_is_no_mask_is_refused(value, words):
    region = np.ones((30, 40, 50), "f4")
    region[3, 4, 5] = value
    with pytest.raises(InputError, match=words):
        dd.pick(blobs(), region=region)


def wrong_inputs():
    network = "demo_network"
    return {
        "a list": (lambda: dd.segment([1, 2], network), "not a list"),
        "an open file": (lambda: dd.open_tomogram(np.ones((3, 3, 3))), "by its path, not by a ndarray"),
        "a string that is no path": (lambda: dd.segment("cell", network), "cell does not exist"),
        "two axes": (lambda: dd.segment(np.ones((3, 4)), network), r"the 2 of shape \(3, 4\)"),
        "four axes without names": (lambda: dd.segment(da.ones((2, 3, 4, 5)), network), "the 4 of shape"),
        "several classes": (
            lambda: dd.label(make_tomogram(np.ones((2, 3, 4, 5)), None, classes=["a", "b"])),
            "not a, b; choose one",
        ),
        "complex voxels": (lambda: dd.extract_spectrum(np.ones((9, 9, 9), complex)), "complex128"),
        "a network that is a number": (lambda: dd.segment(np.ones((9, 9, 9)), 3), "not by a int"),
        "other names of dims": (
            lambda: dd.segment(make_tomogram(np.ones((9, 9, 9)), None).rename(z="q"), network),
            "has dims",
        ),
    }


@pytest.mark.parametrize("name", wrong_inputs())
def test_wrong_inputs_are_sentences(name):
    call, words = wrong_inputs()[name]
    with pytest.raises(InputError, match=words):
        call()


def test_arrays_without_names_are_tomograms_without_voxel_size():
    volume = blobs()
    np.testing.assert_array_equal(
        dd.segment(volume, "demo_network"), dd.segment(da.from_array(volume), "demo_network")
    )
    with pytest.raises(InputError, match="voxel size"):
        dd.equalize(volume, volume)


def test_the_example_of_the_readme_works(tmp_path, monkeypatch):
    from deepict_dask.simulation import simulate_cell

    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code = next(
        c for c in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "import deepict_dask" in c
    )
    monkeypatch.chdir(tmp_path)
    some = {"n_ribosome": 12, "n_fas": 4, "n_vesicles": 0, "organelle_radius": 0, "crowding": 0}
    cell = simulate_cell(shape=(64, 96, 96), seed=3, **some)
    for name in re.findall(r'"([^"]*\.mrc)"', code):
        write_mrc(tmp_path / name, cell.tomogram)
    for name in re.findall(r'"([^"]*\.tsv)"', code):
        from deepict_dask.io.spectra import write_spectrum

        mrc = write_mrc(tmp_path / "target.mrc", cell.tomogram)
        write_spectrum(dd.extract_spectrum(dd.open_tomogram(mrc)).compute(), tmp_path / name)
    names: dict[str, object] = {}
    exec(re.sub(r'"[^"]*\.(pth|safetensors)"', '"demo_network"', code), names)
    assert len(names["particles"]) and (tmp_path / "particles.star").exists()


def test_help_comes_at_once_and_the_package_costs_nothing():
    start = time.perf_counter()
    code = (
        "import sys, deepict_dask; from deepict_dask.cli.main import cli;"
        "print([m for m in ('dask', 'torch', 'zarr', 'xarray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and time.perf_counter() - start < 3


def test_what_is_no_probability_is_refused():
    with pytest.raises(InputError, match="probabilities are between 0 and 1"):
        dd.pick(make_tomogram(blobs() * 255, 10.0))
