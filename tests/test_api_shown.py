"""Voxels that would spoil others, from Python: left out, limited, inverted, by the words of the command line."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pandas as pd
import pytest

import deepict_dask as dd
from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.config import load_settings
from deepict_dask.errors import SettingsError
from deepict_dask.io.location import Location
from deepict_dask.tomogram import tomogram as make_tomogram
from tests.conftest import write_mrc

PAD = -500.0


@pytest.fixture
def spoiled(volume):
    """Padding, and hot voxels, of bright density."""
    padded = np.full((44, 90, 160), PAD, "f4")
    padded[: volume.shape[0], : volume.shape[1], : volume.shape[2]] = -volume
    padded[3, 4, 5] = padded[20, 50, 60] = 1e6
    return padded


ASKED = {"clip": 6, "ignore_value": PAD, "invert": True}


@pytest.mark.parametrize("convention", ["physical", "deepict"])
def test_it_is_what_the_command_line_does_on_every_chunking(spoiled, volume, network, tmp_path, convention):
    path = write_mrc(tmp_path / "cell.mrc", spoiled)
    target = str(write_mrc(tmp_path / "target.mrc", volume))
    options = {**ASKED, "target_spectrum": target, "convention": convention, "model": str(network)}
    settings = load_settings(None, {**options, "threshold": 0.401, "min_size": 20})
    (outcome,) = run(plan_run([str(path)], Location.of(tmp_path / "run"), settings), threads=1)
    assert outcome.error is None
    tables = []
    for chunk in ((44, 90, 160), (13, 50, 37)):
        lazy = make_tomogram(da.from_array(spoiled, chunk), 13.48, "cell")
        equalized = dd.equalize(lazy, dd.extract_spectrum(target, convention), convention, **ASKED)
        assert equalized.attrs["ignore_value"] == PAD
        np.testing.assert_array_equal(equalized.values == np.float32(PAD), spoiled == np.float32(PAD))
        # It says itself what is left out.
        probability = dd.segment(equalized, str(network))
        np.testing.assert_array_equal(probability.values[spoiled == np.float32(PAD)], 0)
        # Physical filters may end earlier in Python, where the gain is not known when the halo is chosen.
        by_cli = dd.open_run(tmp_path / "run")["cell"].open("equalized")
        holes, tolerance = by_cli.values == np.float32(PAD), 0.02 if convention == "physical" else 1e-6
        np.testing.assert_array_equal(holes, spoiled == np.float32(PAD))
        difference = (equalized.values - by_cli.values)[~holes]
        assert difference.std() < tolerance * by_cli.values[~holes].std()
        tables.append(dd.pick(np.rint(probability * 255) / 255, threshold=0.401, min_size=20).to_dataframe())
    pd.testing.assert_frame_equal(*tables)
    table = pd.read_csv(tmp_path / "run" / "cell" / "particles.csv")
    assert len(table) > 10 and abs(len(table) - len(tables[0])) < 4
    if convention == "deepict":
        np.testing.assert_allclose(tables[0][["z", "y", "x"]], table[["z", "y", "x"]], atol=1e-6)


def test_what_spoils_a_tomogram_is_a_python_warning(spoiled, network, tmp_path):
    path = write_mrc(tmp_path / "cell.mrc", spoiled)
    with pytest.warns(UserWarning, match="--ignore-value -500 leaves them out"):
        dd.segment(path, str(network)).compute()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dd.segment(path, str(network), **ASKED).compute()
    settings = load_settings(None, {"model": str(network), "ignore_value": PAD, "block": 32})
    (outcome,) = run(plan_run([str(path)], Location.of(tmp_path / "run"), settings), threads=1)
    assert outcome.error is None
    with pytest.warns(UserWarning, match="--clip 6"):
        dd.open_tomogram(tmp_path / "run" / "cell" / "tomogram.zarr")
    # Blocks of padding alone were not computed, which is said where they are shown.
    with pytest.warns(UserWarning, match="blocks of .*probability.zarr were not computed"):
        probability = dd.open_run(tmp_path / "run")["cell"].probability
    assert (probability.values[spoiled == np.float32(PAD)] == 0).all()
    assert len(dd.pick(probability, threshold=0.1, min_size=1)) > 0


def test_a_setting_out_of_range_is_refused_before_anything_is_computed(spoiled, network):
    with pytest.raises(SettingsError, match="clip"):
        dd.segment(spoiled, str(network), clip=1)
    with pytest.raises(SettingsError, match="ignore_value"):
        dd.extract_spectrum(spoiled, "deepict", ignore_value=float("nan"))
