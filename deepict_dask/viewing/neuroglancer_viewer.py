"""Neuroglancer: a page on this machine's loopback that shows layers; nothing is fetched from elsewhere.

The package ``neuroglancer`` carries the viewer and serves it with the voxels, which are read block by block as the
browser asks for them, from the level of the pyramid that it asks for.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from deepict_dask.errors import InputError, WorkError
from deepict_dask.tomogram import VoxelSize
from deepict_dask.viewing.layers import Layer, PointLayer, VoxelLayer, fullest_plane

HOST = "127.0.0.1"
_PROBABILITY_SHADER = """#uicontrol invlerp normalized(range=[{low}, {high}])
#uicontrol vec3 color color(default="{color}")
void main() {{ float p = normalized(); emitRGBA(vec4(color, 0.6 * p)); }}
"""
_TOMOGRAM_SHADER = """#uicontrol invlerp normalized(range=[{low}, {high}])
void main() {{ emitGrayscale(normalized()); }}
"""
# A particle is to be seen through what marks it.
_POINT_SHADER = """void main() { setEllipsoidFillColor(vec4(defaultColor(), 0.3)); }
"""


def is_installed() -> bool:
    """Say whether Neuroglancer is there."""
    return find_spec("neuroglancer") is not None


@dataclass(frozen=True, eq=False)
class Page:
    """A page that is served.

    Attributes
    ----------
    url : str
        Its address on this machine; who knows it can look.
    port : int
        Of it.
    viewer : neuroglancer.Viewer
        What is shown.
    """

    url: str
    port: int
    viewer: Any

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        import neuroglancer

        neuroglancer.stop()

    @property
    def tunnel(self) -> str:
        """The command that makes the address work on another machine."""
        try:
            user = f"{getpass.getuser()}@"
        except (KeyError, OSError):
            user = ""
        return f"ssh -N -L {self.port}:{HOST}:{self.port} {user}{socket.gethostname()}"


def serve(layers: Sequence[Layer], title: str, port: int = 0) -> Page:
    """Serve a page that shows layers; it stays until the process ends or the page is closed.

    Parameters
    ----------
    layers : sequence of Layer
        From `layers_of`; the first shows the tomogram.
    title : str
        Of the page.
    port : int
        To listen on, on loopback only; any free one if 0.

    Raises
    ------
    WorkError
        If the port is taken.
    """
    import neuroglancer

    _check_port(port)
    neuroglancer.set_server_bind_address(HOST, port)
    viewer = neuroglancer.Viewer()
    with viewer.txn() as state:
        fill_state(state, layers, title)
    url = viewer.get_viewer_url()
    return Page(url, int(url.split(":")[2].partition("/")[0]), viewer)


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise InputError(f"port {port} is none; give 1 to 65535, or 0 for any that is free")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise WorkError(
                f"port {port} cannot be listened on ({error.strerror}); choose another --port, or leave it out"
            ) from error


def fill_state(state: Any, layers: Sequence[Layer], title: str) -> None:
    """Put layers into a state of Neuroglancer.

    Notes
    -----
    In Neuroglancer voxel k covers k to k + 1, so its center lies at k + 1/2, and images whose first voxels share their
    center do not share their corner: maps of other voxels than the tomogram's are shifted by what differs.
    """
    import neuroglancer as ng

    first = next(layer for layer in layers if isinstance(layer, VoxelLayer))
    state.title = title
    state.dimensions = _space(ng, first.voxel_size, "xyz")
    z, y, x = first.levels[0].shape
    state.position = [x / 2, y / 2, fullest_plane(layers, first) + 0.5]
    state.layout = "4panel"
    state.show_axis_lines = False
    # So that a panel shows a slice whole on a screen of 1600 x 1000 pixels.
    state.cross_section_scale = max(x / 740, y / 370)
    state.projection_scale = max(x, y, z) * 1.5
    for layer in layers:
        if isinstance(layer, VoxelLayer):
            state.layers.append(name=layer.name, layer=_voxels(ng, layer, first), visible=layer.is_visible)
        else:
            state.layers.append(name=layer.name, layer=_points(ng, layer, first))


def _space(ng: Any, voxel_size: VoxelSize, axes: str) -> Any:
    size = dict(zip("zyx", voxel_size, strict=True))
    return ng.CoordinateSpace(names=list(axes), units="nm", scales=[size[axis] / 10 for axis in axes])


def _voxels(ng: Any, layer: VoxelLayer, first: VoxelLayer) -> Any:
    space = _space(ng, layer.voxel_size, "zyx")
    source: Any = _volume(ng, layer, space)
    if layer.voxel_size != first.voxel_size:
        shift = [(v / w - 1) / 2 for v, w in zip(first.voxel_size, layer.voxel_size, strict=True)]
        matrix = np.hstack([np.eye(3), np.array(shift)[:, None]])
        transform = ng.CoordinateSpaceTransform(output_dimensions=space, matrix=matrix)
        source = ng.LayerDataSource(url=source, transform=transform)
    if layer.kind == "labels":
        return ng.SegmentationLayer(source=source)
    shader = _PROBABILITY_SHADER if layer.kind == "probability" else _TOMOGRAM_SHADER
    low, high = layer.limits
    return ng.ImageLayer(source=source, shader=shader.format(low=low, high=high, color=layer.color))


def _points(ng: Any, layer: PointLayer, first: VoxelLayer) -> Any:
    positions = layer.positions / np.asarray(first.voxel_size) + 0.5
    radii = layer.radii[:, None] / np.asarray(first.voxel_size)
    annotations = [
        ng.EllipsoidAnnotation(
            id=str(k + 1),
            center=position[::-1].tolist(),
            radii=radius[::-1].tolist(),
            description=None if np.isnan(score) else f"score {score:.3f}",
        )
        for k, (position, radius, score) in enumerate(zip(positions, radii, layer.scores, strict=True))
    ]
    return ng.LocalAnnotationLayer(
        dimensions=_space(ng, first.voxel_size, "xyz"),
        annotations=annotations,
        annotation_color=layer.color,
        shader=_POINT_SHADER,
    )


def _volume(ng: Any, layer: VoxelLayer, space: Any) -> Any:
    """Make a volume that answers with the levels that are stored, and computes only those that are not."""

    class StoredVolume(ng.LocalVolume):
        def get_encoded_subvolume(self, data_format: str, start: Any, end: Any, scale_key: str) -> Any:
            factors = [int(factor) for factor in scale_key.split(",")]
            i = factors[0].bit_length() - 1
            if i == 0 or factors != [2**i] * 3 or i >= len(layer.levels):
                return super().get_encoded_subvolume(data_format, start, end, scale_key)
            level = ng.LocalVolume(
                _Readable(layer.levels[i], layer.kind), dimensions=space, volume_type=self.volume_type
            )
            return level.get_encoded_subvolume(data_format, start, end, "1,1,1")

    return StoredVolume(
        _Readable(layer.levels[0], layer.kind),
        dimensions=space,
        volume_type="segmentation" if layer.kind == "labels" else "image",
        # Each level of three axes halved is 8 times fewer voxels.
        max_downsampling=max(64, 8 ** (len(layer.levels) - 1)),
    )


class _Readable:
    """An array in a dtype that Neuroglancer knows."""

    def __init__(self, array: Any, kind: str):
        self.array, self.shape = array, array.shape
        dtype = np.dtype(array.dtype)
        is_known = dtype.kind in "iu" and dtype.itemsize <= 4
        self.dtype = np.dtype("u4" if kind == "labels" else dtype if is_known else "f4")

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self.array[key]).astype(self.dtype, copy=False)
