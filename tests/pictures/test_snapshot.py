"""Slices with picks: everything lands where it is, at its size, and nothing covers the voxels."""

from __future__ import annotations

import html
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.pictures import leave_snapshot, snapshot_bytes, write_snapshot
from deepict_dask.pictures.drawing import Box, Circle, Drawing, Fill, Label, Line, Raster
from deepict_dask.pictures.look import Look
from deepict_dask.pictures.planes import Pyramid
from deepict_dask.pictures.scene import open_scene
from deepict_dask.pictures.snapshot import draw_slices
from tests.pictures.scenes import SHAPE, blob, run_with, table


def rings(drawing: Drawing, box: Box) -> list[Circle]:
    """The colored circles on a slice."""
    return [s for s in drawing.shapes if isinstance(s, Circle) and s.clip == box and s.color != "#000000"]


def brightest(raster: Raster) -> tuple[float, float]:
    """Center of the bright pixels of a slice, in pixels of the picture."""
    weights = np.where(raster.pixels > 200, raster.pixels.astype(float), 0)
    y, x = ndimage.center_of_mass(weights)
    return raster.box.y + y + 0.5, raster.box.x + x + 0.5


CASES = {
    "cubic voxels": {},
    "flat voxels": {"voxel_size": (30.0, 10.0, 15.0)},
    "a coarser level": {"width": 64, "n_levels": 2},
    "a rescaled image": {"own": 0.5},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_planted_blob_and_its_pick_land_on_the_same_pixel(folder, case, axis):
    given = dict(CASES[case])
    at = (17.0, 9.0, 41.0)
    width, own = given.pop("width", 720), given.pop("own", None)
    values = blob(SHAPE, at, (2.0, 2.0, 2.0))
    finish = None
    if own is not None:
        # The tomogram as it came has voxels half as large, and tables count those.
        finish = {"own_voxel_size": [5.0] * 3, "own_shape": [2 * n for n in SHAPE]}
    positions = [[a / (own or 1) for a in at]]
    place = run_with(
        folder, values, positions, finish=finish, image="rescaled" if own else "tomogram", **given
    )
    thickness = 2 if "n_levels" in given else 0  # in nm: two planes, as a voxel of the next level
    look = Look(contrast=(5, 100), width=width, thickness=thickness, image="rescaled" if own else "tomogram")
    drawing = draw_slices(open_scene(place, image=look.image), look)
    raster = [s for s in drawing.shapes if isinstance(s, Raster)][axis]
    (ring,) = rings(drawing, raster.box)
    y, x = brightest(raster)
    assert abs(ring.x - x) < 0.75 and abs(ring.y - y) < 0.75


def test_circles_are_what_a_slice_cuts_from_a_sphere(folder):
    volume = 4 / 3 * np.pi * 6**3  # voxels of a sphere of radius 6
    values = blob(SHAPE, (12, 20, 28), (2, 2, 2))
    place = run_with(folder, values, [[12, 20, 28], [15, 10, 10], [19, 30, 10]], size=round(volume))
    look = Look(z=(12,), y=(20,), thickness=0, width=560)
    drawing = draw_slices(open_scene(place), look)
    raster = next(s for s in drawing.shapes if isinstance(s, Raster))
    drawn = sorted(r.radius / (raster.box.width / SHAPE[2]) for r in rings(drawing, raster.box))
    assert drawn == pytest.approx([np.sqrt(36 - 9), 6], abs=0.02)  # and that 7 away is not cut


def test_sizes_count_voxels_of_the_map_that_was_picked_from(folder):
    from tests.images import stored_image

    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]], size=113)
    stored_image(
        place / "probability.zarr",
        np.zeros((12, 20, 28), "f4"),
        kind="probability",
        classes=["ribosome"],
        voxel_size=(20.0, 20.0, 20.0),
    )
    scene = open_scene(place)
    assert scene.picks.radii == pytest.approx([3 * 20], rel=0.01)  # 113 voxels are a sphere of radius 3


def test_the_legend_and_the_letters_never_cover_a_slice(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    names = [f"class {i} " + "long " * 9 for i in range(12)]
    for i, name in enumerate(names):
        table(place, [[i, i, i]], class_name=name.strip(), stem=f"particles_{i}")
    drawing = draw_slices(open_scene(place), Look(slices=5))
    slices = [s.box for s in drawing.shapes if isinstance(s, Raster)]
    assert len(slices) == 5 + 3
    assert not any(a.overlaps(b) for i, a in enumerate(slices) for b in slices[:i])
    for shape in drawing.shapes:
        if isinstance(shape, Label):
            w, h = (shape.size, len(shape.text) * 4) if shape.turned else (len(shape.text) * 4, shape.size)
            left = shape.x - {"left": 0, "middle": w / 2, "right": w}[shape.align]
            box = Box(left, shape.y - h / 2, w, h)
        elif isinstance(shape, Circle) and shape.clip is None:
            box = Box(shape.x - shape.radius, shape.y - shape.radius, 2 * shape.radius, 2 * shape.radius)
        elif isinstance(shape, Fill):
            box = shape.box
        else:
            continue
        assert not any(box.overlaps(s) for s in slices), shape
        assert box.right <= drawing.width and box.bottom <= drawing.height
    text = " ".join(s.text for s in drawing.shapes if isinstance(s, Label))
    assert "x (voxels)" in text and "z (voxels)" in text and "nm" in text


class _Recorded:
    """An array that notes what is read of it."""

    def __init__(self, shape):
        self.shape, self.dtype, self.read = shape, np.dtype("f4"), []

    def __getitem__(self, key):
        spans = tuple(k.stop - k.start for k in key)
        self.read.append(spans)
        return np.zeros(spans, "f4")


def test_only_a_slab_is_read_from_the_level_that_is_seen():
    levels = tuple(_Recorded(tuple(-(-n // 2**i) for n in (500, 960, 928))) for i in range(4))
    plane = Pyramid(levels, (13.48,) * 3).plane(0, 250.0, 100.0, (232, 240))
    assert plane.shape == (232, 240)
    assert [len(level.read) for level in levels] == [0, 0, 1, 0]
    assert levels[2].read == [(3, 240, 232)]
    Pyramid(levels, (13.48,) * 3).plane(0, 250.0, 0.0, (232, 240))
    assert levels[0].read == [(1, 960, 928)], "one plane is one plane of the finest level"


def test_a_thick_slab_is_added_up_in_pieces():
    level = _Recorded((4000, 2000, 2000))
    Pyramid((level,), (10.0,) * 3).plane(0, 1500.0, 5000.0, (100, 100))
    assert sum(s[0] for s in level.read) == 500 and max(np.prod(s) for s in level.read) * 4 <= 64 << 20


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_at_full_size_are_the_means_of_the_voxels(axis):
    values = np.random.default_rng(0).normal(size=(13, 17, 19)).astype("f4")
    across = [n for a, n in enumerate(values.shape) if a != axis]
    found = Pyramid((values,), (10.0,) * 3).plane(axis, 6.0, 30.0, tuple(across))
    assert np.allclose(found, values.take(range(5, 8), axis).mean(axis), atol=1e-5)


def test_what_lies_outside_of_the_tomogram_is_not_made_up():
    values = np.ones((8, 8, 8), "f4")
    found = Pyramid((values,), (10.0,) * 3).plane(0, 4.0, 0.0, (12, 12), window=((-4.5, 7.5), (-0.5, 11.5)))
    assert np.isnan(found[:4]).all() and np.isnan(found[:, 8:]).all() and (found[4:, :8] == 1).all()


@pytest.mark.parametrize(
    "class_name, suffix",
    [
        *((name, ".png") for name in ("$x_1$ 100%", "β-gal", "[red]:bug:", "核糖体", "a" * 150)),
        *((name, ".svg") for name in ("$x_1$ 100%", "<b>&amp;", "核糖体")),
        *(("$x_1$ 核糖体", suffix) for suffix in (".pdf", ".webp", ".jpg")),
    ],
)
def test_every_name_can_be_drawn_in_every_format(folder, class_name, suffix):
    place = run_with(
        folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]], class_name=class_name, name="T [x]"
    )
    target = write_snapshot(place, folder / f"a{suffix}", Look(width=100))
    content = target.read_bytes()
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".webp": b"RIFF", ".jpg": b"\xff\xd8"}
    assert content.startswith(begins[suffix])
    if suffix == ".svg" and len(class_name) < 100:
        assert html.escape(class_name, quote=False) in content.decode()
    write_snapshot(place, target, Look(width=100))  # over one of its own


def test_the_picture_in_the_file_is_the_drawing(folder):
    from PIL import Image

    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    target = write_snapshot(place)
    assert target == place / "snapshot.png"
    drawing = draw_slices(open_scene(place), Look())
    pixels = np.asarray(Image.open(target.local_path()).convert("RGB")).astype(int)
    assert pixels.shape == (drawing.height, drawing.width, 3)
    raster = next(s for s in drawing.shapes if isinstance(s, Raster))
    (ring,) = rings(drawing, raster.box)
    # On the ring its color, in its middle the voxels' gray.
    on_ring = pixels[int(ring.y), int(ring.x + ring.radius)]
    assert np.abs(on_ring - [0xE6, 0x9F, 0x00]).max() < 60
    middle = pixels[int(ring.y), int(ring.x)]
    gray = raster.pixels[int(ring.y - raster.box.y), int(ring.x - raster.box.x)]
    assert np.ptp(middle) == 0 and abs(middle[0] - int(gray)) <= 1


@pytest.mark.parametrize("n", [0, 3000])
def test_no_and_many_particles(folder, n):
    positions = np.random.default_rng(1).random((n, 3)) * SHAPE - 0.5
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), positions)
    drawing = draw_slices(open_scene(place), Look(slices=2))
    labels = [s.text for s in drawing.shapes if isinstance(s, Label)]
    assert f"TS_01: {n} particles" in labels and f"ribosome ({n})" in labels
    for raster in (s for s in drawing.shapes if isinstance(s, Raster)):
        for ring in rings(drawing, raster.box):
            assert raster.box.x <= ring.x <= raster.box.right and raster.box.y <= ring.y <= raster.box.bottom


def test_a_tomogram_without_tables_says_that_there_are_no_picks_yet(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [])
    (place / "particles.csv").remove()
    (place / "particles.json").remove()
    drawing = draw_slices(open_scene(place), Look())
    assert any("no picks yet" in s.text for s in drawing.shapes if isinstance(s, Label))


def test_a_truth_is_drawn_as_crosses_and_only_of_what_was_looked_for(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    (folder / "truth.csv").write("class,z,y,x\nribosome,12,20,28\nfas,12,30,40\n")
    scene = open_scene(place, truth=folder / "truth.csv")
    assert scene.classes == ("ribosome",) and len(scene.truth) == 1
    drawing = draw_slices(scene, Look(z=(12,), y=(20,)))
    raster = next(s for s in drawing.shapes if isinstance(s, Raster))
    (ring,) = rings(drawing, raster.box)
    lines = [s for s in drawing.shapes if isinstance(s, Line) and s.clip == raster.box]
    assert len(lines) == 4 and all((a.start[0] + a.end[0]) / 2 == pytest.approx(ring.x) for a in lines)


def test_what_is_asked_and_is_not_there_is_said(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    with pytest.raises(InputError, match="no particles of class 'fas'; its tables name ribosome"):
        open_scene(place, classes=["fas"])
    with pytest.raises(InputError, match=r"no complete equalized\.zarr to draw; complete there: tomogram"):
        open_scene(place, image="equalized")
    with pytest.raises(InputError, match="z = 24 lies outside of TS_01, whose z goes from 0 to 23"):
        write_snapshot(place, look=Look(z=(24,)))
    with pytest.raises(InputError, match="does not end like a picture"):
        write_snapshot(place, folder / "a.gif")
    for wrong in (
        {"slices": 0},
        {"contrast": (99, 1)},
        {"thickness": -1},
        {"gaussian": float("nan")},
        {"width": 1},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Look(**wrong)


def test_a_picture_of_somebody_else_is_not_overwritten(folder):
    from PIL import Image

    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    Image.new("RGB", (9, 9)).save(place / "snapshot.png")
    before = (place / "snapshot.png").read_bytes()
    with pytest.raises(OutputExistsError, match="no picture of this program"):
        write_snapshot(place)
    assert (place / "snapshot.png").read_bytes() == before
    write_snapshot(place, overwrite=True)


def test_a_run_loses_nothing_where_its_picture_cannot_be_drawn(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    said: list[str] = []
    assert leave_snapshot(place, said.append) == place / "snapshot.png" and not said
    for shard in (place / "tomogram.zarr" / "0").local_path().rglob("c/*/*/*"):
        shard.write_bytes(b"damaged")
    assert leave_snapshot(place, said.append) is None
    assert len(said) == 1 and "TS_01: no picture was drawn" in said[0]


def test_the_same_tomogram_gives_the_same_bytes(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    for suffix in (".png", ".svg", ".pdf"):
        a, b = (write_snapshot(place, folder / f"{n}{suffix}", Look(width=100)).read_bytes() for n in "ab")
        assert a == b, suffix
    assert len(snapshot_bytes(place, Look(width=100))) < 20_000


def test_matplotlib_and_torch_are_not_needed_for_a_picture(folder):
    place = run_with(folder, blob(SHAPE, (12, 20, 28), (2, 2, 2)), [[12, 20, 28]])
    code = (
        "import sys; from deepict_dask.io.location import Location; from deepict_dask.pictures import write_snapshot; "
        f"write_snapshot(Location({place.url!r})); "
        "assert not {'matplotlib', 'torch', 'pandas'} & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
