"""What a training sees: tomograms, brought to one voxel size and one spectrum, and the targets in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepict_dask.config.masks import MaskSettings
from deepict_dask.config.training import TomogramSettings, TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.channels import Channel, Channels
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.tables import read_particles
from deepict_dask.learning.masks import masks
from deepict_dask.names import first_duplicate
from deepict_dask.networks.card import Preprocessing
from deepict_dask.particles import Particles
from deepict_dask.scoring.judge import ingest_settings, names_of
from deepict_dask.stages.contents import read_contents
from deepict_dask.stages.equalize import open_target
from deepict_dask.stages.ingest import open_tomogram
from deepict_dask.stages.mask import open_mask
from deepict_dask.stages.prepare import prepare_tomogram
from deepict_dask.stages.work import Work
from deepict_dask.tomogram import VoxelSize, angstrom, same_voxel_size

if TYPE_CHECKING:
    from deepict_dask.networks.training.dataset import TrainingTomogram


@dataclass(frozen=True)
class TrainingData:
    """Tomograms with targets, and what a model card has to say about them.

    Attributes
    ----------
    tomograms : tuple of TrainingTomogram
        In the order of the settings.
    voxel_size : float
        Edge in A.
    preprocessing : Preprocessing
        What was done to all of them.
    identities : dict
        What each was made from, by its name; plain values.
    """

    tomograms: tuple[TrainingTomogram, ...]
    voxel_size: float
    preprocessing: Preprocessing
    identities: dict[str, Any]


def prepare_training_data(
    settings: TrainSettings,
    work: Work,
) -> TrainingData:
    """Ingest the tomograms of a training, rescale and equalize them if asked to, and make their targets.

    Parameters
    ----------
    settings : TrainSettings
        Each tomogram gets a folder of its name in ``data``; what is complete there is not made again.
    work : Work
        Follows the blocks.

    Returns
    -------
    TrainingData

    Raises
    ------
    InputError
        If a file cannot be read, names are not unique, voxel sizes differ, a mask is missing or has another
        shape, or nothing is labelled.
    """
    from deepict_dask.networks.training.dataset import TrainingTomogram

    folder = Location.of(settings.data) if settings.data else Location.of(settings.output) / "data"
    names = names_of(settings)
    if twice := first_duplicate(names):
        raise InputError(f"two tomograms to train on are called {twice!r}; give each a name of its own")
    target = open_target(settings.equalize)
    sizes = [open_tomogram(t.tomogram, ingest_settings(t)).voxel_size for t in settings.tomograms]
    voxel_size = settings.model_voxel_size or _edge(sizes[0])
    found, identities, done = [], {}, []
    for name, t, size in zip(names, settings.tomograms, sizes, strict=True):
        assert size is not None
        if settings.model_voxel_size is None and not same_voxel_size(size, voxel_size):
            raise InputError(
                f"{name} has voxels of {angstrom(size)}, but {names[0]} of {voxel_size:g} A; set "
                "model_voxel_size to resample tomograms to one"
            )
        prepared = prepare_tomogram(
            t.tomogram,
            name,
            folder / name,
            ingest_settings(t),
            work,
            voxel_size=settings.model_voxel_size,
            target=target,
            equalize=settings.equalize,
        )
        own, image = prepared.own, prepared.image
        channels, identity = _targets(name, t, own, image, settings, folder / name, work)
        statistics = image.statistics
        found.append(
            TrainingTomogram(
                name, image.array, statistics.mean, statistics.std, channels, _box(t, own, image)
            )
        )
        identities[name] = {"tomogram": _compared(image), "target": identity, "box": t.box}
        done.append(_preprocessing(image))
    if any(p != done[0] for p in done):
        odd = next(k for k, p in enumerate(done) if p != done[0])
        raise InputError(
            f"{names[odd]} was equalized in another way than {names[0]} ({done[odd].equalization} and "
            f"{done[0].equalization}); train on tomograms that were prepared alike"
        )
    return TrainingData(tuple(found), voxel_size, done[0], identities)


def _targets(
    name: str,
    t: TomogramSettings,
    own: Image,
    image: Image,
    settings: TrainSettings,
    folder: Location,
    work: Work,
) -> tuple[Channels, Any]:
    """Give the channels of a tomogram, and what they were made from."""
    classes = settings.class_names
    if isinstance(t.masks, str):
        return _own_masks(name, t.masks, classes, own, image)
    found: dict[str, Channel] = {}
    identity: Any = {}
    if at_positions := t.at_positions(classes):
        # In the voxels of what is trained on; rescaling keeps the center of the first voxel in place.
        factor = tuple(a / b for a, b in zip(own.voxel_size or (), image.voxel_size or (), strict=True))
        present = {
            n: p if image.shape == own.shape else p.scaled(factor, image.voxel_size)  # type: ignore[arg-type]
            for n, p in _positions(name, t, at_positions).items()
            if len(p)
        }
        radii = {c.name: c for c in settings.classes if c.name in present}
        mask_settings = MaskSettings(
            radius={n: c.radius for n, c in radii.items() if c.unit == "voxels" and c.radius} or None,
            radius_nm={n: c.radius for n, c in radii.items() if c.unit == "nm" and c.radius} or None,
        )
        made = masks(replace(image, name=name), present, folder, mask_settings, work)
        stored = made.array
        found = {n: Channel(stored, k if stored.ndim == 4 else None) for k, n in enumerate(present)}
        identity = _compared(made)
    if t.masks:
        checksums = {}
        for n, path in t.masks.items():
            source, mask = open_mask(path, image.grid, own.grid, what=f"the mask of class {n!r}")
            found[n] = Channel(mask)
            checksums[n] = read_contents(source, work, folder)[0].checksum
        identity = {"positions": identity, "masks": checksums} if identity else checksums
    # None: this tomogram has no positions of the class, which is then nowhere in it.
    return Channels([found.get(n) for n in classes], image.shape), identity  # type: ignore[arg-type]


def _positions(name: str, t: TomogramSettings, classes: Sequence[str]) -> dict[str, Particles]:
    found = {}
    for n in classes:
        path = t.positions if isinstance(t.positions, str) else t.positions[n]  # type: ignore[index]
        if isinstance(t.positions, str) and len(classes) > 1:
            found[n] = read_particles(path, class_name=n)
            continue
        try:
            found[n] = read_particles(path, class_name=n)
        except InputError:
            # No column of classes: all rows are of this class. What else is wrong shows again here.
            found[n] = read_particles(path)
    if not any(len(p) for p in found.values()):
        raise InputError(
            f"{t.positions} has no positions of class {', '.join(classes)} for {name}; check the names of the classes"
        )
    return found


def _own_masks(
    name: str, path: str, classes: Sequence[str], own: Image, image: Image
) -> tuple[Channels, Any]:
    made = open_image(path)
    known = made.classes
    if made.is_foreign or made.attributes.get("kind") != "labels" or not known:
        raise InputError(
            f"{path} was not written by `deepict-dask masks`; name a volume per class instead: "
            f"masks: {{{classes[0]}: {path}}}"
        )
    if missing := [n for n in classes if n not in known]:
        raise InputError(
            f"the masks {path} of {name} lack class {missing[0]!r}; they have {', '.join(known)}"
        )
    if made.spatial_shape != image.shape:
        raise InputError(
            f"the masks {path} have {made.grid}, but {name} has {image.grid}; make them for these voxels, or give "
            "positions"
        )
    stored = made.array
    labels = made.attributes.get("layout") == "labels" and len(known) > 1
    channels = [
        Channel(stored, None, known.index(n) + 1)
        if labels
        else Channel(stored, known.index(n) if stored.ndim == 4 else None)
        for n in classes
    ]
    return Channels(channels, image.shape), _compared(made)  # type: ignore[arg-type]


def _box(t: TomogramSettings, own: Image, image: Image) -> tuple[slice, slice, slice] | None:
    if t.box is None:
        return None
    parts = []
    for axis, n, m in zip("zyx", own.shape, image.shape, strict=True):
        start, stop = t.box.get(axis, (0, n))  # type: ignore[call-overload]
        parts.append(slice(round(start * m / n), min(round(stop * m / n), m)))
    return parts[0], parts[1], parts[2]


def _preprocessing(image: Image) -> Preprocessing:
    made_by = image.provenance
    if made_by is None or made_by.stage != "equalize":
        return Preprocessing()
    target = made_by.file("target")
    return Preprocessing(equalization=made_by.settings["convention"], target_spectrum=target and target.name)


def _compared(image: Image) -> Any:
    """Give what decides on an image as plain values."""
    made_by = image.provenance
    return None if made_by is None else made_by.compared()


def _edge(size: VoxelSize | None) -> float:
    """Give one edge of a voxel in A: that of all axes, or their mean."""
    assert size is not None
    z, y, x = size
    return z if z == y == x else (z + y + x) / 3
