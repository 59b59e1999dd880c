"""Cross-validation: folds as Dask tasks."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepict_dask.config.sweep import CrossValidateSettings, FoldSettings
from deepict_dask.engine.dispatch import Post
from deepict_dask.errors import InputError, OutputExistsError, WorkError
from deepict_dask.io.location import Location
from deepict_dask.learning.studies.crossvalidate import crossvalidate as crossvalidate_with
from deepict_dask.learning.studies.fold import make_fold, run_fold
from deepict_dask.learning.studies.split import prepare_tomograms, split_folds
from deepict_dask.networks.checkpoint import load_checkpoint
from deepict_dask.scoring.picks import evaluate
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from tests.conftest import write_mrc
from tests.learning.cells import training_tree, write_cells


def crossvalidate(settings, reporter=None, overwrite=False):
    return crossvalidate_with(settings, Work(reporter or Reporter(), overwrite))


NAMES = "abcd"


class Listening(Reporter):
    def __init__(self):
        self.said, self.warned = [], []

    def say(self, sentence):
        self.said.append(sentence)

    def warn(self, sentence):
        self.warned.append(sentence)


@given(n=st.integers(2, 20), k=st.integers(2, 6), seed=st.integers(0, 9), shuffle=st.booleans())
def test_folds_are_disjoint_and_hold_every_tomogram_out_once(n, k, seed, shuffle):
    names = [f"TS_{i}" for i in range(n)]
    settings = FoldSettings(folds=k, seed=seed, shuffle=shuffle)
    if n < k:
        with pytest.raises(InputError, match=f"need {k} tomograms, but there are {n}"):
            split_folds(names, settings)
        return
    folds = split_folds(names, settings)
    assert len(folds) == k and split_folds(names, settings) == folds
    assert sorted(name for fold in folds for name in fold) == sorted(names)
    assert max(map(len, folds)) - min(map(len, folds)) <= 1


def test_the_papers_folds_are_three_times_two_of_ten():
    folds = split_folds([f"TS_{i}" for i in range(10)], FoldSettings(folds=3, held_out=2))
    assert [len(f) for f in folds] == [2, 2, 2] and len({n for f in folds for n in f}) == 6


def test_folds_may_be_named_and_mistakes_are_said():
    assert split_folds("abc", FoldSettings(folds=[["c"], ["a"]])) == [("c",), ("a",)]
    for folds, said in (
        ([["a"], ["x"]], "no tomogram 'x' to hold out"),
        ([["a"], ["b", "a"]], "'a' is held out twice"),
        ([["a", "b", "c"]], "holds out all tomograms"),
    ):
        with pytest.raises(InputError, match=said):
            split_folds("abc", FoldSettings(folds=folds))


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return write_cells(tmp_path_factory.mktemp("cells"), NAMES)


def settings(cells, output, names=NAMES, training=None, **others):
    tree = {
        "output": str(output),
        "training": training_tree(cells, names, **(training or {})),
        "folds": {"folds": 2, "shuffle": False},
        "segment": {"runtime": "torch", "device": "cpu", "dtype": "float32"},
        "pick": {"min_size": 5, "threshold": 0.4},
    }
    return CrossValidateSettings.model_validate(tree | others)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("crossvalidation")


@pytest.fixture
def done(client, cells, output):
    """A cross-validation that is done; made by the first test that asks."""
    return crossvalidate(settings(cells, output))


def test_each_fold_is_trained_without_and_judged_by_what_it_holds_out(done, cells, output):
    assert [f.held_out for f in done.folds] == [("a", "b"), ("c", "d")]
    assert not any(f.error for f in done.folds)
    for fold, seen in zip(done.folds, (("c", "d"), ("a", "b")), strict=True):
        card = load_checkpoint(fold.result.model).card
        assert card.training_data == seen and card.name == f"tiny_{fold.name}"
        assert {r["tomogram"] for r in fold.result.tomograms} == set(fold.held_out)
        folder = output / "folds" / fold.name
        assert (folder / "evaluation" / "evaluation.json").exists()
        # The same numbers as from the command on the tables that were left.
        picks = [(folder / "held_out" / n / "particles.csv", cells / f"{n}.csv") for n in fold.held_out]
        again = evaluate(
            *map(str, picks[0]),
            pairs=[tuple(map(str, p)) for p in picks[1:]],
            class_name="ribosome",
            voxel_size=13.48,
        ).pooled[0]
        row = fold.result.pooled[0]
        assert (row["n_picked"], row["n_truth"], row["n_matched"]) == (again.n_picked, 6, again.n_matched)
        assert row["f1"] == pytest.approx(again.f1)


def test_the_table_has_every_fold_and_mean_and_deviation(done, output):
    rows = list(csv.DictReader((output / "folds.csv").open()))
    assert [r["fold"] for r in rows] == ["fold_1", "fold_2", "mean", "std"]
    for name in ("f1", "recall", "validation_dice"):
        values = [float(r[name]) for r in rows[:2]]
        assert float(rows[2][name]) == pytest.approx(statistics.fmean(values))
        assert float(rows[3][name]) == pytest.approx(statistics.stdev(values))
    assert (output / "crossvalidation.png").read_bytes().startswith(b"\x89PNG")
    side = json.loads((output / "crossvalidation.json").read_text())
    assert side["complete"] and len(side["folds"]) == 2
    assert [r["tomogram"] for r in csv.DictReader((output / "tomograms.csv").open())] == list("abcd")


def test_a_second_run_trains_nothing_and_finds_the_same(done, cells, output):
    models = [output / "folds" / f.name / f"tiny_{f.name}.safetensors" for f in done.folds]
    before = [(m.stat().st_mtime_ns, m.read_bytes()) for m in models]
    reporter = Listening()
    again = crossvalidate(settings(cells, output), reporter)
    assert again.rows == done.rows and again.summary == done.summary
    assert [(m.stat().st_mtime_ns, m.read_bytes()) for m in models] == before
    assert "2 folds, 0 of them to do" in reporter.said
    assert not any("epoch" in s for s in reporter.said)


def test_only_what_is_missing_is_done_again(done, cells, output):
    (output / "folds" / "fold_2" / "result.json").unlink()
    reporter = Listening()
    again = crossvalidate(settings(cells, output), reporter)
    assert "2 folds, 1 of them to do" in reporter.said
    # The training was complete; it is not repeated either.
    assert not any("epoch 1 of" in s for s in reporter.said)
    assert again.summary == done.summary


def test_results_of_other_settings_are_not_mixed(done, cells, output):
    with pytest.raises(
        OutputExistsError, match="result.json was made with training: fit: learning_rate 0.01 and not 0.02"
    ):
        crossvalidate(settings(cells, output, training={"fit": {"learning_rate": 0.02}}))


def test_a_fold_that_fails_is_reported_and_the_others_are_kept(client, cells, tmp_path):
    for n in "bc":
        pd.DataFrame({"class": ["fas"], "z": [14], "y": [20], "x": [20]}).to_csv(
            tmp_path / f"{n}.csv", index=False
        )
    tree = training_tree(cells, "abcd")
    tree["classes"].append({"name": "fas", "radius": 6, "unit": "voxels"})
    # Class fas is in tomogram d alone: nothing can be learned of it where d is held out.
    table = pd.concat([pd.read_csv(cells / "d.csv"), pd.read_csv(tmp_path / "b.csv")])
    table.to_csv(tmp_path / "d.csv", index=False)
    tree["tomograms"][3]["positions"] = str(tmp_path / "d.csv")
    reporter = Listening()
    found = crossvalidate(
        settings(cells, tmp_path / "out", training=tree, folds={"folds": [["a"], ["d"]]}), reporter
    )
    good, bad = found.folds
    assert good.error is None and good.result.pooled
    assert bad.result is None and "class 'fas' is labelled nowhere" in str(bad.error)
    assert any(s.startswith("fold_2 failed: class 'fas'") for s in reporter.warned)
    rows = list(csv.DictReader((tmp_path / "out" / "folds.csv").open()))
    assert [(r["fold"], r["status"]) for r in rows if r["status"] in ("done", "failed")][-1] == (
        "fold_2",
        "failed",
    )
    assert "class 'fas'" in next(r["error"] for r in rows if r["fold"] == "fold_2")
    assert not json.loads((tmp_path / "out" / "crossvalidation.json").read_text())["complete"]


def test_without_a_cluster_masks_are_judged_by_voxels(cells, tmp_path):
    tomograms = []
    for name in "abc":
        with mrcfile.open(cells / f"{name}.mrc") as file:
            shape = file.data.shape
        grid = np.stack(np.indices(shape), -1)
        centers = pd.read_csv(cells / f"{name}.csv")[["z", "y", "x"]].to_numpy()
        near = (np.linalg.norm(grid[..., None, :] - centers, axis=-1) <= 6).any(-1)
        mask = write_mrc(tmp_path / f"{name}_mask.mrc", near.astype("i1"))
        tomograms.append({"tomogram": str(cells / f"{name}.mrc"), "masks": {"ribosome": str(mask)}})
    hardware = {"device": "cpu", "threads": 1}
    found = crossvalidate(
        settings(
            cells,
            tmp_path / "out",
            training={"tomograms": tomograms, "hardware": hardware},
            folds={"folds": [["b"]]},
            judge={"keep_maps": False},
        )
    )
    (row,) = found.rows
    with mrcfile.open(tmp_path / "b_mask.mrc") as file:
        assert row["kind"] == "voxels" and row["n_truth"] == np.count_nonzero(file.data)
    assert not (tmp_path / "out" / "folds" / "fold_1" / "held_out" / "b" / "probability.zarr").exists()


def test_classes_with_masks_are_judged_by_voxels_beside_those_with_positions(cells, tmp_path):
    tree = training_tree(cells, "abc", hardware={"device": "cpu", "threads": 1})
    tree["classes"].append({"name": "slab"})
    for t in tree["tomograms"]:
        with mrcfile.open(t["tomogram"]) as file:
            slab = np.zeros(file.data.shape, "i1")
        slab[:, :20] = 1
        t["masks"] = {"slab": str(write_mrc(tmp_path / Path(t["tomogram"]).name, slab))}
    found = crossvalidate(settings(cells, tmp_path / "out", training=tree, folds={"folds": [["b"]]}))
    rows = {row["class"]: row for row in found.rows}
    assert rows["ribosome"]["kind"] == "picks" and rows["slab"]["kind"] == "voxels"
    assert rows["slab"]["n_truth"] == np.count_nonzero(slab) and len(found.rows) == 2
    assert rows["ribosome"]["n_truth"] == len(pd.read_csv(cells / "b.csv"))


def test_only_the_annotated_part_of_a_tomogram_is_judged(cells, tmp_path):
    tree = training_tree(cells, "abc", hardware={"device": "cpu", "threads": 1})
    truth = pd.read_csv(cells / "b.csv")
    stop = int(truth["x"].sort_values().iloc[1]) + 1
    tree["tomograms"][1]["box"] = {"x": [0, stop]}
    found = crossvalidate(settings(cells, tmp_path, training=tree, folds={"folds": [["b"]]}))
    (row,) = found.rows
    assert row["n_truth"] == (truth["x"] < stop - 0.5).sum() < len(truth)


def test_too_few_tomograms_to_validate_with_are_said_at_once(cells, tmp_path):
    split = {"split": "tomogram", "validation": 0.2}
    with pytest.raises(
        InputError, match="a fold has 1 to train on, and none to validate with; set split: patch"
    ):
        crossvalidate(settings(cells, tmp_path, names="ab", training={"split": split}))


def test_a_fold_that_nobody_waited_for_goes_on_later_to_the_same_network(cells, tmp_path):
    def fold(name):
        whole = settings(
            cells, tmp_path, training={"fit": {"epochs": 3}, "hardware": {"device": "cpu", "threads": 1}}
        )
        training, identity = prepare_tomograms(whole, Work())
        return make_fold("fold_1", Location.of(tmp_path / name), training, (), whole, identity, False)

    def interrupted(message):
        epochs.append(message.get("epoch"))

    epochs: list = []
    with pytest.raises(WorkError, match="given up after epoch 2"):
        run_fold(fold("cut"), Post(1, interrupted, lambda: 2 not in epochs))
    assert fold("cut").result() is None
    epochs.clear()
    found = run_fold(fold("cut"), Post(1, interrupted))
    assert [e for e in epochs if e] == [2, 3]
    whole = run_fold(fold("whole"), Post(1))
    assert found.history == whole.history and len(whole.history) == 3
    a, b = (load_checkpoint(r.model) for r in (found, whole))
    assert all(np.array_equal(a.state[n], b.state[n]) for n in b.state)


def test_workers_in_this_process_do_not_wait_for_each_other(cells, tmp_path):
    from distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None):
        found = crossvalidate(settings(cells, tmp_path, names="ab", training={"fit": {"epochs": 1}}))
    assert all(f.error is None for f in found.folds)
