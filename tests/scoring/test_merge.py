"""Union of tables and run folders."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.tables import read_particles, write_particles
from deepict_dask.io.tables.files import find_tables
from deepict_dask.particles import Particles, VoxelGrid
from deepict_dask.scoring.merge import merge, merge_particles

EDGE = (10.0, 10.0, 10.0)


def some(n, seed, **others):
    rng = np.random.default_rng(seed)
    unknown = {"score": rng.integers(0, 20, n) / 20, "size": rng.integers(0, 9, n)} | others
    return Particles.from_positions(np.rint(rng.random((n, 3)) * [8, 16, 24]), **unknown)


def rows(p):
    return np.column_stack([p.positions, p.score, p.size]).tolist()


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 30), m=st.integers(0, 30), seed=st.integers(0, 99))
def test_union_does_not_depend_on_the_order_of_tables_and_rows(n, m, seed):
    a, b = some(n, seed), some(m, seed + 1)
    union = merge_particles([a, b], (2, 3, 4), unit="voxel")
    everything = np.array(rows(a) + rows(b)).reshape(-1, 5)
    shuffled = everything[np.random.default_rng(seed).permutation(n + m)]
    one = Particles.from_positions(shuffled[:, :3], score=shuffled[:, 3], size=shuffled[:, 4].astype(int))
    for other in (
        merge_particles([b, a], (2, 3, 4), unit="voxel"),
        merge_particles([one], (2, 3, 4), unit="voxel"),
    ):
        assert rows(other) == rows(union)
    assert union.label.tolist() == list(range(1, len(union) + 1))
    assert (np.diff(union.score) <= 0).all()
    # Merging once more changes nothing.
    assert rows(merge_particles([union, union], (2, 3, 4), unit="voxel")) == rows(union)


def test_semi_axes_are_z_y_x_and_in_angstrom():
    for axis in range(3):
        semi = [5.0, 5.0, 5.0]
        semi[axis] = 31.0
        step = np.zeros((1, 3))
        step[0, axis] = 3  # voxels of 10 A
        a = Particles.from_positions(np.zeros((1, 3)), score=np.array([0.2]), voxel_size=EDGE)
        b = Particles.from_positions(step, score=np.array([0.9]))
        assert rows(merge_particles([a, b], semi)) == rows(b)
        assert len(merge_particles([a, b], semi[1:] + semi[:1])) == 2
        assert len(merge_particles([a, b], semi, unit="voxel")) == 1


def test_direction_turns_the_ellipsoid():
    line = Particles.from_positions([[0, 0, 0], [0, 4, 0]], score=np.array([0.5, 0.6]))
    assert len(merge_particles([line], (5, 1, 1), unit="voxel")) == 2
    assert len(merge_particles([line], (5, 1, 1), unit="voxel", direction=(0, -2, 0))) == 1


def test_an_annotation_wins_over_scores_where_asked():
    annotation = Particles.from_positions([[5, 5, 5]], class_name="ribosome")
    picks = Particles.from_positions([[5, 5, 6]], score=np.array([0.9]))
    assert merge_particles([annotation, picks], (3, 3, 3), unit="voxel").x.tolist() == [6]
    first = merge_particles([annotation, picks], (3, 3, 3), unit="voxel", first_wins=True)
    assert first.x.tolist() == [5] and first.class_name == "ribosome"


def test_tables_become_one_table_with_its_settings_beside_it(tmp_path):
    known = {"voxel_size": EDGE, "tomogram": "TS_1", "shape": (20, 30, 40)}
    a, b = (some(20, k, **known) for k in (0, 1))
    paths = [write_particles(a, tmp_path / "a.csv"), write_particles(b, tmp_path / "b.parquet")]
    out = tmp_path / "out" / "union.star"
    (merged,) = merge(paths, out, (30, 30, 30))
    wanted = merge_particles([a, b], (30, 30, 30))
    grid = VoxelGrid(EDGE, (20, 30, 40))
    np.testing.assert_allclose(read_particles(out, grid=grid).positions, wanted.positions, atol=1e-9)
    assert (merged.n_given, merged.n_particles, merged.path) == (40, len(wanted), Location.of(out))
    side = json.loads((tmp_path / "out" / "union.json").read_text())
    assert side["complete"] and side["made_by"]["settings"]["semi_axes"] == [30, 30, 30]
    merge(paths, out, (30, 30, 30))
    with pytest.raises(OutputExistsError, match="--overwrite"):
        merge(paths, out, (30, 30, 31))
    merge(paths, out, (1, 1, 1), overwrite=True)
    assert len(read_particles(out, grid=grid)) > len(wanted)


def test_run_folders_are_merged_tomogram_by_tomogram_and_class_by_class(tmp_path):
    given = {}
    for r, run in enumerate(("net_1", "net_2")):
        for t, name in enumerate(("TS_1", "TS_2")):
            for c, kind in enumerate(("ribosome", "fas")):
                picks = some(10 + c, 10 * r + 3 * t + c, voxel_size=EDGE)
                write_particles(picks, tmp_path / run / name / f"particles_{kind}.csv")
                given.setdefault((name, kind), []).append(picks)
    runs = [tmp_path / "net_1", tmp_path / "net_2"]
    merged = merge(runs, tmp_path / "union", (40, 40, 40))
    assert {(m.tomogram, m.class_name) for m in merged} == set(given)
    for m in merged:
        assert m.path == Location.of(tmp_path / "union" / m.tomogram / f"particles_{m.class_name}.csv")
        assert rows(read_particles(m.path)) == rows(
            merge_particles(given[m.tomogram, m.class_name], (40, 40, 40))
        )
    # What was written is found again as tables of these tomograms and classes.
    assert {(t.tomogram, t.classes[0]) for t in find_tables(tmp_path / "union")} == set(given)
    only = merge(runs, tmp_path / "fas", (40, 40, 40), class_name="fas")
    assert [m.path.name for m in only] == ["particles.csv"] * 2
    # One table of all: every row under its own name.
    merge(runs, tmp_path / "all.csv", (40, 40, 40))
    everything = read_particles(tmp_path / "all.csv")
    assert {(t, c): len(everything.of_tomogram(t).of_class(c)) for t, c in given} == {
        (m.tomogram, m.class_name): m.n_particles for m in merged
    }
    with pytest.raises(InputError, match="no picks of class 'tric'"):
        merge(runs, tmp_path / "tric", (40, 40, 40), class_name="tric")


def test_a_table_that_names_no_class_joins_the_only_one(tmp_path):
    plain = write_particles(some(5, 0, voxel_size=EDGE), tmp_path / "annotation.csv")
    named = write_particles(some(5, 0, voxel_size=EDGE, class_name="fas"), tmp_path / "picks.parquet")
    (merged,) = merge([plain, named], tmp_path / "union.csv", (20, 20, 20))
    assert merged.class_name == "fas" and merged.n_given == 10
    other = write_particles(some(5, 0, voxel_size=EDGE, class_name="tric"), tmp_path / "more.parquet")
    with pytest.raises(InputError, match="choose one with --class"):
        merge([plain, named, other], tmp_path / "union2.csv", (20, 20, 20))


def test_mistakes_are_sentences():
    with pytest.raises(InputError, match="no table to merge"):
        merge_particles([], (1, 1, 1))
    with pytest.raises(InputError, match="--voxel-size"):
        merge_particles([some(3, 0)], (1, 1, 1))
    with pytest.raises(InputError, match="three positive lengths"):
        merge_particles([some(0, 0)], (1, 0, 1), unit="voxel")
    with pytest.raises(InputError, match="voxels of one size"):
        merge_particles([some(3, 0, voxel_size=EDGE), some(3, 0, voxel_size=(5.0, 5.0, 5.0))], (1, 1, 1))
    with pytest.raises(InputError, match="unit"):
        merge_particles([some(3, 0)], (1, 1, 1), unit="nm")


def test_a_tomogram_without_a_class_that_others_have_gets_no_empty_table(tmp_path):
    table = tmp_path / "all.csv"
    table.write_text("tomogram,class,z,y,x\nA,fas,1,2,3\nA,rib,1,2,9\nB,fas,1,2,3\n")
    other = tmp_path / "more.csv"
    other.write_text("tomogram,class,z,y,x\nA,rib,7,8,9\nB,fas,7,8,9\n")
    merged = merge([table, other], tmp_path / "out", (10, 10, 10), voxel_size=10)
    assert sorted((m.tomogram, m.class_name, m.n_particles) for m in merged) == [
        ("A", "fas", 1),
        ("A", "rib", 2),
        ("B", "fas", 2),
    ]


@pytest.mark.parametrize("column", ["tomogram", "class"])
def test_rows_without_a_name_beside_rows_with_one_are_not_dropped_in_silence(tmp_path, column):
    table = tmp_path / "mix.csv"
    table.write_text(f"{column},z,y,x\na,1,2,3\n,40,5,6\nb,7,80,9\n")
    with pytest.raises(InputError, match=f"do not say their {column}"):
        merge([table], tmp_path / "out.csv", (10, 10, 10), voxel_size=10)
    assert not (tmp_path / "out.csv").exists()
