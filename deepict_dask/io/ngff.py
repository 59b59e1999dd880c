"""OME-NGFF metadata as dictionaries: what we write, and what of others' we understand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepict_dask.errors import FormatError

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
        Names of the axes, in order.
    voxel_size : (float, float, float) or None
        (z, y, x) of the finest level in A; None where no unit is given.
    name : str
        Empty where there is none.
    version : str
        Of the metadata, ``"0.4"`` or ``"0.5"``; older ones as they say.
    """

    paths: tuple[str, ...]
    axes: tuple[str, ...]
    voxel_size: tuple[float, float, float] | None
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
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscale}]}
    return {"ome": {"version": version, "multiscales": [multiscale]}}


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
        If it is one but its metadata is incomplete, or its last axes are not z, y, x.
    """
    inner = attributes.get("ome", attributes)
    if not isinstance(inner, Mapping) or not inner.get("multiscales"):
        return None
    try:
        image = inner["multiscales"][0]
        version = str(inner.get("version") or image.get("version") or "")
        axes = image.get("axes") or list("tczyx")  # before 0.3 the axes were understood
        names = tuple(axis if isinstance(axis, str) else str(axis["name"]) for axis in axes)
        paths = tuple(str(level["path"]) for level in image["datasets"])
        first = image["datasets"][0].get("coordinateTransformations", [])
        overall = image.get("coordinateTransformations", [])
        scales = [t["scale"] for t in [*first, *overall] if t["type"] == "scale"]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise FormatError(f"the OME-Zarr metadata of {place} is incomplete ({error!r})") from error
    if names[-3:] != ("z", "y", "x"):
        raise FormatError(
            f"{place} has the axes {', '.join(names)}; a tomogram's last three axes must be z, y, x"
        )
    return Multiscale(paths, names, _voxel_size(axes[-3:], scales), str(image.get("name") or ""), version)


def _voxel_size(axes: Sequence[Any], scales: Sequence[Sequence[float]]) -> tuple[float, float, float] | None:
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in axes]
    if not scales or any(unit not in _ANGSTROM for unit in units):
        return None
    size = [_ANGSTROM[str(unit)] for unit in units]
    for scale in scales:
        size = [a * float(b) for a, b in zip(size, scale[-3:], strict=True)]
    z, y, x = size
    return z, y, x
