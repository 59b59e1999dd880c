"""Evaluate probability maps and masks voxel by voxel, block by block, per tomogram and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask.engine.evaluate import add_counts, voxel_count_parts
from deepict_dask.engine.execute import execute
from deepict_dask.errors import InputError
from deepict_dask.geometry import block_grid
from deepict_dask.io.formats.zarr_volume import is_zarr
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.source import open_source
from deepict_dask.kernels.curves import Curve, precision_recall_curve
from deepict_dask.kernels.voxel_counts import VoxelCounts
from deepict_dask.scoring.scores import POOLED, Evaluation, Scores
from deepict_dask.stages import memory
from deepict_dask.stages.mask import Mask, mask_grid, open_mask
from deepict_dask.stages.picking.maps import find_maps
from deepict_dask.stages.report import Reporter
from deepict_dask.tomogram import Grid, by

# One task reads a block of at most this edge from both volumes.
_BLOCK = 208


@dataclass(frozen=True, eq=False)
class _Volume:
    """One channel of a volume, and how its voxels are to be read."""

    path: str
    name: str
    array: da.Array
    grid: Grid
    own_grid: Grid
    scale: float | None
    is_mask: bool


def evaluate_voxels(
    maps: str,
    truth: str,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    threshold: float = 0.5,
    class_name: str | Sequence[str] | None = None,
    truth_value: int | tuple[int, ...] | None = None,
    resample: bool = False,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Compare probability maps or masks with truth masks, voxel by voxel.

    Parameters
    ----------
    maps : path
        A run folder or the folder of a tomogram in it (their probability maps are taken), a map, or a
        mask. Maps that this package wrote and floating-point volumes hold probabilities; any other
        volume is a mask, in which what is above 0 is predicted.
    truth : path
        Volume of the same shape. ``{name}`` stands for the tomogram's name, and must be there for
        several tomograms; ``{class}`` for the class.
    pairs : sequence of (map, truth)
        Further tomograms.
    threshold : float
        A voxel is predicted if its probability is strictly above.
    class_name : str or sequence of str, optional
        Classes of the maps; all unless given.
    truth_value : int or tuple of int, optional
        Only this value of the truth, or these, belong to the class; what is above 0 unless given.
    resample : bool
        Whether a truth on other voxels than those of the tomogram or the map is resampled.
    reporter : Reporter, optional
        Follows the blocks.

    Returns
    -------
    Evaluation
        Precision, recall and F1 (Dice) above the threshold are exact. The curve of a uint8 map has a point for
        every level; other maps are read in 4096 equal bins. Every count is a whole number, so the result is the
        same for every block size and scheduler.

    Raises
    ------
    InputError
        If something is not there, the shapes differ, or a class is not known.
    """
    reporter = reporter or Reporter()
    class_names = [class_name] if isinstance(class_name, str) else list(class_name or ())
    counted: list[tuple[str, str, VoxelCounts]] = []
    all_pairs = [(maps, truth), *pairs]
    for map_path, truth_path in all_pairs:
        where = Location.of(map_path)
        paths = [where] if where.is_file() or is_zarr(where) else list(find_maps(where))
        if len(paths) > 1 and "{name}" not in str(truth_path):
            raise InputError(
                f"{map_path} holds {len(paths)} probability maps; write {{name}} in the path of the truth where "
                "the tomogram's name belongs"
            )
        for path in paths:
            for name, volume in _volumes(path, class_names).items():
                counted.append(
                    (
                        name,
                        volume.name,
                        _count(volume, truth_path, name, threshold, truth_value, resample, reporter),
                    )
                )
    names = [(c, n) for c, n, _ in counted]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f"tomogram {twice[1]!r} was given twice; give each tomogram once")
    classes = list(dict.fromkeys(c for c, _, _ in counted))
    by_class = {c: [(n, counts) for name, n, counts in counted if name == c] for c in classes}
    return Evaluation(
        "voxels",
        [_scores(c, n, [counts]) for c, of_class in by_class.items() for n, counts in of_class],
        [_scores(c, POOLED, [counts for _, counts in of_class]) for c, of_class in by_class.items()],
        {
            "threshold": threshold,
            "truth_value": truth_value,
            "classes": classes,
            "pairs": [[str(a), str(b)] for a, b in all_pairs],
        },
    )


def is_volume_pair(picks: str, truth: str) -> bool:
    """Tell whether voxels are to be compared, rather than tables of positions.

    A file or Zarr group as truth that is no table is a mask.
    """
    where = Location.of(truth.replace("{name}", "_").replace("{class}", "_"))
    if where.suffix.lower() in (".csv", ".star", ".parquet"):
        return False
    return where.suffix != "" and (not where.is_folder() or is_zarr(where))


def _volumes(where: Location, class_names: Sequence[str]) -> dict[str, _Volume]:
    """Open a map or a mask; one volume per class that is wanted."""
    image = _own_map(where)
    if image is None:
        if len(class_names) > 1:
            raise InputError(
                f"{where} is one volume and cannot hold {len(class_names)} classes; choose one class"
            )
        source = open_source(where)
        is_mask = source.dtype.kind != "f"
        voxels: Any = Mask(source, f"the mask {where}", source.shape) if is_mask else source
        chunks = block_grid(source.shape, _BLOCK, align=8).chunks
        array = da.from_array(voxels, chunks=chunks, asarray=False)
        grid = mask_grid(source)
        name = (class_names or [""])[0]
        return {name: _Volume(str(where), tomogram_name(where), array, grid, grid, None, is_mask)}
    classes = image.classes or [""]
    for name in class_names:
        if image.classes and name not in classes:
            raise InputError(f"there is no class {name!r} in {where}; it has {', '.join(classes)}")
    scale = image.attributes.get("scale") if image.dtype.kind == "u" else None
    chosen = list(class_names) or classes
    return {
        name: _Volume(
            image.path,
            image.name,
            _channel(image, classes.index(name) if name in classes else 0),
            image.grid,
            image.own_grid,
            scale,
            False,
        )
        for name in chosen
    }


def _own_map(location: Location) -> Image | None:
    try:
        image = open_image(location)
    except InputError:
        return None
    if image.is_foreign or image.kind != "probability":
        return None
    if not image.is_complete:
        raise InputError(f"{image.path} was never finished; run segment again")
    return image


def _channel(image: Image, number: int) -> da.Array:
    """Give one class of a stored map."""
    chunks = block_grid(image.spatial_shape, _BLOCK, align=8).chunks
    # What was not computed holds nothing but voxels that were left out: no foreground.
    array = image.array.zeros_where_not_computed()
    if array.ndim == 3:
        return da.from_array(array, chunks=chunks, asarray=False)
    return da.from_array(array, chunks=((1,) * array.shape[0], *chunks), asarray=False)[number]


def _count(
    volume: _Volume,
    truth: str,
    class_name: str,
    threshold: float,
    truth_value: int | tuple[int, ...] | None,
    resample: bool,
    reporter: Reporter,
) -> VoxelCounts:
    path = str(truth).replace("{name}", volume.name).replace("{class}", class_name)
    values = (truth_value,) if isinstance(truth_value, int) else truth_value
    _, mask = open_mask(
        path,
        volume.grid,
        volume.own_grid,
        what="the truth mask",
        values=values,
        resample=resample,
        option="--resample",
    )
    # Blocks of the shape alone: how the map and the mask are stored decides nothing.
    grid = block_grid(volume.grid.shape, _BLOCK, align=8)
    memory.check_memory(
        memory.evaluate_voxels(grid, volume.array.dtype.itemsize + np.dtype(mask.dtype).itemsize),
        f"blocks of {by(grid.core)} voxels",
        "use fewer --threads, or fewer workers with more memory each",
    )
    chunks = grid.chunks
    parts = voxel_count_parts(
        volume.array.rechunk(chunks),
        da.from_array(mask, chunks=chunks, asarray=False),
        threshold=threshold,
        scale=volume.scale,
        is_mask=volume.is_mask,
    )
    with reporter.progress("evaluate", volume.name, parts.size) as advance:
        return add_counts(execute(parts, advance, name=f"evaluate-{volume.name}"))


def _scores(class_name: str, tomogram: str, counts: Sequence[VoxelCounts]) -> Scores:
    n_truth = sum(c.n_truth for c in counts)
    return Scores.of_counts(
        class_name,
        tomogram,
        n_picked=sum(c.n_predicted for c in counts),
        n_truth=n_truth,
        n_matched=sum(c.n_both for c in counts),
        curve=_curve(counts, n_truth),
    )


def _curve(counts: Sequence[VoxelCounts], n_truth: int) -> Curve | None:
    if any(not len(c.true) for c in counts):
        return None
    values, true, false = (
        np.concatenate([getattr(c, name) for c in counts]) for name in ("values", "true", "false")
    )
    filled = true + false > 0
    return precision_recall_curve(values[filled], true[filled], (true + false)[filled], n_truth)
