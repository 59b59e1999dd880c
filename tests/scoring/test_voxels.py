"""Evaluation of maps and masks on disk."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import create_image, update_attributes
from deepict_dask.io.stored_array import StoredArray
from deepict_dask.scoring import voxels as stage
from deepict_dask.scoring.scores import write_evaluation
from deepict_dask.scoring.voxels import evaluate_voxels, is_volume_pair
from tests.conftest import write_mrc
from tests.images import stored_image

SHAPE = (24, 40, 56)


def write_mask(path, mask, voxel_size=10.0):
    return write_mrc(path, mask, voxel_size)


def map_and_truth(seed, dtype="uint8", n_classes=1):
    rng = np.random.default_rng(seed)
    truth = rng.random((n_classes, *SHAPE)) < 0.1
    level = np.clip(rng.normal(0.4, 0.2, truth.shape) + 0.3 * truth, 0, 1)
    return (np.rint(255 * level) if dtype == "uint8" else level).astype(dtype), truth


def stored(path, levels, classes, name):
    stored_image(
        path,
        levels if len(classes) > 1 else levels[0],
        name=name,
        kind="probability",
        classes=classes,
        finish={"scale": 1 / 255} if levels.dtype == np.uint8 else {},
    )
    return path


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_run_folder_against_masks_per_class_and_pooled(tmp_path, dtype):
    from sklearn.metrics import average_precision_score, f1_score

    classes = ["ribosome", "fas"]
    flat: dict[str, list] = {name: [] for name in classes}
    for k, name in enumerate(("TS_1", "TS_2")):
        levels, truth = map_and_truth(k, dtype, 2)
        stored(tmp_path / "run" / name / "probability.zarr", levels, classes, name)
        for i, kind in enumerate(classes):
            folder = tmp_path / "truth" / name
            folder.mkdir(parents=True, exist_ok=True)
            write_mask(folder / f"{kind}.mrc", truth[i].astype(np.int8))
            flat[kind].append((levels[i].ravel(), truth[i].ravel()))
    found = evaluate_voxels(tmp_path / "run", tmp_path / "truth" / "{name}" / "{class}.mrc")
    assert [(s.class_name, s.tomogram) for s in found.tomograms] == [
        (kind, name) for kind in classes for name in ("TS_1", "TS_2")
    ]
    for scores, kind in zip(found.pooled, classes, strict=True):
        level, truth = (np.concatenate(parts) for parts in zip(*flat[kind], strict=True))
        above = level / (255 if dtype == "uint8" else 1) > 0.5
        assert scores.f1 == pytest.approx(f1_score(truth, above), abs=1e-15)
        assert scores.auprc == pytest.approx(
            average_precision_score(truth, level), abs=1e-12 if dtype == "uint8" else 2e-3
        )
        assert scores.curve.recall[-1] == 1 and scores.curve.picked[-1] == truth.size
    write_evaluation(found, Location.of(tmp_path / "out"))
    assert (tmp_path / "out" / "precision_recall.png").stat().st_size > 10_000
    only = evaluate_voxels(
        tmp_path / "run" / "TS_1", tmp_path / "truth" / "TS_1" / "fas.mrc", class_name="fas"
    )
    assert only.pooled[0].row() == found.tomograms[2].row() | {"tomogram": "pooled"}


def test_point_of_a_uint8_curve_is_the_map_with_that_threshold(tmp_path):
    levels, truth = map_and_truth(5)
    stored(tmp_path / "probability.zarr", levels, ["ribosome"], "a")
    write_mask(tmp_path / "mask.mrc", truth[0].astype(np.int8))
    curve = evaluate_voxels(tmp_path / "probability.zarr", tmp_path / "mask.mrc").pooled[0].curve
    for k in (0, len(curve) // 2, len(curve) - 1):
        above = levels[0] / 255 >= curve.thresholds[k] - 1e-9
        assert (curve.picked[k], curve.hits[k]) == (above.sum(), (above & truth[0]).sum())
    assert len(curve) == len(np.unique(levels))


def test_truth_of_the_tomogram_is_shown_in_the_voxels_of_its_map(tmp_path):
    levels, truth = map_and_truth(6)
    fine = np.zeros([2 * n - 1 for n in SHAPE], np.int8)
    fine[::2, ::2, ::2] = truth[0]
    # What lies between is no map voxel's nearest.
    fine[1::2] = 1
    stored(tmp_path / "probability.zarr", levels, ["ribosome"], "a")
    update_attributes(
        tmp_path / "probability.zarr", own_shape=list(fine.shape), own_voxel_size=[5.0, 5.0, 5.0]
    )
    write_mask(tmp_path / "coarse.mrc", truth[0].astype(np.int8))
    write_mask(tmp_path / "fine.mrc", fine, 5.0)
    coarse, same = (
        evaluate_voxels(tmp_path / "probability.zarr", tmp_path / f"{kind}.mrc").pooled[0]
        for kind in ("coarse", "fine")
    )
    assert coarse.row() == same.row() and same.n_truth == truth[0].sum()


def test_masks_have_scores_and_no_curve(tmp_path):
    _, truth = map_and_truth(0)
    other = np.roll(truth[0], 1, axis=2)
    a = write_mask(tmp_path / "a.mrc", other.astype(np.int8))
    b = write_mask(tmp_path / "b.mrc", truth[0].astype(np.int8) * 3)
    scores = evaluate_voxels(a, b).pooled[0]
    both = (other & truth[0]).sum()
    assert (scores.n_matched, scores.precision) == (both, pytest.approx(both / other.sum()))
    assert scores.curve is None and np.isnan(scores.auprc)
    assert evaluate_voxels(a, b, truth_value=2).pooled[0].n_truth == 0


def test_no_block_is_larger_than_asked_and_their_size_does_not_show(tmp_path, monkeypatch):
    levels, truth = map_and_truth(7)
    stored(tmp_path / "probability.zarr", levels, ["ribosome"], "a")
    write_mask(tmp_path / "mask.mrc", truth[0].astype(np.int8))
    whole = evaluate_voxels(tmp_path / "probability.zarr", tmp_path / "mask.mrc").pooled[0]
    sizes = []
    plain = StoredArray.__getitem__

    def measured(self, region):
        block = plain(self, region)
        sizes.append(block.shape)
        return block

    monkeypatch.setattr(StoredArray, "__getitem__", measured)
    monkeypatch.setattr(stage, "_BLOCK", 16)
    cut = evaluate_voxels(tmp_path / "probability.zarr", tmp_path / "mask.mrc").pooled[0]
    assert cut.row() == whole.row() and (cut.curve.hits == whole.curve.hits).all()
    # Dask asks once for nothing to learn the type.
    read = [s for s in sizes if min(s)]
    assert max(max(s) for s in read) <= 16 and sum(map(np.prod, read)) == np.prod(SHAPE)


def test_workers_of_a_cluster_give_the_same(tmp_path, client):
    levels, truth = map_and_truth(8)
    stored(tmp_path / "probability.zarr", levels, ["ribosome"], "a")
    write_mask(tmp_path / "mask.mrc", truth[0].astype(np.int8))
    scores = evaluate_voxels(tmp_path / "probability.zarr", tmp_path / "mask.mrc").pooled[0]
    above = levels[0] / 255 > 0.5
    assert (scores.n_picked, scores.n_matched) == (above.sum(), (above & truth[0]).sum())


def test_what_kind_of_pair_it_is_is_told_by_the_truth(tmp_path):
    assert is_volume_pair("run", "truth/{name}/mask.mrc.gz")
    assert not is_volume_pair("run", "truth/{name}/particles.csv")
    assert not is_volume_pair("run", str(tmp_path))
    levels, _ = map_and_truth(0)
    assert is_volume_pair("run", str(stored(tmp_path / "truth.zarr", levels, ["a"], "a")))


def test_mistakes_are_sentences(tmp_path):
    levels, truth = map_and_truth(0)
    path = stored(tmp_path / "run" / "a" / "probability.zarr", levels, ["ribosome"], "a")
    mask = write_mask(tmp_path / "mask.mrc", truth[0, 1:].astype(np.int8))
    with pytest.raises(InputError, match="23 x 40 x 56 voxels of 10 A, but the tomogram has 24 x 40 x 56"):
        evaluate_voxels(path, mask)
    with pytest.raises(InputError, match="no class 'fas'"):
        evaluate_voxels(path, mask, class_name="fas")
    stored(tmp_path / "run" / "b" / "probability.zarr", levels, ["ribosome"], "b")
    with pytest.raises(InputError, match=r"write \{name\}"):
        evaluate_voxels(tmp_path / "run", mask)
    good = write_mask(tmp_path / "good.mrc", truth[0].astype(np.int8))
    with pytest.raises(InputError, match="given twice"):
        evaluate_voxels(path, good, pairs=[(path, good)])
    unfinished = tmp_path / "unfinished.zarr"
    create_image(
        unfinished,
        shape=SHAPE,
        dtype="u1",
        voxel_size=(1, 1, 1),
        name="c",
        core=(8, 8, 8),
        n_levels=1,
        kind="probability",
    )
    with pytest.raises(InputError, match="never finished"):
        evaluate_voxels(unfinished, good)


def test_a_map_written_anew_is_read_anew(tmp_path):
    # Dask may keep results by name within a process.
    levels, truth = map_and_truth(0)
    mask = write_mask(tmp_path / "mask.mrc", truth[0].astype(np.int8))
    path = stored(tmp_path / "probability.zarr", levels, ["ribosome"], "a")
    first = evaluate_voxels(path, mask).pooled[0]
    shutil.rmtree(path)
    stored(path, 255 - levels, ["ribosome"], "a")
    assert evaluate_voxels(path, mask).pooled[0].n_picked != first.n_picked
