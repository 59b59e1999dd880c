"""napari: layers as it takes them, and its window."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask.viewing.layers import Layer, PointLayer, VoxelLayer

NapariLayer = tuple[Any, dict[str, Any], str]
"""What napari calls a layer data tuple: data, what ``add_image`` and so on take, and which of them."""

_UNITS = ("nm", "nm", "nm")


def is_installed() -> bool:
    """Say whether napari is there."""
    return find_spec("napari") is not None


def napari_layers(layers: Sequence[Layer]) -> list[NapariLayer]:
    """Describe layers as napari takes them; lengths are nm, and nothing is read.

    Notes
    -----
    napari puts the center of the first voxel at 0, as this package does; that of a coarser level, and of a map at other
    voxels, needs no shift: levels are told by their shapes, and maps share the center of the first voxel.
    """
    return [_voxels(layer) if isinstance(layer, VoxelLayer) else _points(layer) for layer in layers]


def _voxels(layer: VoxelLayer) -> NapariLayer:
    levels = [
        da.from_array(level, chunks=level.chunks, asarray=False, meta=np.empty((0, 0, 0), level.dtype))
        for level in layer.levels
    ]
    options: dict[str, Any] = {
        "name": layer.name,
        "scale": tuple(edge / 10 for edge in layer.voxel_size),
        "units": _UNITS,
        "visible": layer.is_visible,
    }
    data = levels if len(levels) > 1 else levels[0]
    if layer.kind == "labels":
        return data, options, "labels"
    options["projection_mode"] = "none"
    options["contrast_limits"] = layer.limits
    options["multiscale"] = len(levels) > 1
    if layer.kind == "probability":
        # From clear to its color, over the tomogram.
        red, green, blue = _rgb(layer.color or "#ffffff")
        options["colormap"] = {
            "name": layer.name,
            "colors": np.array([[red, green, blue, 0.0], [red, green, blue, 1.0]]),
        }
        options["blending"] = "translucent_no_depth"
        options["opacity"] = 0.6
    else:
        options["colormap"] = "gray"
    return data, options, "image"


def _points(layer: PointLayer) -> NapariLayer:
    options = {
        "name": layer.name,
        "scale": tuple(edge / 10 for edge in layer.voxel_size),
        "units": _UNITS,
        "size": 2 * layer.radii / np.mean(layer.voxel_size),
        "face_color": "transparent",
        "border_color": layer.color,
        "border_width": 0.08,
        # What the slice cuts from a sphere, within the margins of the slice.
        "projection_mode": "rescale_spherical",
        "features": {"score": layer.scores},
    }
    return layer.positions / np.asarray(layer.voxel_size), options, "points"


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def show(layers: Sequence[Layer], title: str) -> None:
    """Open a window and stay until it is closed."""
    import napari

    viewer = napari.Viewer(title=title)
    add_layers(viewer, layers)
    napari.run()


def add_layers(viewer: Any, layers: Sequence[Layer]) -> None:
    """Put layers into a viewer of napari."""
    from napari.layers import Layer as Shown

    for data, options, kind in napari_layers(layers):
        viewer.add_layer(Shown.create(data, options, kind))
    radii = [layer.radii.max() / 10 for layer in layers if isinstance(layer, PointLayer) and len(layer.radii)]
    if radii:
        # Images show the plane in the middle of the margins, points all within them.
        viewer.dims.margin_left = viewer.dims.margin_right = (max(radii), 0.0, 0.0)
    viewer.canvas.overlays.scale_bar.visible = True
