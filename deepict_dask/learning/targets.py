"""Targets of a training: where each class is labelled in a tomogram, from positions, masks or both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deepict_dask.config.masks import MaskSettings
from deepict_dask.config.training import ClassSettings, LabelSettings, TomogramSettings, TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.channels import Channel, Channels
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.source import Source, open_source
from deepict_dask.learning.masks import masks
from deepict_dask.learning.positions import read_positions
from deepict_dask.stages.contents import read_contents
from deepict_dask.stages.mask import open_mask
from deepict_dask.stages.work import Work

# Of a volume of labels; more values than these are named by their number.
_FEW = 8


def make_targets(
    name: str,
    t: TomogramSettings,
    ingested: Image,
    image: Image,
    settings: TrainSettings,
    folder: Location,
    work: Work,
) -> tuple[Channels, Any]:
    """Make the targets of one tomogram.

    Parameters
    ----------
    name : str
        Of the tomogram.
    t : TomogramSettings
        Its positions and masks. A table without rows and a mask without voxels say that there is nothing in it.
    ingested, image : Image
        The tomogram as it came, and as it is trained on.
    settings : TrainSettings
        Of the training.
    folder : Location
        Of the tomogram; spheres at positions are written there.
    work : Work
        Follows the blocks.

    Returns
    -------
    targets : Channels
        uint8, shape (class, z, y, x), of 0 and 1.
    identity : object
        What they were made from, as plain values.

    Raises
    ------
    InputError
        If a table or mask cannot be read or does not fit, or a mask covers everything.
    """
    classes = settings.class_names
    if isinstance(t.masks, str):
        return _own_masks(name, t.masks, classes, ingested, image)
    channels: dict[str, Channel] = {}
    identity: Any = {}
    if at_positions := t.at_positions(classes):
        channels, identity = _spheres(name, t, at_positions, ingested, image, settings, folder, work)
    if t.masks:
        checksums = {}
        for class_name, entry in t.masks.items():
            channels[class_name], checksums[class_name] = _mask(
                class_name, entry, ingested, image, folder, work
            )
        identity = {"positions": identity, "masks": checksums} if identity else checksums
    # None: this tomogram has nothing of the class.
    return Channels([channels.get(n) for n in classes], image.shape), identity  # type: ignore[arg-type]


def check_shared_masks(t: TomogramSettings) -> None:
    """Refuse one volume for two classes where it is not said which of its values is which.

    Raises
    ------
    InputError
        Naming the values that the volume holds.
    """
    users: dict[str, list[str]] = defaultdict(list)
    values: dict[str, list[int]] = defaultdict(list)
    for class_name, entry in t.masks.items() if isinstance(t.masks, dict) else ():
        labels = entry if isinstance(entry, LabelSettings) else LabelSettings(path=entry)
        where = str(Location.of(labels.path))
        users[where].append(class_name)
        values[where] += labels.values or [0]
        if len(users[where]) == 1:
            continue
        twice = [v for v in values[where] if values[where].count(v) > 1]
        if twice or 0 in values[where]:
            first, second = users[where][:2]
            held = _values_of(labels.path)
            raise InputError(
                f"the mask {labels.path} is given for the classes {first!r} and {second!r} of {t.tomogram}{held}; say "
                f"which are of which class, such as masks: {{{first}: {{path: {labels.path}, values: [1]}}, ...}}"
            )


def _spheres(
    name: str,
    t: TomogramSettings,
    classes: Sequence[str],
    ingested: Image,
    image: Image,
    settings: TrainSettings,
    folder: Location,
    work: Work,
) -> tuple[dict[str, Channel], Any]:
    """Label spheres at the positions of some classes."""
    assert t.positions is not None
    tables = {n: t.positions if isinstance(t.positions, str) else t.positions[n] for n in classes}
    # In the voxels of what is trained on; rescaling keeps the center of the first voxel in place.
    factor = tuple(a / b for a, b in zip(ingested.voxel_size or (), image.voxel_size or (), strict=True))
    present = {
        n: p if image.shape == ingested.shape else p.scaled(factor, image.voxel_size)  # type: ignore[arg-type]
        for n, p in read_positions(
            tables, replace(ingested, name=name), work.reporter, may_be_absent=True
        ).items()
        if len(p)
    }
    if not present:
        work.reporter.say(f"{name}: no positions, so all of it is background")
        return {}, "no positions"
    radii = {c.name: c for c in settings.classes if c.name in present}
    spheres = MaskSettings(
        radius={n: c.radius for n, c in radii.items() if c.unit == "voxels" and c.radius} or None,
        radius_nm={n: c.radius for n, c in radii.items() if c.unit == "nm" and c.radius} or None,
    )
    made = masks(replace(image, name=name), present, folder, spheres, work)
    for c in radii.values():
        _warn_of_radius(c, image, settings.patches.patch, work)
    stored = made.array
    numbers = {n: Channel(stored, k if stored.ndim == 4 else None) for k, n in enumerate(present)}
    return numbers, _compared(made)


def _warn_of_radius(c: ClassSettings, image: Image, patch: int, work: Work) -> None:
    assert c.radius is not None and image.voxel_size is not None
    edge = min(image.voxel_size)
    in_voxels = c.radius if c.unit == "voxels" else 10 * c.radius / edge
    if 2 * in_voxels > patch:
        work.reporter.warn(
            f"a sphere of radius {c.radius:g} {c.unit} for class {c.name!r} is {2 * in_voxels:.0f} voxels wide, more than a "
            f"patch of {patch}; if {c.radius:g} is in A, the radius is {c.radius / 10:g} nm or {c.radius / edge:.3g} voxels"
        )


def _mask(
    class_name: str, entry: str | LabelSettings, ingested: Image, image: Image, folder: Location, work: Work
) -> tuple[Channel, Any]:
    """Open the mask of one class, and read it once."""
    labels = entry if isinstance(entry, LabelSettings) else LabelSettings(path=entry)
    values = tuple(labels.values) if labels.values else None
    what = f"the mask of class {class_name!r}"
    source, mask = open_mask(labels.path, image.grid, ingested.grid, what=what, values=values)
    contents = read_contents(source, work, folder, values or ())
    file, n_inside = contents.file, contents.n_inside
    n_voxels = int(np.prod(source.shape))
    if n_inside == n_voxels and values is None:
        raise InputError(
            f"{what} {source.path} is above 0 in all of its {n_voxels} voxels, so there is no background to learn; a "
            "mask is 0 outside"
        )
    if absent := [str(v) for v, n in zip(values or (), contents.n_of_values, strict=True) if n == 0]:
        work.reporter.warn(
            f"{what} {source.path} holds no voxel of the value {' or '.join(absent)}{_values_of(labels.path)}; correct the values "
            f"unless there is none in {ingested.name}"
        )
    if n_inside == 0:
        work.reporter.say(f"{what} {source.path} is empty, so there is none in {ingested.name}")
    return Channel(mask), file.checksum if values is None else [file.checksum, *values]


def _own_masks(
    name: str, path: str, classes: Sequence[str], ingested: Image, image: Image
) -> tuple[Channels, Any]:
    """Open what `deepict-dask masks` wrote."""
    made = open_image(path)
    stored_classes = made.classes
    if made.is_foreign or made.attributes.get("kind") != "labels" or not stored_classes:
        raise InputError(
            f"{path} was not written by `deepict-dask masks`; name a volume per class instead: "
            f"masks: {{{classes[0]}: {path}}}"
        )
    if missing := [n for n in classes if n not in stored_classes]:
        raise InputError(
            f"the masks {path} of {name} lack class {missing[0]!r}; they have {', '.join(stored_classes)}"
        )
    if made.spatial_shape != image.shape:
        raise InputError(
            f"the masks {path} have {made.grid}, but {name} has {image.grid}; make them for these voxels, or give "
            "positions"
        )
    stored = made.array
    is_labels = made.attributes.get("layout") == "labels" and len(stored_classes) > 1
    channels = [
        Channel(stored, None, stored_classes.index(n) + 1)
        if is_labels
        else Channel(stored, stored_classes.index(n) if stored.ndim == 4 else None)
        for n in classes
    ]
    return Channels(channels, image.shape), _compared(made)  # type: ignore[arg-type]


def _values_of(path: str) -> str:
    """Say which values above 0 a volume of whole numbers holds; nothing where it would have to be unpacked."""
    source: Source = open_source(path)
    if source.is_packed or source.dtype.kind not in "iu":
        return ""
    values: set[int] = set()
    for z in range(source.shape[0]):
        values |= set(np.unique(np.asarray(source[z : z + 1])).tolist())
        if len(values) > 4 * _FEW:
            return f", and holds more than {4 * _FEW} values"
    above = sorted(v for v in values if v > 0)
    return f", and holds the values {', '.join(map(str, above[:_FEW]))}{', ...' * (len(above) > _FEW)}"


def _compared(image: Image) -> Any:
    """Give what decides on an image as plain values."""
    made_by = image.provenance
    return None if made_by is None else made_by.compared()
