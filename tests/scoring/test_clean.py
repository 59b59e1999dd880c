"""Cleaning of particle lists against brute force, on shapes and positions that differ in z, y and x."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.tables import read_particles, write_particles
from deepict_dask.particles import Particles, join
from deepict_dask.scoring.clean import Rules, clean, clean_particles
from deepict_dask.scoring.tomogram_mask import inside_mask
from deepict_dask.stages.mask import open_mask
from deepict_dask.tomogram import Grid
from tests.conftest import write_mrc

EDGE = (20.0, 10.0, 5.0)


def some(n, seed=0, **others):
    rng = np.random.default_rng(seed)
    return Particles.from_positions(
        np.round(rng.random((n, 3)) * (10, 20, 40), 1),
        score=np.round(rng.random(n), 2),
        size=rng.integers(1, 900, n),
        label=rng.permutation(n) + 1,
        voxel_size=EDGE,
        tomogram="TS_1",
        **others,
    )


def brute(particles, semi_axes):
    """Keep the best, drop what is within, and so on."""
    angstrom = particles.positions * EDGE
    left = sorted(
        range(len(particles)),
        key=lambda k: (-particles.score[k], *angstrom[k].tolist(), -particles.size[k]),
    )
    kept = []
    for k in left:
        if all((((angstrom[k] - angstrom[j]) / semi_axes) ** 2).sum() >= 1 for j in kept):
            kept.append(k)
    return sorted(kept)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 40), seed=st.integers(0, 99))
def test_duplicates_are_as_brute_force_says_whatever_the_order_of_rows(n, seed):
    particles = some(n, seed)
    axes = (70.0, 45.0, 30.0)
    kept, removed = clean_particles(particles, Rules(semi_axes=axes))
    assert kept.label.tolist() == particles.label[brute(particles, axes)].tolist()
    assert removed == {"duplicates": n - len(kept)}
    shuffled = particles[np.random.default_rng(seed).permutation(n)]
    assert set(clean_particles(shuffled, Rules(semi_axes=axes))[0].label) == set(kept.label)
    near, _ = clean_particles(particles, Rules(distance=60.0))
    assert near.label.tolist() == particles.label[brute(particles, (60.0,) * 3)].tolist()
    # Cleaning once more removes nothing.
    assert clean_particles(near, Rules(distance=60.0))[1] == {"distance": 0}


def test_scores_sizes_and_the_best_come_first():
    particles = some(200, others={"mine": np.arange(200)})
    kept, removed = clean_particles(
        particles, Rules(min_score=0.3, max_score=0.9, min_size=100, max_size=800, top=20)
    )
    stays = (particles.score >= 0.3) & (particles.score <= 0.9)
    assert removed["score"] == (~stays).sum()
    stays &= (particles.size >= 100) & (particles.size <= 800)
    best = sorted(np.flatnonzero(stays), key=lambda k: (-particles.score[k], *particles.positions[k]))[:20]
    assert kept.others["mine"].tolist() == sorted(best)
    assert kept.label.tolist() == particles.label[sorted(best)].tolist()
    assert sum(removed.values()) == 180 and list(removed) == ["score", "size", "top"]


def test_a_mask_is_looked_up_at_the_voxel_of_the_position(tmp_path):
    shape = (37, 83, 101)
    inside = np.random.default_rng(0).random(shape) > 0.5
    path = write_mrc(tmp_path / "mask.mrc", inside.astype("i1"), 10.0)
    grid = Grid(shape, (10.0,) * 3)
    _, mask = open_mask(str(path), grid, grid, what="the mask")
    rng = np.random.default_rng(1)
    positions = rng.random((500, 3)) * np.array(shape) - 0.5
    positions[:4] = [[-0.51, 5, 5], [36.51, 5, 5], [0, 0, 100.49], [0, 82.6, 0]]
    voxels = np.floor(positions + 0.5).astype(int)
    expected = [
        all(0 <= v < n for v, n in zip(voxel, shape, strict=True)) and bool(inside[tuple(voxel)])
        for voxel in voxels.tolist()
    ]
    assert inside_mask(mask, positions).tolist() == expected
    assert not any(inside_mask(mask, positions[[0, 1, 3]]))


@pytest.fixture
def folder(tmp_path):
    for k, name in enumerate(("TS_1", "TS_2")):
        shape = (30, 40, 50 + k)
        for kind in ("fas", "ribosome"):
            rng = np.random.default_rng([k, len(kind)])
            picks = Particles.from_positions(
                rng.random((20, 3)) * (np.array(shape) - 1),
                score=rng.random(20),
                size=rng.integers(1, 99, 20),
                voxel_size=(10.0,) * 3,
                shape=shape,
                tomogram=name,
                class_name=kind,
            )
            write_particles(picks, tmp_path / "run" / name / f"particles_{kind}.parquet")
        half = np.zeros(shape, "i1")
        half[:, : shape[1] // 2] = 1
        write_mrc(tmp_path / f"mask_{name}.mrc", half, 10.0)
    return tmp_path


def test_runs_are_cleaned_tomogram_by_tomogram_and_class_by_class(folder):
    rules = Rules(mask=str(folder / "mask_{name}.mrc"), top=5)
    cleaned = clean([str(folder / "run")], str(folder / "out"), rules)
    assert [(c.tomogram, c.class_name) for c in cleaned] == [
        (t, c) for t in ("TS_1", "TS_2") for c in ("fas", "ribosome")
    ]
    for c in cleaned:
        source = read_particles(folder / "run" / c.tomogram / f"particles_{c.class_name}.parquet")
        written = read_particles(str(c.path))
        stays = np.floor(source.y + 0.5) < 20
        best = sorted(np.flatnonzero(stays), key=lambda k: -source.score[k])[:5]
        assert sorted(written.score) == sorted(source.score[best])
        assert c.n_particles == len(best) and c.n_given == 20
        assert c.removed == {"mask": int((~stays).sum()), "top": int(stays.sum()) - len(best)}
    outside = clean(
        [str(folder / "run")],
        str(folder / "all.csv"),
        replace(rules, outside=True, top=None),
        class_name="fas",
    )
    everything = read_particles(folder / "all.csv")
    assert len(everything) == sum(c.n_particles for c in outside)
    assert (np.floor(everything.y + 0.5) >= 20).all() and everything.names("class") == ["fas"]
    # The same again changes nothing; other rules want a word.
    clean([str(folder / "run")], str(folder / "out"), rules)
    with pytest.raises(OutputExistsError, match="top 5 and not 6"):
        clean([str(folder / "run")], str(folder / "out"), replace(rules, top=6))


def test_mistakes_are_sentences(folder):
    run = str(folder / "run")
    for wrong, words in (
        ({}, "nothing is to be cleaned"),
        ({"outside": True, "top": 3}, "--outside is about --mask"),
        ({"distance": -1.0}, "--distance is a positive"),
        ({"top": 0}, "--top is a number"),
        ({"semi_axes": (1.0, 0.0, 1.0)}, "three positive"),
        ({"direction": (1.0, 0.0, 0.0), "top": 1}, "--abc"),
        ({"min_size": 9, "max_size": 3}, "no particle would stay"),
    ):
        with pytest.raises(InputError, match=words):
            Rules(**wrong)
    plain = Particles.from_positions([[1, 2, 3], [4, 5, 6]], tomogram="TS_1")
    for rules, words in (
        (Rules(min_score=0.5), "have no score"),
        (Rules(max_size=5), "have no size"),
        (Rules(distance=5.0), "--voxel-size"),
    ):
        with pytest.raises(InputError, match=words):
            clean_particles(plain, rules)
    with pytest.raises(InputError, match="no particles of class 'tric'"):
        clean([run], str(folder / "x.csv"), Rules(top=1), class_name="tric")
    with pytest.raises(InputError, match="the mask .* has 30 x 40 x 51 voxels"):
        clean([run], str(folder / "x.csv"), Rules(mask=str(folder / "mask_TS_2.mrc")))
    assert not (folder / "x.csv").exists()


def test_a_table_of_several_tomograms_is_cleaned(tmp_path):
    parts = [replace(some(10, k), tomogram=f"TS_{k}") for k in range(3)]
    table = write_particles(join(parts), tmp_path / "all.csv")
    cleaned = clean([str(table)], str(tmp_path / "clean.csv"), Rules(top=2))
    assert [c.n_particles for c in cleaned] == [2, 2, 2]
    found = read_particles(tmp_path / "clean.csv")
    for k, part in enumerate(parts):
        assert sorted(found.of_tomogram(f"TS_{k}").score) == sorted(part.score)[-2:]


@pytest.mark.parametrize("rule", ["min_score", "max_score", "distance"])
def test_no_rule_is_not_a_number(rule):
    """Nothing is above or below NaN, so all particles would go."""
    with pytest.raises(InputError, match="nan"):
        Rules(**{rule: float("nan")})


def test_the_voxels_of_a_mask_are_an_input(folder):
    run, mask = str(folder / "run"), str(folder / "mask_{name}.mrc")
    for out in ("all.csv", "each"):
        clean([run], str(folder / out), Rules(mask=mask))
        clean([run], str(folder / out), Rules(mask=mask))  # the same again is kept
    other = np.zeros((30, 40, 51), "i1")
    other[:10] = 1
    write_mrc(folder / "mask_TS_2.mrc", other, 10.0)
    with pytest.raises(OutputExistsError, match="another mask of TS_2"):
        clean([run], str(folder / "all.csv"), Rules(mask=mask))
    with pytest.raises(OutputExistsError, match="TS_2.*particles_fas.csv was made with another mask"):
        clean([run], str(folder / "each"), Rules(mask=mask))
    clean([run], str(folder / "all.csv"), Rules(mask=mask), overwrite=True)
    assert (np.floor(read_particles(folder / "all.csv").of_tomogram("TS_2").z + 0.5) < 10).all()


def test_a_mask_on_a_grid_that_nobody_states_is_refused(tmp_path):
    inside = np.ones((30, 40, 50), "i1")
    mask = str(write_mrc(tmp_path / "mask.mrc", inside, 10.0))
    table = tmp_path / "plain.csv"
    table.write_text("tomogram,z,y,x\nTS_1,1,2,3\nTS_1,29,39,60\n")
    given, out, rules = [str(table)], str(tmp_path / "c.csv"), Rules(mask=mask)
    with pytest.raises(InputError, match=r"mask.mrc has 30 x 40 x 50 .* nothing says that .* TS_1 .*--shape"):
        clean(given, out, rules)
    with pytest.raises(InputError, match="nothing says that"):
        clean(given, out, rules, voxel_size=(5.0,) * 3)
    with pytest.raises(InputError, match=r"1 particles of TS_1 lie beyond it \(z, y, x: 29, 39, 60\)"):
        clean(given, out, rules, voxel_size=(10.0,) * 3)
    with pytest.raises(InputError, match="the mask .* has 30 x 40 x 50 voxels"):
        clean(given, out, rules, shape=(60, 80, 100))
    # On the tomogram's own voxels what lies beyond is outside, as ever.
    assert [c.n_particles for c in clean(given, out, rules, shape=(30, 40, 50))] == [1]
    table.write_text("tomogram,z,y,x\nTS_1,1,2,3\n")
    assert [c.n_particles for c in clean(given, str(tmp_path / "d.csv"), rules, voxel_size=(10.0,) * 3)] == [
        1
    ]
