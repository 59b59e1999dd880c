"""Particles of a probability map, of all its classes in one pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepict_dask.api.tomograms import as_tomogram, start_of, voxel_size_at
from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.particles import Particles, join
from deepict_dask.tomogram import VoxelSize

if TYPE_CHECKING:
    import dask.array as da
    import numpy as np
    import xarray


def pick(
    probability: Any,
    threshold: Any = None,
    min_size: Any = 100,
    max_size: Any = None,
    connectivity: Any = 26,
    border: Any = (0, 0, 0),
    region: Any = None,
    classes: str | Sequence[str] | None = None,
) -> Particles:
    """Pick particles from a probability map; this computes, and reads the map once for all classes.

    Parameters
    ----------
    probability : xarray.DataArray, array or path
        Dims (z, y, x), or (class, z, y, x): probabilities in [0, 1], or a stored uint8 map from `open_tomogram`.
    threshold : float
        A voxel is foreground if its probability is above: 0.5 unless given, or 0.75 in the map of a 2D network (attribute
        ``network``). This and the following may be mappings by class, in which
        ``"*"`` stands for all others: ``{"ribosome": 0.4, "*": 0.5}``.
    min_size, max_size : int or str, or None
        A component is a particle if ``min_size < size <= max_size``: in voxels of the map, or as the diameter of a
        sphere, ``"90A"`` or ``"9nm"``.
    connectivity : {6, 18, 26}
        Which neighbors belong together.
    border : int or (int, int, int)
        Thickness (z, y, x) in voxels of the map that is excluded on each side before labelling.
    region : DataArray, array or path, optional
        Region mask on the map's voxels, or, in a file, on those of the tomogram that it was rescaled from; particles
        are picked where it is above 0.
    classes : str or sequence of str, optional
        Which of them; all unless given.

    Returns
    -------
    Particles
        Of all classes. Positions are in the voxels of what is given, so those of a box (``map.sel(z=slice(300, 500))``)
        count from its first voxel; in A (``z_angstrom`` and so on) they are the coordinates of the whole. Of a map
        that was computed at other voxels than the tomogram's, they are in the tomogram's voxels, as those of the
        command line.

    Raises
    ------
    InputError
        If a setting is out of range or names a class that is not there, or the region has another shape.
    """
    import dask
    import numpy as np

    # Particles know no files: what writes them registers itself when it is loaded.
    import deepict_dask.io.tables  # noqa: F401
    from deepict_dask.config import check_class_names, load_settings
    from deepict_dask.config.load import NONE
    from deepict_dask.engine.execute import active_client
    from deepict_dask.engine.labelling import as_blocks
    from deepict_dask.engine.picking import check_picking, component_parts, reduce_parts

    image = as_tomogram(probability, "a probability map", (3, 4))
    class_list = _classes(image)
    class_names = [classes] if isinstance(classes, str) else None if classes is None else list(classes)
    options = {
        "threshold": threshold, "min_size": min_size, "max_size": NONE if max_size is None else max_size,
        "connectivity": connectivity, "border": border, "classes": class_names,
    }  # fmt: skip
    settings = load_settings(None, options).pick
    check_class_names(settings, class_list, "the probability map")
    size = voxel_size_at(image)
    shape: Shape = image.shape[-3:]  # type: ignore[assignment]
    network = image.attrs.get("network", "unet3d")
    rules = {
        name: settings.of_class(name, network).in_voxels(size) for name in settings.classes or class_list
    }
    for rule in rules.values():
        check_picking(shape, rule.threshold, rule.connectivity, rule.border)
    mask = None if region is None else _region(region, image, size)
    scale = image.attrs.get("scale") if image.dtype.kind == "u" else None
    parts = []
    for name, rule in rules.items():
        voxels = as_blocks(image.data if image.ndim == 3 else image.data[class_list.index(name)])
        if image.dtype.kind == "f":
            voxels = voxels.map_blocks(_probabilities, dtype=image.dtype, meta=voxels._meta)
        parts.append(
            component_parts(
                voxels, threshold=rule.threshold, connectivity=rule.connectivity, border=rule.border,
                region=mask, scale=scale,
            )
        )  # fmt: skip
    active_client()  # refuses one that nothing can be waited for with
    tables = []
    for (name, rule), computed in zip(rules.items(), dask.compute(*parts), strict=True):
        table = reduce_parts(
            np.asarray(computed, object), shape, min_size=rule.min_size, max_size=rule.max_size,
            connectivity=rule.connectivity, border=rule.border, voxel_size=size, tomogram=str(image.name or ""),
            class_name=name if _is_named(image) else "",
            attributes={**dataclasses.asdict(rule), "border": list(rule.border), "region": mask is not None},
        )  # fmt: skip
        tables.append(_over_the_specimen(table, image, size))
    return tables[0] if len(tables) == 1 else join(tables)


def _probabilities(block: np.ndarray) -> np.ndarray:
    """Refuse what is no probability, such as a tomogram, or levels of 0 to 255 that lost their attribute ``scale``."""
    import numpy as np

    if block.size and (np.nanmin(block) < -1e-3 or np.nanmax(block) > 1 + 1e-3):
        raise InputError(
            f"the probability map holds values from {np.nanmin(block):g} to {np.nanmax(block):g}, and probabilities are between 0 "
            "and 1; give the map itself, or divide levels of 0 to 255 by 255"
        )
    return block


def _region(region: Any, image: xarray.DataArray, size: VoxelSize | None) -> da.Array:
    """Read a region mask by the one rule for masks: inside is above 0, NaN and values between 0 and 1 are refused."""
    import dask.array as da
    import numpy as np

    from deepict_dask.engine.labelling import as_blocks
    from deepict_dask.engine.stored import readable
    from deepict_dask.stages.mask import Mask, on_grid
    from deepict_dask.tomogram import Grid

    opened = as_tomogram(region, "a region mask")
    own_shape, stored = image.attrs.get("own_shape"), readable(opened.data)
    if (
        own_shape is not None
        and opened.shape == tuple(own_shape) != image.shape[-3:]
        and hasattr(stored, "__dask_tokenize__")
    ):
        # In a store, on the voxels of the tomogram that the map was rescaled from.
        grids = (
            Grid(opened.shape, voxel_size_at(opened)),  # type: ignore[arg-type]
            Grid(image.shape[-3:], size),  # type: ignore[arg-type]
            Grid(tuple(own_shape), tuple(image.attrs["own_voxel_size"])),  # type: ignore[arg-type]
        )
        mask = on_grid(Mask(stored, "the region mask", grids[1].shape), *grids)
        return da.from_array(mask, chunks="auto", asarray=False)
    blocks = as_blocks(opened.data)
    return blocks.map_blocks(_inside, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))


def _inside(block: np.ndarray) -> np.ndarray:
    from deepict_dask.stages.mask import Mask

    mask = Mask(block, "the region mask", block.shape, way_out="give MASK > 0.5, or another threshold")  # type: ignore[arg-type]
    return mask[:, :, :]


def _classes(image: xarray.DataArray) -> list[str]:
    """Name the classes of a map; one that names none finds particles."""
    if image.ndim == 4 and "class" in image.coords:
        return [str(name) for name in image.coords["class"].values]
    if image.ndim == 4:
        return [f"class_{i + 1}" for i in range(image.shape[0])]
    if "class" in image.coords:
        return [str(image.coords["class"].values)]
    named = list(image.attrs.get("classes") or [])
    return named if len(named) == 1 else ["particle"]


def _is_named(image: xarray.DataArray) -> bool:
    return image.ndim == 4 or "class" in image.coords or len(image.attrs.get("classes") or []) == 1


def _over_the_specimen(particles: Particles, image: xarray.DataArray, size: VoxelSize | None) -> Particles:
    """Put positions into the tomogram's own voxels, and tell where the first voxel lies."""
    own_size = image.attrs.get("own_voxel_size")
    shape: Shape | None = image.shape[-3:]  # type: ignore[assignment]
    if own_size is not None and size is not None:
        z, y, x = (a / b for a, b in zip(size, own_size, strict=True))
        particles = particles.scaled((z, y, x), tuple(own_size))
        shape = image.attrs.get("own_shape")
    start = start_of(image)
    # A box does not know the tomogram's shape.
    is_whole = start == tuple(image.attrs.get("origin", (0.0, 0.0, 0.0)))
    return dataclasses.replace(particles, origin=start, shape=shape if is_whole else None)
