"""Voxels that would spoil a run: said, and left out, limited or inverted on request; nothing is ingested again for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.config import load_settings
from deepict_dask.errors import FormatError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.stages.equalize import spectrum_of_file
from deepict_dask.stages.ingest import ingest, open_as_set
from deepict_dask.stages.picking.pick import pick
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from tests.conftest import write_mrc

# Of the random network's output: some dozens of components stand out.
PICK = {"threshold": 0.4, "min_size": 20}
PAD = 1000.0


class Heard(Reporter):
    """Keeps what is said."""

    def __init__(self):
        self.said, self.warned, self.stages = [], [], []

    def say(self, sentence):
        self.said.append(sentence)

    def warn(self, sentence):
        self.warned.append(sentence)

    def progress(self, stage, *args, **kwargs):
        self.stages.append(stage)
        return super().progress(stage, *args, **kwargs)


def go(path, output, network, overwrite=False, until="pick", **options):
    reporter = Heard()
    settings = load_settings(None, {**PICK, **options, "model": str(network)})
    (outcome,) = run(
        plan_run([str(path)], Location.of(output), settings, overwrite=overwrite, until=until),
        threads=1,
        reporter=reporter,
    )
    return outcome, reporter


def picks(output, name="cell"):
    return pd.read_csv(output / name / "particles.csv")


@pytest.fixture(scope="module")
def plain(tmp_path_factory, volume, network):
    folder = tmp_path_factory.mktemp("plain")
    write_mrc(folder / "cell.mrc", volume)
    outcome, reporter = go(folder / "cell.mrc", folder, network)
    assert outcome.error is None and reporter.warned == []
    assert len(picks(folder)) > 10
    return folder


def test_hot_voxels_are_said_and_limited_and_nothing_is_ingested_again(plain, volume, network, tmp_path):
    hot = volume.copy()
    places = np.random.default_rng(1).integers(0, hot.size, 5)
    hot.flat[places] = 1e6
    path = write_mrc(tmp_path / "cell.mrc", hot)
    outcome, reporter = go(path, tmp_path, network)
    assert outcome.error is None and len(picks(tmp_path)) < len(picks(plain)) / 2
    (sentence,) = [s for s in reporter.warned if "--clip" in s]
    assert "voxels of 1000000 lie 249 standard deviations from the mean" in sentence
    stored = open_image(tmp_path / "cell" / "tomogram.zarr")
    assert stored.statistics.std == pytest.approx(hot.std(dtype="f8"), rel=1e-9)
    # Other settings are refused by name, and replaced without reading the file again.
    with pytest.raises(Exception, match=r"clip null and not 6\.0"):
        go(path, tmp_path, network, clip=6)
    outcome, reporter = go(path, tmp_path, network, clip=6, overwrite=True)
    assert outcome.error is None and "ingest" in outcome.kept and reporter.warned == []
    assert [s for s in reporter.stages if s.startswith("statistics")] == [
        f"statistics {i} of 3" for i in (1, 2, 3)
    ]
    ours, right = picks(tmp_path), picks(plain)
    assert abs(len(ours) - len(right)) <= 4
    distance = np.sqrt(
        ((ours[["z", "y", "x"]].to_numpy()[:, None] - right[["z", "y", "x"]].to_numpy()) ** 2).sum(-1)
    )
    assert (distance.min(axis=1) < 1).mean() > 0.85
    np.testing.assert_array_equal(open_image(tmp_path / "cell" / "tomogram.zarr").array[:], hot)
    # What was measured is kept: once more, and nothing is computed.
    outcome, reporter = go(path, tmp_path, network, clip=6)
    assert outcome.kept == {"ingest", "segment", "pick"} and reporter.stages == []


def test_inverted_contrast_gives_the_same_picks(plain, volume, network, tmp_path):
    path = write_mrc(tmp_path / "cell.mrc", -volume)
    outcome, _ = go(path, tmp_path, network, invert=True)
    assert outcome.error is None
    columns = ["z", "y", "x", "size"]
    pd.testing.assert_frame_equal(picks(tmp_path)[columns], picks(plain)[columns])


@pytest.mark.parametrize("tiling", ["exact", "deepict"])
def test_padding_is_left_out_everywhere_and_blocks_of_it_are_not_computed(volume, network, tmp_path, tiling):
    padded = np.full((48, 96, 160), PAD, "f4")
    padded[: volume.shape[0], : volume.shape[1], : volume.shape[2]] = volume
    path = write_mrc(tmp_path / "cell.mrc", padded)
    options = {"tiling": tiling, "block": 40}
    outcome, reporter = go(path, tmp_path, network, **options)
    assert outcome.error is None
    (sentence,) = [s for s in reporter.warned if "--ignore-value" in s]
    assert "58 % of the voxels are 1000" in sentence and "--ignore-value 1000 leaves them out" in sentence
    outcome, reporter = go(path, tmp_path, network, ignore_value=PAD, overwrite=True, **options)
    assert outcome.error is None and "ingest" in outcome.kept and reporter.warned == []
    image = open_image(tmp_path / "cell" / "probability.zarr")
    assert image.attributes["shown"]["mean"] == pytest.approx(volume.mean(dtype="f8"), rel=1e-6)
    manifest = image.manifest
    assert manifest is not None and manifest.computed is not None
    empty = [i for i in manifest.grid if (padded[manifest.grid.region(i)] == PAD).all()]
    assert empty and set(manifest.computed) == set(manifest.grid) - set(empty)
    with pytest.raises(FormatError, match="not computed is not 0"):
        image.array[manifest.grid.region(empty[0])]
    levels = image.array.zeros_where_not_computed()[:]
    assert (levels[padded == PAD] == 0).all() and levels.max() > 100
    table = picks(tmp_path)
    assert len(table) > 10
    at = table[["z", "y", "x"]].round().astype(int).to_numpy()
    assert (padded[tuple(at.T)] != PAD).all()
    # Picking again from the stored map needs no tomogram.
    (picked,) = pick(image, Location.of(tmp_path / "again"), load_settings(None, PICK).pick, Work())
    assert picked.n_particles == len(table)


@pytest.mark.parametrize("convention", ["physical", "deepict"])
def test_padding_stays_out_through_rescaling_and_equalization(volume, network, tmp_path, convention):
    padded = np.full((40, 100, 150), PAD, "f4")
    padded[2 : 2 + volume.shape[0], : volume.shape[1], 20 : 20 + volume.shape[2]] = volume
    path = write_mrc(tmp_path / "cell.mrc", padded, 10.0)
    target = write_mrc(tmp_path / "target.mrc", volume)
    outcome, reporter = go(
        path,
        tmp_path,
        network,
        ignore_value=PAD,
        rescale=True,
        target_spectrum=str(target),
        convention=convention,
    )
    assert outcome.error is None and reporter.warned == []
    for name in ("rescaled", "equalized"):
        image = open_image(tmp_path / "cell" / f"{name}.zarr")
        voxels = image.array[:]
        holes = voxels == np.float32(PAD)
        assert image.attributes["ignore_value"] == PAD
        assert holes.mean() == pytest.approx((padded == PAD).mean(), abs=0.03)
        assert image.statistics.mean == pytest.approx(voxels[~holes].mean(dtype="f8"), rel=1e-6)
        assert image.statistics.std == pytest.approx(voxels[~holes].std(dtype="f8"), rel=1e-6)
        if name == "rescaled":
            # The mean in the holes, and so no edge of a thousand beside them.
            assert abs(voxels[~holes] - volume.mean()).max() < 2 * abs(volume - volume.mean()).max()
    levels = open_image(tmp_path / "cell" / "probability.zarr").array.zeros_where_not_computed()[:]
    assert (levels[holes] == 0).all()


def test_settings_that_leave_nothing_or_nothing_out_are_said(volume, network, tmp_path):
    path = write_mrc(tmp_path / "cell.mrc", volume)
    _, reporter = go(path, tmp_path, network, ignore_value=-12345)
    assert any("no voxel is -12345" in s for s in reporter.warned)
    two = np.where(volume > 0, np.float32(1), np.float32(0))
    path = write_mrc(tmp_path / "two.mrc", two)
    outcome, _ = go(path, tmp_path / "two_out", network, ignore_value=1)
    assert isinstance(outcome.error, FormatError)
    assert "all voxels that are left are 0 with --ignore-value 1" in str(outcome.error)


def test_an_image_of_another_run_is_not_written_to(plain, network, tmp_path):
    image = plain / "cell" / "tomogram.zarr"
    before = (image / "zarr.json").read_bytes()
    settings = load_settings(None, {"clip": 4, "invert": True})
    source = open_as_set(str(image), settings.ingest)
    shown = ingest(source, Location.of(tmp_path / "tomogram.zarr"), settings.ingest, Work())
    assert shown.conditioning is not None and shown.conditioning.invert
    assert shown.provenance.settings["clip"] == 4
    assert (image / "zarr.json").read_bytes() == before


@pytest.mark.parametrize("convention", ["physical", "deepict"])
def test_a_spectrum_leaves_padding_out_too(volume, tmp_path, convention):
    padded = np.full((40, 96, 160), PAD, "f4")
    padded[: volume.shape[0], : volume.shape[1], : volume.shape[2]] = volume
    path = write_mrc(tmp_path / "cell.mrc", padded)
    reporter = Heard()
    spoiled = spectrum_of_file(str(path), convention, reporter=reporter)
    assert any("--ignore-value 1000" in s for s in reporter.warned)
    settings = load_settings(None, {"ignore_value": PAD}).ingest
    ours = spectrum_of_file(str(path), convention, settings)
    right = spectrum_of_file(str(write_mrc(tmp_path / "right.mrc", volume)), convention)
    if convention == "physical":
        # Where this smooth volume has amplitude: beyond, the edge of the padding shows.
        frequency = right.frequency[:10]
        log = [np.log(np.interp(frequency, s.frequency, s.amplitude)) for s in (right, ours, spoiled)]
        assert np.median(abs(log[1] - log[0])) < 0.15 < np.median(abs(log[2] - log[0]))
    else:
        assert not np.allclose(ours.amplitude, spoiled.amplitude, rtol=0.1)
