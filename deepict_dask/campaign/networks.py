"""The networks of a run, each opened once, and how they fit to a tomogram."""

from __future__ import annotations

import math
from dataclasses import replace

from deepict_dask.config import EqualizeSettings, SegmentSettings, Settings, check_class_names
from deepict_dask.engine.execute import active_client
from deepict_dask.errors import InputError
from deepict_dask.io.source import Source
from deepict_dask.kernels.resample import rescaled_shape
from deepict_dask.networks.checkpoint import Model, load_model
from deepict_dask.networks.predictor import check_device
from deepict_dask.stages.equalize import Target, open_target
from deepict_dask.stages.nodes import Stage
from deepict_dask.stages.picking.jobs import ANY_CLASS
from deepict_dask.stages.plan import Network
from deepict_dask.stages.segment import trained_voxel_size
from deepict_dask.tomogram import angstrom, same_voxel_size

STAGES: tuple[Stage, ...] = ("ingest", "equalize", "segment", "pick")
# Ten times finer than it was recorded along each axis.
_MOST_GROWTH = 1000


class OpenNetworks:
    """Networks and targets of a run, each opened once."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, SegmentSettings], tuple[Model, SegmentSettings]] = {}
        self.targets: dict[EqualizeSettings, Target | None] = {}

    def of(self, settings: Settings, until: Stage) -> list[Network]:
        """Give the networks of a tomogram; none where the run ends before."""
        if STAGES.index(until) < STAGES.index("segment"):
            return []
        path = settings.segment.model
        if path is None:
            raise InputError(
                "no model is given; name a checkpoint with --model (.safetensors, or the original's .pth or .h5)"
            )
        if settings.cluster.scheduler is None and active_client() is None:
            # The workers will be this machine's; those of others may have what it has not.
            check_device(settings.segment.device)
        key = (path, settings.segment)
        if key not in self.models:
            self.models[key] = (load_model(path), settings.segment)
        model = self.models[key][0]
        size = trained_voxel_size(model, settings.segment)
        check_class_names(settings.pick, model.classes or (ANY_CLASS,), f"the model {model.card.name}")
        target = self.target(settings.equalize)
        return [Network(model, settings.segment, settings.pick, size, target, settings.equalize)]

    def target(self, settings: EqualizeSettings) -> Target | None:
        """Give the target of a tomogram."""
        if settings not in self.targets:
            self.targets[settings] = open_target(settings)
        return self.targets[settings]


def fitted(network: Network, source: Source, name: str, warnings: list[str]) -> Network:
    """Decide whether a tomogram is resampled for a network; say where it should be and is not to be."""
    assert source.voxel_size is not None
    size = network.voxel_size
    if size is None or same_voxel_size(source.voxel_size, size):
        return replace(network, voxel_size=None)
    if network.segment.rescale:
        _check_rescaled(network, source, size)
        return network
    warnings.append(
        f"{name} has voxels of {angstrom(source.voxel_size)}, but {network.model.card.name} was trained at "
        f"{size:g} A; particles will look too large or too small to it (--rescale resamples the tomogram)"
    )
    return replace(network, voxel_size=None)


def _check_rescaled(network: Network, source: Source, size: float) -> None:
    """Refuse what can only come of a wrong voxel size: a tomogram smaller than the network's field, or a huge one."""
    z, y, x = (size / edge for edge in source.require_voxel_size())
    shape = rescaled_shape(source.shape, (z, y, x))
    field_of_view = 2 * network.model.architecture.receptive_radius() + 1
    rescaled = (
        f"{source.path} with voxels of {angstrom(source.require_voxel_size())} would be rescaled to {size:g} A and have "
        f"{' x '.join(map(str, shape))} voxels (z, y, x)"
    )
    if max(shape) < field_of_view:
        raise InputError(
            f"{rescaled}, fewer than the {field_of_view} that {network.model.card.name} looks at; give the true voxel size "
            "with --voxel-size"
        )
    if math.prod(shape) > _MOST_GROWTH * math.prod(source.shape):
        raise InputError(
            f"{rescaled}, {math.prod(shape) / math.prod(source.shape):.0f} times as many as it has; give the true voxel "
            "size with --voxel-size"
        )
