"""What a viewer is to show: layers with their place over the specimen, known before any viewer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_own_image
from deepict_dask.io.stored_array import OneChannel, StoredArray
from deepict_dask.pictures.marks import Marks
from deepict_dask.pictures.palette import gray_range, strokes
from deepict_dask.pictures.planes import Pyramid
from deepict_dask.pictures.scene import Scene, open_scene
from deepict_dask.tomogram import VoxelSize

Level = StoredArray | OneChannel


@dataclass(frozen=True, eq=False)
class VoxelLayer:
    """An image: voxel (k, l, m) of its finest level has its center at ``voxel_size * (k, l, m)``, in A.

    Attributes
    ----------
    name : str
        As shown.
    kind : {"tomogram", "probability", "labels"}
        Decides on how it is shown.
    levels : tuple of array-like, shape (z, y, x)
        Finest first, each half as fine as the one before.
    voxel_size : (float, float, float)
        (z, y, x) in A, of the finest level.
    limits : (float, float)
        Values shown as black and white, or as clear and full color.
    color : str or None
        Of a probability map, ``#rrggbb``.
    is_visible : bool
        Whether it is shown from the start.
    """

    name: str
    kind: str
    levels: tuple[Level, ...]
    voxel_size: VoxelSize
    limits: tuple[float, float] = (0.0, 1.0)
    color: str | None = None
    is_visible: bool = True


@dataclass(frozen=True, eq=False)
class PointLayer:
    """Particles of one class.

    Attributes
    ----------
    name : str
        As shown.
    positions : float64 (n, 3)
        (z, y, x) in A; the center of the tomogram's first voxel is (0, 0, 0).
    radii : float64 (n,)
        In A.
    scores : float64 (n,)
        NaN where unknown.
    color : str
        ``#rrggbb``.
    voxel_size : (float, float, float)
        (z, y, x) in A, of the tomogram.
    """

    name: str
    positions: np.ndarray
    radii: np.ndarray
    scores: np.ndarray
    color: str
    voxel_size: VoxelSize


Layer = VoxelLayer | PointLayer


def layers_of(folder: Location, classes: Sequence[str] | None = None) -> list[Layer]:
    """Describe what there is to see of a tomogram of a run.

    Parameters
    ----------
    folder : Location
        Of the tomogram.
    classes : sequence of str, optional
        Whose particles and probabilities are shown; all unless given.

    Returns
    -------
    list of Layer
        The tomogram; equalized and rescaled ones, probabilities and labels, hidden at first; particles on top.

    Raises
    ------
    InputError
        If there is no complete tomogram, or no particle of a class that is asked for.
    """
    scene = open_scene(folder, classes=classes)
    if scene.voxel_size is None:
        raise InputError(f"the voxel size of {scene.name} is not known; ingest it with --voxel-size")
    images = [_opened(child) for child in folder.children() if child.name.endswith(".zarr")]
    layers: list[Layer] = []
    for image in sorted(filter(None, images), key=_order):
        layers += _voxel_layers(image, scene, classes)
    return layers + list(_point_layers(scene))


def fullest_plane(layers: Sequence[Layer], first: VoxelLayer) -> float:
    """Give the z, in voxels of an image, where most particles are to be seen; its middle without any."""
    points = [layer for layer in layers if isinstance(layer, PointLayer)]
    positions = [layer.positions / np.asarray(first.voxel_size) for layer in points]
    radii = np.concatenate([layer.radii for layer in points]) if points else np.zeros(0)
    unnamed = np.full(len(radii), "", object)
    marks = Marks(
        np.concatenate(positions) if points else np.zeros((0, 3)), radii, unnamed, np.zeros(len(radii))
    )
    return marks.fullest(0, first.levels[0].shape[0], first.voxel_size)


def _opened(place: Location) -> Image | None:
    try:
        image = open_own_image(place)
    except InputError:
        return None
    return image if image is not None and image.is_complete and image.voxel_size is not None else None


def _order(image: Image) -> tuple[bool, int, str]:
    kinds = ("tomogram", "probability", "labels")
    return image.location.name != "tomogram.zarr", kinds.index(image.kind), image.location.name


def _voxel_layers(image: Image, scene: Scene, classes: Sequence[str] | None) -> list[VoxelLayer]:
    stem = image.location.name.removesuffix(".zarr")
    arrays = tuple(image.level(i) for i in range(len(image.level_paths)))
    assert image.voxel_size is not None
    if image.kind == "labels":
        return [VoxelLayer(stem, "labels", arrays, image.voxel_size, is_visible=False)]
    if image.kind == "tomogram":
        is_first = stem == "tomogram"
        limits = _contrast(Pyramid(arrays, image.voxel_size))
        return [VoxelLayer(stem, "tomogram", arrays, image.voxel_size, limits, is_visible=is_first)]
    styles = strokes(scene.classes)
    full = 1 / float(image.attributes.get("scale") or 1.0) if image.dtype.kind == "u" else 1.0
    layers = []
    for i, name in enumerate(image.classes or [""]):
        if classes is not None and name and name not in classes:
            continue
        levels = arrays if len(image.shape) == 3 else tuple(OneChannel(array, i) for array in arrays)
        color = styles[name].color if name in styles else "#E69F00"
        shown = f"{stem} {name}".strip()
        layers.append(VoxelLayer(shown, "probability", levels, image.voxel_size, (0.0, full), color, False))
    return layers


def _contrast(pyramid: Pyramid) -> tuple[float, float]:
    """Choose black and white by the middle plane; the middle of a thousandth where it is flat."""
    z, y, x = pyramid.shape
    plane = pyramid.plane(0, (z - 1) / 2, 0.0, (min(y, 256), min(x, 256)))
    low, high = gray_range([plane], (0.5, 99.5))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _point_layers(scene: Scene) -> list[PointLayer]:
    picks = scene.picks
    if picks is None:
        return []
    styles = strokes(scene.classes)
    layers = []
    for name in scene.classes:
        rows = picks.classes == name
        positions = picks.positions[rows] * np.asarray(scene.pyramid.voxel_size)
        layers.append(
            PointLayer(
                f"{name} ({rows.sum()})",
                positions,
                picks.radii[rows],
                picks.scores[rows],
                styles[name].color,
                scene.pyramid.voxel_size,
            )
        )
    return layers
