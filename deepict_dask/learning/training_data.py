"""What a training sees: tomograms, brought to one voxel size and one spectrum, and the targets in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from deepict_dask.config.training import TomogramSettings, TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.learning.targets import check_shared_masks, make_targets
from deepict_dask.names import check_name, first_duplicate
from deepict_dask.networks.card import Preprocessing
from deepict_dask.networks.extras import require_torch
from deepict_dask.scoring.judge import ingest_settings, names_of
from deepict_dask.stages.condition import seen
from deepict_dask.stages.equalize import open_target
from deepict_dask.stages.ingest import open_tomogram
from deepict_dask.stages.prepare import prepare_tomogram
from deepict_dask.stages.work import Work
from deepict_dask.tomogram import VoxelSize, angstrom, same_voxel_size

if TYPE_CHECKING:
    from deepict_dask.networks.training.dataset import TrainingTomogram


class TomogramIdentity(TypedDict):
    """What a tomogram to train on was made from, as plain values: its image, its targets, the box that is used of it."""

    tomogram: Any
    target: Any
    box: Any


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
    identities : dict of str to TomogramIdentity
        What each was made from, by its name; plain values.
    """

    tomograms: tuple[TrainingTomogram, ...]
    voxel_size: float
    preprocessing: Preprocessing
    identities: dict[str, TomogramIdentity]


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
    require_torch("training", "train")
    from deepict_dask.networks.training.dataset import TrainingTomogram

    folder = Location.of(settings.data) if settings.data else Location.of(settings.output) / "data"
    names = [
        check_name(n, f"the tomogram {t.tomogram}")
        for n, t in zip(names_of(settings), settings.tomograms, strict=True)
    ]
    if twice := first_duplicate(names):
        raise InputError(f"two tomograms to train on are called {twice!r}; give each a name of its own")
    for t in settings.tomograms:
        check_shared_masks(t)
    target = open_target(settings.equalize)
    sizes = [open_tomogram(t.tomogram, ingest_settings(t)).voxel_size for t in settings.tomograms]
    voxel_size = settings.model_voxel_size or _edge(sizes[0])
    tomograms, identities, done = [], {}, []
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
        ingested, image = prepared.ingested, prepared.image
        channels, identity = make_targets(name, t, ingested, image, settings, folder / name, work)
        statistics = image.statistics
        tomograms.append(
            TrainingTomogram(
                name, seen(image), statistics.mean, statistics.std, channels, _box(t, ingested, image)
            )
        )
        identities[name] = TomogramIdentity(tomogram=_compared(image), target=identity, box=t.box)
        done.append(_preprocessing(image))
    if any(p != done[0] for p in done):
        odd = next(k for k, p in enumerate(done) if p != done[0])
        raise InputError(
            f"{names[odd]} was equalized in another way than {names[0]} ({done[odd].equalization} and "
            f"{done[0].equalization}); train on tomograms that were prepared alike"
        )
    return TrainingData(tuple(tomograms), voxel_size, done[0], identities)


def _box(t: TomogramSettings, ingested: Image, image: Image) -> tuple[slice, slice, slice] | None:
    if t.box is None:
        return None
    parts = []
    for axis, n, m in zip("zyx", ingested.shape, image.shape, strict=True):
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
