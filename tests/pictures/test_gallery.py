"""Galleries: each pick in the middle of its box, the best-scored first, in pages."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.pictures import write_gallery
from deepict_dask.pictures.drawing import Label, Raster
from deepict_dask.pictures.gallery import draw_gallery
from deepict_dask.pictures.look import Look
from deepict_dask.pictures.scene import open_scene
from tests.pictures.scenes import SHAPE, blob, run_with, table

EDGE = 88  # pixels of a box


def test_boxes_hold_the_voxels_around_the_pick(folder):
    values = np.random.default_rng(0).normal(size=(96, 100, 104)).astype("f4")
    # Between two voxels, so that 88 voxels of 1 nm fill the 88 pixels.
    place = run_with(folder, values, [[47.5, 49.5, 51.5]])
    (page,) = draw_gallery(open_scene(place), Look(thickness=0, contrast=(0, 100)), box=88)
    above, below = (s for s in page.shapes if isinstance(s, Raster))
    xy, xz = values[48, 6:94, 8:96], values[4:92, 50, 8:96]
    both = np.stack([xy, xz])
    gray = np.rint((both - both.min()) / np.ptp(both) * 255)
    assert np.abs(above.pixels - gray[0]).max() <= 1 and np.abs(below.pixels - gray[1]).max() <= 1


def test_the_best_come_first_and_of_many_an_even_choice_is_shown(folder):
    positions = np.random.default_rng(1).random((130, 3)) * SHAPE - 0.5
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), positions)  # scores 0.5 to 1
    scene = open_scene(place)
    pages = draw_gallery(scene, Look(), most=1000)
    scores = [
        [float(s.text) for s in p.shapes if isinstance(s, Label) and s.text[:2] in ("0.", "1.")]
        for p in pages
    ]
    assert [len(s) for s in scores] == [50, 50, 30]
    together = [score for page_scores in scores for score in page_scores]
    assert together == sorted(together, reverse=True) and (together[0], together[-1]) == (1.0, 0.5)
    (page,) = draw_gallery(scene, Look(), most=10)
    few = [float(s.text) for s in page.shapes if isinstance(s, Label) and s.text[:2] in ("0.", "1.")]
    assert few == pytest.approx(np.linspace(1, 0.5, 10), abs=0.003)
    assert any(
        "10 in even steps, 1 to 130 of 130 by score" in s.text for s in page.shapes if isinstance(s, Label)
    )


def test_what_lies_outside_of_the_tomogram_is_hatched(folder):
    place = run_with(folder, np.zeros(SHAPE, "f4"), [[0, 0, 0]])
    (page,) = draw_gallery(open_scene(place), Look(), box=10)
    for raster in (s for s in page.shapes if isinstance(s, Raster)):
        assert (raster.pixels[:40] >= 190).all() and (raster.pixels[:, :40] >= 190).all()
        assert (raster.pixels[48:, 48:] == 128).all()


def test_pages_are_numbered_files_and_none_of_before_are_left(folder):
    positions = np.random.default_rng(1).random((60, 3)) * SHAPE - 0.5
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), positions)
    table(place, positions[:3], class_name="fas", stem="particles_fas")
    assert [p.name for p in write_gallery(place)] == ["gallery_1.png", "gallery_2.png", "gallery_3.png"]
    assert [p.name for p in write_gallery(place, look=Look(classes=("fas",)))] == ["gallery_1.png"]
    assert [c.name for c in place.children() if c.name.startswith("gallery")] == ["gallery_1.png"]


def test_nothing_is_written_where_one_page_is_somebody_elses(folder):
    positions = np.random.default_rng(1).random((60, 3)) * SHAPE - 0.5
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), positions)
    (place / "gallery_2.png").write(b"mine")
    with pytest.raises(OutputExistsError, match=r"gallery_2\.png exists"):
        write_gallery(place)
    assert not (place / "gallery_1.png").exists() and (place / "gallery_2.png").read_bytes() == b"mine"


def test_without_picks_a_sentence(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [])
    with pytest.raises(InputError, match="TS_01 has no picks to show"):
        write_gallery(place)
    for wrong in ({"most": 0}, {"box": -1.0}):
        table(place, [[1, 2, 3]], class_name="ribosome")
        with pytest.raises(InputError, match=next(iter(wrong))):
            write_gallery(place, **wrong)
