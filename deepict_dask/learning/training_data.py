"""What a training sees: tomograms, brought to one voxel size and one spectrum, and the targets in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepict_dask.config import IngestSettings
from deepict_dask.config.masks import MaskSettings
from deepict_dask.config.training import TomogramSettings, TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.channels import Channel, Channels
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.source import open_source
from deepict_dask.io.tables import read_particles
from deepict_dask.learning.masks import masks
from deepict_dask.networks.card import Preprocessing
from deepict_dask.particles import Particles
from deepict_dask.scoring.judge import names_of
from deepict_dask.stages.equalize import equalize, open_target
from deepict_dask.stages.ingest import ingest
from deepict_dask.stages.region import Nearest
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.rescale import rescale
from deepict_dask.stages.segment import same_voxel_size

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
    *,
    threads: int | None = None,
    reporter: Reporter | None = None,
    overwrite: bool = False,
) -> TrainingData:
    """Ingest the tomograms of a training, rescale and equalize them if asked to, and make their targets.

    Parameters
    ----------
    settings : TrainSettings
        Each tomogram gets a folder of its name in ``data``; what is complete there is not made again.
    threads : int, optional
        For equalization in the ``deepict`` convention.
    reporter : Reporter, optional
        Follows the work.
    overwrite : bool
        Whether what was made there with other settings may be replaced.

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

    reporter = reporter or Reporter()
    folder = Path(settings.data) if settings.data else Path(settings.output) / "data"
    names = names_of(settings)
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"two tomograms to train on are called {twice[0]!r}; give each a name of its own")
    common: dict[str, Any] = {"reporter": reporter, "overwrite": overwrite}
    target = open_target(settings.equalize)
    ingested: list[Image] = []
    for name, t in zip(names, settings.tomograms, strict=True):
        options = IngestSettings(voxel_size=t.voxel_size, dataset=t.dataset)
        ingested.append(ingest(t.tomogram, folder / name, options, **common))
    voxel_size = settings.model_voxel_size or _edge(ingested[0])
    found, identities, done = [], {}, []
    for name, t, own in zip(names, settings.tomograms, ingested, strict=True):
        image = own
        if not same_voxel_size(own.voxel_size, voxel_size):  # type: ignore[arg-type]
            if settings.model_voxel_size is None:
                raise InputError(
                    f"{name} has voxels of {_edges(own)} A, but {names[0]} of {voxel_size:g} A; set "
                    "model_voxel_size to resample tomograms to one"
                )
            image = rescale(own, voxel_size, folder / name, **common)
        if target is not None:
            image = equalize(image, target, folder / name, settings.equalize, threads=threads, **common)
        channels, identity = _targets(name, t, own, image, settings, folder / name, common)
        statistics = image.attributes["statistics"]
        found.append(
            TrainingTomogram(
                name, image.array, statistics["mean"], statistics["std"], channels, _box(t, own, image)
            )
        )
        identities[name] = {"tomogram": image.attributes["made_by"], "target": identity, "box": t.box}
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
    folder: Path,
    common: dict[str, Any],
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
        made = masks(replace(image, name=name), present, folder, mask_settings, **common)
        stored = made.array
        found = {n: Channel(stored, k if stored.ndim == 4 else None) for k, n in enumerate(present)}
        identity = made.attributes["made_by"]
    if t.masks:
        sources = {n: open_source(path) for n, path in t.masks.items()}
        for n, source in sources.items():
            if source.shape == own.shape != image.shape:
                factor = tuple(
                    a / b for a, b in zip(image.voxel_size or (), own.voxel_size or (), strict=True)
                )
                found[n] = Channel(Nearest(source, image.shape, factor))  # type: ignore[arg-type]
                continue
            _check_shape(name, n, t.masks[n], source.shape, own, image)
            found[n] = Channel(source)
        checksums = {n: source.checksum() for n, source in sources.items()}
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
    _check_shape(name, classes[0], path, made.shape[-3:], own, image)
    stored = made.array
    labels = made.attributes.get("layout") == "labels" and len(known) > 1
    channels = [
        Channel(stored, None, known.index(n) + 1)
        if labels
        else Channel(stored, known.index(n) if stored.ndim == 4 else None)
        for n in classes
    ]
    return Channels(channels, image.shape), made.attributes.get("made_by")  # type: ignore[arg-type]


def _check_shape(
    name: str, class_name: str, path: str, shape: tuple[int, ...], own: Image, image: Image
) -> None:
    if tuple(shape) == image.shape:
        return
    if tuple(shape) == own.shape:
        raise InputError(
            f"the mask {path} has the shape of {name} before it was resampled to {_edges(image)} A; give positions, "
            f"a volume per class, or a mask of {tuple(image.shape)} voxels"
        )
    raise InputError(
        f"the mask {path} of class {class_name!r} has shape {tuple(shape)}, but {name} has {tuple(image.shape)}; a "
        "mask must have the tomogram's shape"
    )


def _box(t: TomogramSettings, own: Image, image: Image) -> tuple[slice, slice, slice] | None:
    if t.box is None:
        return None
    parts = []
    for axis, n, m in zip("zyx", own.shape, image.shape, strict=True):
        start, stop = t.box.get(axis, (0, n))  # type: ignore[call-overload]
        parts.append(slice(round(start * m / n), min(round(stop * m / n), m)))
    return parts[0], parts[1], parts[2]


def _preprocessing(image: Image) -> Preprocessing:
    made_by = image.attributes.get("made_by", {})
    if made_by.get("stage") != "equalize":
        return Preprocessing()
    return Preprocessing(
        equalization=made_by["settings"]["convention"], target_spectrum=made_by["target"]["name"]
    )


def _edge(image: Image) -> float:
    """Give one edge of a voxel in A: that of all axes, or their mean."""
    assert image.voxel_size is not None
    z, y, x = image.voxel_size
    return z if z == y == x else (z + y + x) / 3


def _edges(image: Image) -> str:
    sizes = [f"{edge:g}" for edge in image.voxel_size or ()]
    return sizes[0] if len(set(sizes)) == 1 else " x ".join(sizes)
