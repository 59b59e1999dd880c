"""Evaluation of picks: tables, folders, classes, pooling, files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepict_dask.errors import InputError, MissingFileError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.tables import write_particles
from deepict_dask.kernels.matching import match
from deepict_dask.particles import Particles
from deepict_dask.scoring.picks import evaluate
from deepict_dask.scoring.scores import check_output, write_evaluation
from deepict_dask.stages.report import Reporter

EDGE = (13.48, 13.48, 13.48)


def some(n, seed, shift=0.0, **others):
    rng = np.random.default_rng(seed)
    positions = rng.random((n, 3)) * [40, 80, 120] + shift
    return Particles.from_positions(positions, score=rng.random(n), **others)


def truth_csv(path: Path, **classes: Particles) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["class,z,y,x"]
    lines += [f"{name},{z!r},{y!r},{x!r}" for name, p in classes.items() for z, y, x in p.positions.tolist()]
    path.write_text("\n".join(lines) + "\n")
    return path


class Warnings(Reporter):
    def __init__(self):
        self.sentences = []

    def warn(self, sentence):
        self.sentences.append(sentence)


def test_figures_are_those_of_the_scoring_script(shared, tmp_path):
    reference = shared / "data" / "phantom" / "TS_014" / "particles.csv"
    truth = np.array(
        [
            [float(row[a]) for a in "zyx"]
            for row in csv.DictReader(reference.open())
            if row["class"] == "ribosome"
        ]
    )
    rng = np.random.default_rng(0)
    moved = truth[:250] + rng.normal(0, 4, (250, 3))
    found = np.concatenate([moved, rng.random((80, 3)) * [128, 400, 400]])
    picks = Particles.from_positions(found, score=rng.random(330), voxel_size=EDGE)
    path = write_particles(picks, tmp_path / "TS_014" / "particles.csv")
    for tolerance in (30.0, 60.0, 135.0):
        scores = evaluate(path, reference, class_name="ribosome", tolerance=tolerance).pooled[0]
        command = [sys.executable, shared / "tools" / "score_picks.py", path, reference]
        said = subprocess.run(
            [*command, "--class", "ribosome", "--tolerance", str(tolerance)], capture_output=True, text=True
        ).stdout
        assert (
            said.split()
            == (
                f"picks {scores.n_picked} reference {scores.n_truth} matched {scores.n_matched} precision "
                f"{scores.precision:.3f} recall {scores.recall:.3f} F1 {scores.f1:.3f}"
            ).split()
        )
        assert 0 < scores.n_matched < 323


def test_the_curve_ends_at_the_scores_of_all_picks():
    picks, truth = some(60, 0), some(50, 1)
    scores = evaluate(picks, truth, voxel_size=10, tolerance=80).pooled[0]
    assert 0 < scores.n_matched < 50
    assert scores.curve.precision[-1] == scores.precision
    assert scores.curve.recall[-1] == scores.recall
    assert scores.curve.f1[-1] == pytest.approx(scores.f1)
    assert scores.best_f1 >= scores.f1
    above = picks.score >= scores.best_threshold
    alone = match(picks.positions[above], truth.positions, 8.0)
    assert alone.f1 == pytest.approx(scores.best_f1)


def test_tolerance_is_in_angstrom_along_every_axis_and_includes_its_end():
    picks = Particles.from_positions([[10, 10, 10]], voxel_size=(10.0, 20.0, 40.0), score=np.ones(1))
    for axis, voxels in enumerate((4, 2, 1)):
        there = np.array([[10.0, 10.0, 10.0]])
        there[0, axis] += voxels
        truth = Particles.from_positions(there)
        assert evaluate(picks, truth, tolerance=40).pooled[0].n_matched == 1
        assert evaluate(picks, truth, tolerance=39.9).pooled[0].n_matched == 0


def test_picks_and_truth_in_voxels_of_different_size_meet_in_angstrom():
    truth = some(20, 0, voxel_size=(5.0, 5.0, 5.0))
    picks = truth.scaled(0.5)
    assert evaluate(picks, truth, tolerance=0.01).pooled[0].f1 == 1
    assert evaluate(picks, truth, tolerance=0.01, voxel_size=5).pooled[0].f1 < 0.1


def test_folders_are_paired_by_tomogram_and_class_and_pooled_by_counts(tmp_path):
    for name, seed in (("TS_1", 0), ("TS_2", 10)):
        for k, kind in enumerate(("ribosome", "fas")):
            picks = some(30, seed + k, class_name=kind, voxel_size=EDGE)
            write_particles(picks, tmp_path / "run" / name / f"particles_{kind}.csv")
            write_particles(picks, tmp_path / "run" / name / f"particles_{kind}_motl.csv")
        truth_csv(
            tmp_path / "truth" / name / "particles.csv",
            ribosome=some(30 + seed, seed),
            fas=some(25, seed + 1, shift=3),
            tric=some(4, 5),
        )
    found = evaluate(tmp_path / "run", tmp_path / "truth")
    assert [(s.class_name, s.tomogram) for s in found.tomograms] == [
        ("fas", "TS_1"),
        ("fas", "TS_2"),
        ("ribosome", "TS_1"),
        ("ribosome", "TS_2"),
    ]
    fas, ribosome = found.pooled
    assert (ribosome.n_picked, ribosome.n_truth) == (60, 70)
    for name in ("n_picked", "n_truth", "n_matched"):
        assert getattr(fas, name) == sum(getattr(s, name) for s in found.tomograms[:2])
    assert fas.precision == fas.n_matched / 60
    assert fas.curve.hits[-1] == fas.n_matched
    # A pattern and single pairs say the same.
    again = evaluate(tmp_path / "run", tmp_path / "truth" / "{name}" / "particles.csv", class_name="fas")
    pairs = [(tmp_path / "run" / n, tmp_path / "truth" / n) for n in ("TS_1", "TS_2")]
    third = evaluate(*pairs[0], pairs=pairs[1:], class_name="fas")
    for other in (again, third):
        assert [s.row() for s in other.pooled] == [fas.row()]
        assert len(other.tomograms) == 2


def test_tomograms_without_a_partner_are_left_out_with_a_warning(tmp_path):
    for name in ("a", "b"):
        write_particles(some(5, 0, voxel_size=EDGE), tmp_path / "run" / name / "particles.csv")
    for name in ("b", "c"):
        truth_csv(tmp_path / "truth" / f"{name}.csv", ribosome=some(5, 0))
    warned = Warnings()
    found = evaluate(tmp_path / "run", tmp_path / "truth", reporter=warned)
    assert [s.tomogram for s in found.tomograms] == ["b"]
    assert len(warned.sentences) == 2 and "a" in warned.sentences[0] and "c" in warned.sentences[1]


def test_one_table_each_is_a_pair_whatever_their_names(tmp_path):
    picks = write_particles(some(5, 0, voxel_size=EDGE, shape=(90, 80, 70)), tmp_path / "x.csv")
    truth = truth_csv(tmp_path / "cell_truth.csv", ribosome=some(5, 0), fas=some(7, 1))
    scores = evaluate(picks, truth, class_name="ribosome").pooled[0]
    assert (scores.f1, scores.class_name, scores.n_truth) == (1, "ribosome", 5)


def test_runs_of_files_that_all_have_one_name_are_told_apart_by_the_truth(tmp_path):
    pairs = []
    for name in ("TS_1", "TS_2"):
        picks = write_particles(
            some(5, 0, voxel_size=EDGE), tmp_path / f"run_{name}" / "tomogram" / "particles.csv"
        )
        pairs.append((picks, truth_csv(tmp_path / name / "particles.csv", ribosome=some(5, 0))))
    found = evaluate(*pairs[0], pairs=pairs[1:])
    assert [s.tomogram for s in found.tomograms] == ["TS_1", "TS_2"]
    with pytest.raises(InputError, match="given twice"):
        evaluate(*pairs[0], pairs=pairs[:1])


def test_no_picks_score_zero_and_no_score_gives_no_area(tmp_path):
    empty = write_particles(some(0, 0, voxel_size=EDGE), tmp_path / "run" / "a" / "particles.csv")
    truth = truth_csv(tmp_path / "truth.csv", ribosome=some(5, 0))
    scores = evaluate(empty, truth, voxel_size=10).pooled[0]
    assert (scores.precision, scores.recall, scores.f1, scores.auprc) == (0, 0, 0, 0)
    without = evaluate(truth, truth, voxel_size=10).pooled[0]
    assert without.f1 == 1 and without.curve is None and np.isnan(without.auprc)


def test_the_file_beside_a_table_says_the_voxel_size_of_no_picks(tmp_path):
    path = write_particles(some(0, 0), tmp_path / "a" / "particles.csv")
    side = {"complete": True, "tomogram": "a", "voxel_size": EDGE, "class": "ribosome", "made_by": {}}
    (tmp_path / "a" / "particles.json").write_text(json.dumps(side))
    truth = truth_csv(tmp_path / "truth.csv", ribosome=some(5, 0), fas=some(9, 1))
    scores = evaluate(path, truth).pooled[0]
    assert (scores.class_name, scores.n_truth, scores.recall) == ("ribosome", 5, 0)


@pytest.mark.parametrize(
    "change, word",
    [
        ({}, "choose one with --class"),
        ({"class_name": "tric"}, "no class 'tric'"),
        ({"class_name": "fas", "tolerance": 0}, "not a positive distance"),
        ({"class_name": "fas", "voxel_size": -1}, "voxel size in A is one positive number"),
    ],
)
def test_mistakes_are_sentences(tmp_path, change, word):
    picks = write_particles(some(5, 0, voxel_size=EDGE), tmp_path / "picks.csv")
    truth = truth_csv(tmp_path / "truth.csv", ribosome=some(5, 0), fas=some(7, 1))
    with pytest.raises(InputError, match=word):
        evaluate(picks, truth, **change)


def test_an_unknown_voxel_size_and_missing_files_are_sentences(tmp_path):
    table = truth_csv(tmp_path / "truth.csv", ribosome=some(5, 0))
    with pytest.raises(InputError, match="--voxel-size"):
        evaluate(table, table)
    with pytest.raises(MissingFileError, match=r"nothing\.csv"):
        evaluate(table, tmp_path / "nothing.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no particle table"):
        evaluate(tmp_path / "empty", table)


def test_files_hold_the_scores_and_a_picture(tmp_path):
    picks, truth = some(60, 0, tomogram="a", class_name="fas"), some(50, 1)
    found = evaluate(picks, truth, voxel_size=10, tolerance=80)
    check_output(Location.of(tmp_path / "out"))
    written = write_evaluation(found, Location.of(tmp_path / "out"))
    assert {p.name for p in written} == {
        "scores.csv",
        "curves.csv",
        "precision_recall.png",
        "evaluation.json",
    }
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert [row["tomogram"] for row in rows] == ["a", "pooled"]
    assert float(rows[1]["auprc"]) == found.pooled[0].auprc
    points = list(csv.DictReader((tmp_path / "out" / "curves.csv").open()))
    last = [p for p in points if p["tomogram"] == "pooled"][-1]
    assert (float(last["precision"]), float(last["recall"])) == (
        found.pooled[0].precision,
        found.pooled[0].recall,
    )
    side = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert side["complete"] and side["pooled"][0]["f1"] == found.pooled[0].f1
    assert side["made_by"]["settings"]["tolerance"] == 80
    import matplotlib.image

    pixels = matplotlib.image.imread(tmp_path / "out" / "precision_recall.png")
    assert pixels.shape[1] > 1000 and pixels.std() > 0.05
    with pytest.raises(OutputExistsError, match="--overwrite"):
        check_output(Location.of(tmp_path / "out"))
    check_output(Location.of(tmp_path / "out"), overwrite=True)


def test_json_of_picks_without_scores_has_null_and_no_picture(tmp_path):
    table = truth_csv(tmp_path / "truth.csv", ribosome=some(5, 0))
    write_evaluation(evaluate(table, table, voxel_size=10), Location.of(tmp_path / "out"))
    side = json.loads((tmp_path / "out" / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert side["pooled"][0]["auprc"] is None
    assert not (tmp_path / "out" / "precision_recall.png").exists()
