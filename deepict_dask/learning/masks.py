"""Masks: spheres or a given shape at particle positions, to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from deepict_dask.config.by_class import OTHERS, value_for
from deepict_dask.config.masks import MaskSettings
from deepict_dask.engine.masks import Shapes, paste
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.geometry import storage_grid
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.source import Source, open_source
from deepict_dask.particles import Particles
from deepict_dask.provenance import Provenance
from deepict_dask.stages import memory
from deepict_dask.stages.finished import is_finished, open_own
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_image import Attributes, Form, write_image
from deepict_dask.tomogram import VoxelSize, by, same_voxel_size


def masks(
    tomogram: Image | Source,
    positions: Mapping[str, Particles],
    output: Location,
    settings: MaskSettings,
    work: Work,
) -> Image:
    """Paste a shape at every particle and write the masks.

    Parameters
    ----------
    tomogram : Image or Source
        Whose shape, voxel size and name the masks get; its voxels are not read.
    positions : mapping of str to Particles
        By class, in the order of the channels or labels.
    output : Location
        Folder of this tomogram; the image is ``output / "masks.zarr"``.
    settings : MaskSettings
        Radius in voxels or nm, or shape; layout.
    work : Work
        Follows the blocks.

    Returns
    -------
    Image
        uint8, shape (z, y, x) for one class or labels, else (class, z, y, x); its attributes name the
        ``classes``, and for each the ``n_particles`` inside and the ``labelled`` voxels.

    Raises
    ------
    InputError
        If a class has no particles, none inside the tomogram, positions of another voxel size or no
        radius; or the voxel size is not known.
    """
    if tomogram.voxel_size is None:
        raise InputError(f"{tomogram.path} does not say its voxel size; give it with --voxel-size (in A)")
    if not positions:
        raise InputError(
            f"there are no positions to make masks of {tomogram.name} from; give a table per class"
        )
    _check_names(settings, list(positions))
    spatial = tomogram.shape[-3:]
    shapes, n_inside = {}, {}
    for name, particles in positions.items():
        n_inside[name] = _check_positions(
            name, particles, tomogram.name, tomogram.voxel_size, spatial, work.reporter
        )
        shapes[name] = _shapes(name, particles, settings, tomogram.voxel_size)
        _check_radius(name, shapes[name], settings, tomogram.name, tomogram.voxel_size, spatial)
    target = output / "masks.zarr"
    made_by = Provenance(
        "masks",
        {},
        {
            "tomogram": {
                "name": tomogram.name,
                "shape": list(spatial),
                "voxel_size": list(tomogram.voxel_size),
            },
            "classes": {name: _identity(s) for name, s in shapes.items()},
            "order": list(shapes),
            "layout": settings.layout,
            "zarr_version": settings.zarr_version,
        },
    )
    if not work.overwrite:
        _refuse_changed_positions(target, made_by, tomogram.name)
    if is_finished(target, made_by, overwrite=work.overwrite):
        work.keep("masks")
        return open_image(target)
    grid = storage_grid(spatial)  # type: ignore[arg-type]
    memory.check_memory(
        memory.masks(grid, len(shapes)),
        f"masks of {len(shapes)} classes in blocks of {by(grid.core)} voxels",
        "use fewer --threads, fewer workers with more memory each, or fewer classes at a time",
    )
    voxels = paste(list(shapes.values()), grid, settings.layout)
    classes = list(shapes)

    def finish(parts: Sequence[np.ndarray]) -> Attributes:
        return {
            "classes": classes,
            "layout": "channels" if voxels.ndim == 4 else "labels",
            "n_particles": n_inside,
            "labelled": dict(zip(classes, np.sum(parts, axis=0).tolist(), strict=True)),
        }

    channels = tuple(classes) if voxels.ndim == 4 else ()
    form = Form("labels", tomogram.name, tomogram.voxel_size, grid.core, settings.zarr_version, channels)
    reduce = partial(_labelled, n_classes=len(classes))
    return write_image(target, voxels, form, made_by, work, reduce=reduce, finish=finish)


def _refuse_changed_positions(target: Location, made_by: Provenance, tomogram: str) -> None:
    """Say in words what two checksums would say in numbers."""
    earlier = open_own(target)
    if earlier is None or earlier.provenance is None:
        return
    before, now = (p.settings.get("classes", {}) for p in (earlier.provenance, made_by))
    for name in now:
        if name in before and before[name].get("positions") != now[name]["positions"]:
            raise OutputExistsError(
                f"the positions of {tomogram} have changed (class {name!r}) since {target} was made of them; use "
                "--overwrite to replace it, or another output folder"
            )


def _check_names(settings: MaskSettings, classes: Sequence[str]) -> None:
    for way in ("radius", "radius_nm", "shape"):
        value = getattr(settings, way)
        for name in value if isinstance(value, dict) else ():
            if name not in (OTHERS, *classes):
                raise InputError(
                    f"{way} is given for class {name!r}, of which there are no positions; there are "
                    f"{', '.join(classes)}"
                )


def _check_positions(
    name: str,
    particles: Particles,
    tomogram: str,
    voxel_size: VoxelSize,
    shape: tuple[int, ...],
    reporter: Reporter,
) -> int:
    positions_size = particles.voxel_size
    if positions_size is not None and not same_voxel_size(positions_size, voxel_size):
        raise InputError(
            f"the positions of class {name!r} are in voxels of {positions_size[0]:g} A, but {tomogram} has voxels of "
            f"{voxel_size[0]:g} A; scale them to the tomogram's voxels first"
        )
    p = particles.positions
    # A voxel reaches half a voxel beyond its center.
    inside = ((p >= -0.5) & (p <= np.array(shape) - 0.5)).all(axis=1)
    if not inside.any():
        raise InputError(
            f"none of the {len(p)} positions of class {name!r} lies inside {tomogram} of {shape} voxels (z, y, x); "
            "check the order of the axes, the voxel size, or whether the class is empty"
        )
    if not inside.all():
        reporter.warn(
            f"{int((~inside).sum())} of {len(p)} positions of class {name!r} lie outside {tomogram} of {shape} voxels"
        )
    return int(inside.sum())


def _shapes(name: str, particles: Particles, settings: MaskSettings, voxel_size: VoxelSize) -> Shapes:
    radius, radius_nm, path = (
        value_for(value, name) for value in (settings.radius, settings.radius_nm, settings.shape)
    )
    if radius is not None:
        return Shapes(particles.positions, radius=(radius, radius, radius))
    if radius_nm is not None:
        z, y, x = (10 * radius_nm / edge for edge in voxel_size)
        return Shapes(particles.positions, radius=(z, y, x))
    if path is not None:
        values = np.asarray(open_source(path)[...])
        if np.isnan(values).any():
            raise InputError(
                f"the shape {path} of class {name!r} holds NaN, which is neither inside nor outside; write 0 outside"
            )
        stamp = values > 0
        if not stamp.any():
            raise InputError(f"the shape {path} of class {name!r} is nowhere above 0; give one that is")
        return Shapes(particles.positions, stamp=stamp)
    raise InputError(f"class {name!r} has no radius and no shape; give one for it, or one for all")


def _check_radius(
    name: str,
    shapes: Shapes,
    settings: MaskSettings,
    tomogram: str,
    voxel_size: VoxelSize,
    shape: tuple[int, ...],
) -> None:
    """Refuse spheres that are larger than the tomogram, as those of a radius in A that was taken for another unit."""
    if not isinstance(shapes.radius, tuple):
        return
    if all(2 * r < n for r, n in zip(shapes.radius, shape, strict=True)):
        return
    in_voxels = value_for(settings.radius, name)
    value, unit = (
        (in_voxels, "voxels") if in_voxels is not None else (value_for(settings.radius_nm, name), "nm")
    )
    assert value is not None
    raise InputError(
        f"a sphere of radius {value:g} {unit} for class {name!r} is {2 * max(shapes.radius):.0f} voxels wide, more than "
        f"{tomogram} of {tuple(shape)} voxels (z, y, x); if {value:g} is in A, the radius is {value / 10:g} nm or "
        f"{value / min(voxel_size):.3g} voxels"
    )


def _identity(shapes: Shapes) -> dict[str, Any]:
    kind: dict[str, Any] = {"positions": _digest(shapes.positions)}
    if shapes.stamp is not None:
        return kind | {"shape": _digest(shapes.stamp), "shape_size": list(shapes.stamp.shape)}
    return kind | {"radius_vox": list(shapes.radius)}  # type: ignore[arg-type]


def _digest(values: np.ndarray) -> str:
    return f"sha256:{hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}"


def _labelled(block: np.ndarray, index: tuple[int, ...], n_classes: int) -> np.ndarray:
    if block.ndim == 4:
        return np.count_nonzero(block, axis=(1, 2, 3))
    return np.bincount(block.ravel(), minlength=n_classes + 1)[1:]
