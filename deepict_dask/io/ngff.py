"""OME-NGFF metadata as dictionaries: what we write, and what of others' we understand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepict_dask.errors import FormatError
from deepict_dask.io.class_colors import class_colors
from deepict_dask.tomogram import VoxelSize

_ANGSTROM = {
    "angstrom": 1.0,
    "nanometer": 10.0,
    "micrometer": 1e4,
    "millimeter": 1e7,
    "picometer": 1e-2,
    "meter": 1e10,
    # Not in the specification, but written.
    "Å": 1.0,
    "A": 1.0,
    "nm": 10.0,
    "um": 1e4,
    "µm": 1e4,
}


@dataclass(frozen=True)
class Multiscale:
    """The levels of an image and what their axes mean.

    Attributes
    ----------
    paths : tuple of str
        Arrays of the levels, finest first.
    axes : tuple of str
        Names of the axes, in order and in lower case; z, y and x are among them.
    voxel_size : (float, float, float) or None
        (z, y, x) of the finest level in A; None where no unit is given.
    scale : (float, float, float) or None
        (z, y, x) of the finest level, in whatever unit; None where there is none.
    units : tuple of str
        Of z, y, x, as written; empty where there is none.
    origin : (float, float, float) or None
        (z, y, x) in A of the center of the first voxel, where it is said.
    name : str
        Empty where there is none.
    version : str
        Of the metadata, ``"0.4"`` or ``"0.5"``; older ones as they say.
    """

    paths: tuple[str, ...]
    axes: tuple[str, ...]
    voxel_size: VoxelSize | None
    scale: VoxelSize | None
    units: tuple[str, str, str]
    origin: VoxelSize | None
    name: str
    version: str


def multiscale_attributes(
    *,
    name: str,
    version: str,
    voxel_size: tuple[float, float, float],
    n_levels: int,
    has_classes: bool,
    method: str,
    classes: Sequence[str] = (),
    largest: float = 1.0,
) -> dict[str, Any]:
    """Write the group attributes of an image.

    Parameters
    ----------
    name : str
        Of the image.
    version : str
        ``"0.5"`` or ``"0.4"``.
    voxel_size : (float, float, float)
        (z, y, x) of level 0 in A.
    n_levels : int
        Arrays ``"0"``, ``"1"``, ... each half as fine as the one before.
    has_classes : bool
        Whether there is a leading axis c.
    method : str
        ``"mean"`` or ``"nearest"``: how levels are made. The center of a cell of means lies
        half a voxel off that of its first voxel, which the translation says.
    classes : sequence of str
        Names of the channels of a probability map; viewers show them by the block ``omero``.
    largest : float
        The voxel that stands for a probability of 1.

    Returns
    -------
    dict
        To be set on the group.
    """
    lead = [0.0] if has_classes else []
    datasets = []
    for i in range(n_levels):
        scale = [1.0 for _ in lead] + [s * 2**i for s in voxel_size]
        shift = (2**i - 1) / 2 if method == "mean" else 0.0
        transforms = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": lead + [s * shift for s in voxel_size]},
        ]
        datasets.append({"path": str(i), "coordinateTransformations": transforms})
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if has_classes else []
    axes += [{"name": axis, "type": "space", "unit": "angstrom"} for axis in "zyx"]
    multiscale = {"name": name, "type": method, "axes": axes, "datasets": datasets}
    channels = {"omero": _omero(classes, largest)} if classes else {}
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscale}], **channels}
    return {"ome": {"version": version, "multiscales": [multiscale], **channels}}


def _omero(classes: Sequence[str], largest: float) -> dict[str, Any]:
    """Name channels for viewers, with the colors that our pictures have."""
    colors = class_colors(sorted(classes))
    window = {"min": 0.0, "max": largest, "start": 0.0, "end": largest}
    channels = [
        {
            "label": name,
            "color": colors[name].removeprefix("#"),
            "active": True,
            "window": dict(window),
            "coefficient": 1.0,
            "family": "linear",
            "inverted": False,
        }
        for name in classes
    ]
    return {"channels": channels, "rdefs": {"model": "color"}}


def read_multiscale(attributes: Mapping[str, Any], place: str) -> Multiscale | None:
    """Understand the attributes of a group.

    Parameters
    ----------
    attributes : mapping
        All attributes of the group.
    place : str
        What to call the group in errors.

    Returns
    -------
    Multiscale or None
        The first image of the group; None where the group is not an image.

    Raises
    ------
    FormatError
        If it is one but its metadata is incomplete, or its axes are not z, y, x and others.
    """
    inner = attributes.get("ome", attributes)
    if not isinstance(inner, Mapping) or not inner.get("multiscales"):
        return None
    try:
        image = inner["multiscales"][0]
        version = str(inner.get("version") or image.get("version") or "")
        axes = image.get("axes") or list("tczyx")  # before 0.3 the axes were understood
        names = tuple(str(axis if isinstance(axis, str) else axis["name"]).lower() for axis in axes)
        paths = tuple(str(level["path"]) for level in image["datasets"])
        of_level = image["datasets"][0].get("coordinateTransformations") or []
        overall = image.get("coordinateTransformations") or []
        steps = [(t["type"], t.get(t["type"])) for t in [*of_level, *overall]]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise FormatError(f"the OME-Zarr metadata of {place} is incomplete ({error!r})") from error
    for path in paths:
        # From a file: it names what lies in the group, and never leads out of it.
        if {"", ".", ".."} & set(path.split("/")):
            raise FormatError(
                f"the OME-Zarr metadata of {place} names the array {path!r:.80}, which is no name in it"
            )
    if not paths:
        raise FormatError(f"the OME-Zarr metadata of {place} names no dataset")
    if any(names.count(axis) != 1 for axis in "zyx"):
        raise FormatError(f"{place} has the axes {', '.join(names)}; a tomogram needs the axes z, y and x")
    where = [names.index(axis) for axis in "zyx"]
    units = [axes[i].get("unit") if isinstance(axes[i], Mapping) else None for i in where]
    scale, shift = _transformed(steps, names, place)
    in_angstrom = [_ANGSTROM.get(unit) if isinstance(unit, str) else None for unit in units]
    size = origin = None
    if scale is not None and None not in in_angstrom:
        size = _product(scale, in_angstrom)
        origin = _product(shift, in_angstrom) if any(shift) else None
    z, y, x = (str(unit or "") for unit in units)
    return Multiscale(paths, names, size, scale, (z, y, x), origin, str(image.get("name") or ""), version)


def contained_images(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a group only holds images (``bioformats2raw.layout``) and is none itself."""
    inner = attributes.get("ome", attributes)
    return isinstance(inner, Mapping) and "bioformats2raw.layout" in {**inner, **attributes}


def _transformed(
    steps: Sequence[tuple[str, Any]], names: tuple[str, ...], place: str
) -> tuple[VoxelSize | None, VoxelSize]:
    """Follow scales and translations; gives the scale of z, y, x, and where the first voxel is."""
    has_scale = False
    scale, shift = [1.0] * 3, [0.0] * 3
    for kind, values in steps:
        if kind == "scale":
            has_scale, factors = True, _numbers(values, kind, names, place)
            scale = [a * b for a, b in zip(scale, factors, strict=True)]
            shift = [a * b for a, b in zip(shift, factors, strict=True)]
        elif kind == "translation":
            shift = [a + b for a, b in zip(shift, _numbers(values, kind, names, place), strict=True)]
    z, y, x = scale
    return ((z, y, x) if has_scale else None), (shift[0], shift[1], shift[2])


def _numbers(values: Any, kind: str, names: tuple[str, ...], place: str) -> list[float]:
    """Give the (z, y, x) entries of a transformation, which has one per axis, or one per axis of space."""
    space = [name for name in names if name in "zyx"]
    try:
        if isinstance(values, str):
            raise TypeError
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (len(names), len(space)) or not all(map(math.isfinite, numbers)):
        raise FormatError(
            f"the OME-Zarr metadata of {place} gives the {kind} {values!r:.80}, which is not one number for each of "
            f"the axes {', '.join(names)}; mend it"
        )
    of = dict(zip(names if len(numbers) == len(names) else space, numbers, strict=True))
    return [of[axis] for axis in "zyx"]


def _product(a: Sequence[float], b: Sequence[Any]) -> VoxelSize:
    z, y, x = (float(p) * float(q) for p, q in zip(a, b, strict=True))
    return z, y, x
