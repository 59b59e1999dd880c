"""Pick: from a stored probability map to particle tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da

from deepict_dask import __version__
from deepict_dask.config import ClassPickSettings, PickSettings, check_class_names
from deepict_dask.config.pick import named_classes
from deepict_dask.engine.execute import execute
from deepict_dask.engine.foreground import segmentation
from deepict_dask.engine.labelling import label
from deepict_dask.engine.picking import check_picking, component_parts, reduce_parts
from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.ome_zarr import Image, create_image, mark_complete, update_attributes
from deepict_dask.io.tables import write_particles
from deepict_dask.particles import Particles
from deepict_dask.stages.output import is_finished, read_json, write_json
from deepict_dask.stages.region import open_region
from deepict_dask.stages.report import Reporter

SUFFIXES = {"csv": ".csv", "motl": "_motl.csv", "star": ".star", "parquet": ".parquet"}


@dataclass(frozen=True)
class Picked:
    """What picking one class of one tomogram gave."""

    class_name: str
    n_particles: int
    tables: tuple[Path, ...]


def pick(
    probability: Image,
    output: Path,
    settings: PickSettings | None = None,
    *,
    reporter: Reporter | None = None,
    overwrite: bool = False,
) -> list[Picked]:
    """Pick particles from a stored probability map and write their tables.

    Parameters
    ----------
    probability : Image
        Complete; from the stage `segment`.
    output : Path
        Folder for the tables: ``particles.csv`` and so on, ``particles_CLASS.csv`` for several classes.
    settings : PickSettings, optional
        Threshold, sizes (voxels of the map), connectivity, border (voxels of the map), region.
    reporter : Reporter, optional
        Follows the blocks.
    overwrite : bool
        Whether tables made with other settings may be replaced.

    Returns
    -------
    list of Picked
        One per class. Positions in the tables are in voxels of the tomogram as it was given, also where
        it was rescaled for the network.
    """
    settings, reporter = settings or PickSettings(), reporter or Reporter()
    if not probability.is_complete:
        raise InputError(f"{probability.path} was never finished; run segment again")
    known = probability.classes or ["particle"]
    check_class_names(settings, known, probability.path)
    wanted = check_classes(settings.classes, known, probability.path)
    for name in wanted:
        own = settings.of_class(name).in_voxels(probability.voxel_size)
        check_picking(_spatial(probability), own.threshold, own.connectivity, own.border)
    return [
        _pick_class(probability, output, settings, name, known, reporter, overwrite=overwrite)
        for name in wanted
    ]


def check_pick(settings: PickSettings, tomogram: Image) -> None:
    """Check what picking will need of a tomogram before an inference is spent on it.

    Parameters
    ----------
    settings : PickSettings
        Region and border.
    tomogram : Image
        As it was given.

    Raises
    ------
    InputError
        If the region mask is not there or has another shape, or the border leaves nothing.
    """
    for name in ("*", *named_classes(settings)):
        own = settings.of_class(name)
        if own.region is not None:
            open_region(own.region, tomogram)
        check_picking(_spatial(tomogram), own.threshold, own.connectivity, own.border)


def check_classes(wanted: list[str] | None, known: Sequence[str], where: str) -> list[str]:
    """Give the classes to pick; all that are known if none are wanted.

    Raises
    ------
    InputError
        If one is not known.
    """
    for name in wanted or ():
        if name not in known:
            raise InputError(f"there is no class {name!r} in {where}; it has {', '.join(known)}")
    return list(wanted or known)


def _pick_class(
    probability: Image,
    output: Path,
    settings: PickSettings,
    class_name: str,
    known: list[str],
    reporter: Reporter,
    *,
    overwrite: bool,
) -> Picked:
    stem = "particles" if len(known) == 1 else f"particles_{class_name}"
    tables = tuple(output / f"{stem}{SUFFIXES[name]}" for name in settings.formats)
    shape = _spatial(probability)
    own = settings.of_class(class_name).in_voxels(probability.voxel_size)
    region = None if own.region is None else open_region(own.region, probability)
    made_by: dict[str, Any] = {
        "stage": "pick",
        "probability": probability.attributes["made_by"],
        "class": class_name,
        "settings": {
            "threshold": own.threshold,
            "min_size": own.min_size,
            "max_size": own.max_size,
            "connectivity": own.connectivity,
            "border": list(own.border),
            "formats": list(settings.formats),
            "write_labels": settings.write_labels,
        },
        "region": None if region is None else region[0],
    }
    side = output / f"{stem}.json"
    before = read_json(side)
    if is_finished(side, made_by, overwrite) and all(t.exists() for t in tables):
        return Picked(class_name, int(before["n_particles"]), tables)
    # Tables of earlier settings must not lie beside the new ones as if they belonged together.
    for old in before.get("tables", ()):
        (output / old).unlink(missing_ok=True)
    labels = output / f"{stem}_labels.zarr"
    if not settings.write_labels and labels.exists():
        is_finished(labels, made_by, overwrite=True)
    levels = _class_array(probability, known.index(class_name))
    mask = None if region is None else da.from_array(region[1], chunks=levels.chunks, asarray=False)
    scale = probability.attributes.get("scale") if levels.dtype.kind == "u" else None
    rules: dict[str, Any] = {"connectivity": own.connectivity, "border": own.border}
    parts = component_parts(levels, threshold=own.threshold, region=mask, scale=scale, **rules)
    with reporter.progress("pick", probability.name, parts.size) as advance:
        found = reduce_parts(
            execute(parts, advance=advance),
            shape,
            min_size=own.min_size,
            max_size=own.max_size,
            voxel_size=probability.voxel_size,
            tomogram=probability.name,
            class_name=class_name,
            attributes=made_by["settings"],
            **rules,
        )
    particles = _in_own_voxels(found, probability)
    for table, name in zip(tables, settings.formats, strict=True):
        write_particles(particles, table, name)
    if settings.write_labels:
        _write_labels(labels, probability, levels, mask, scale, own, made_by, reporter)
    write_json(
        side,
        {
            "complete": True,
            "n_particles": len(particles),
            "tomogram": probability.name,
            "voxel_size": particles.voxel_size,
            "tables": [t.name for t in tables],
            "package_version": __version__,
            "made_by": made_by,
        },
    )
    return Picked(class_name, len(particles), tables)


def _in_own_voxels(found: Particles, probability: Image) -> Particles:
    """Give positions in the voxels of the tomogram as it came, where it was rescaled for the network."""
    own = probability.attributes.get("own_voxel_size")
    if own is None or probability.voxel_size is None:
        return found
    z, y, x = (map_edge / edge for map_edge, edge in zip(probability.voxel_size, own, strict=True))
    return found.scaled((z, y, x), tuple(own))


def _class_array(probability: Image, number: int) -> da.Array:
    core: Shape = tuple(probability.attributes["core"])  # type: ignore[assignment]
    grid = BlockGrid(_spatial(probability), core)
    array = probability.array
    if array.ndim == 3:
        return da.from_array(array, chunks=grid.chunks, asarray=False)
    return da.from_array(array, chunks=((1,) * array.shape[0], *grid.chunks), asarray=False)[number]


def _spatial(probability: Image) -> Shape:
    z, y, x = probability.shape[-3:]
    return z, y, x


def _write_labels(
    path: Path,
    probability: Image,
    levels: da.Array,
    mask: da.Array | None,
    scale: float | None,
    settings: ClassPickSettings,
    made_by: dict[str, Any],
    reporter: Reporter,
) -> None:
    """Write the label image: the same components, by number, before sizes are looked at."""
    if is_finished(path, made_by, overwrite=True):
        return
    above = segmentation(
        levels, threshold=settings.threshold, border=settings.border, region=mask, scale=scale
    )
    labels = label(above, connectivity=settings.connectivity)
    image = create_image(
        path,
        shape=_spatial(probability),
        dtype=labels.dtype,
        voxel_size=probability.voxel_size,  # type: ignore[arg-type]
        name=probability.name,
        core=tuple(probability.attributes["core"]),
        n_levels=1,
        version=probability.version,
        kind="labels",
    )
    update_attributes(path, made_by=made_by)
    with reporter.progress("labels", probability.name, labels.npartitions):
        da.store(labels, image.array, lock=False)
    mark_complete(path, package_version=__version__)


def pickable(paths: list[str]) -> Iterator[Path]:
    """Find the probability maps in run folders, or take them as they are named.

    Raises
    ------
    InputError
        Where there is none.
    """
    for given in map(Path, paths):
        if (given / "zarr.json").exists() or (given / ".zgroup").exists():
            yield given
            continue
        found = sorted(given.glob("probability.zarr")) + sorted(given.glob("*/probability.zarr"))
        if not found:
            raise InputError(
                f"{given} holds no probability map; give a run folder, the folder of a tomogram in it, "
                "or a probability.zarr"
            )
        yield from found
