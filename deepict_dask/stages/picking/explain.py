"""Why there are no particles, or next to none: numbers first, then what usually causes it and the way out."""

from __future__ import annotations

from deepict_dask.engine.picking import Reduced
from deepict_dask.io.ome_zarr import Image
from deepict_dask.provenance import Provenance
from deepict_dask.stages.picking.jobs import PickJob
from deepict_dask.tomogram import angstrom, same_voxel_size

# So few particles are explained, too.
_FEW = 1
_SPOILED = {"clip": "hot voxels", "ignore-value": "padding"}


def few_particles(probability: Image, job: PickJob, reduced: Reduced) -> list[str]:
    """Explain that a class has no particle, or one.

    Parameters
    ----------
    probability : Image
        The map.
    job : PickJob
        What was picked of it.
    reduced : Reduced
        What became of its components.

    Returns
    -------
    list of str
        One sentence; none where there are more particles.
    """
    n = len(reduced.particles)
    if n > _FEW:
        return []
    rules = job.rules
    number = f"{job.tomogram}: {'no particle' if n == 0 else 'one particle'} of class {job.class_name}"
    highest = _highest(probability, job.channel)
    if reduced.n_components > n:
        return [f"{number}, since {_dropped(reduced, job)}; {_causes(probability)}"]
    if highest is None:
        return [
            f"{number}, since nothing else is above the threshold {rules.threshold:g}; {_causes(probability)}"
        ]
    if highest <= rules.threshold:
        lower = "a lower --threshold finds more; else " if highest > rules.threshold / 2 else ""
        return [
            f"{number}: the map's largest probability is {highest:.3g}, not above the threshold {rules.threshold:g}; "
            f"{lower}{_causes(probability)}"
        ]
    if n == 0:
        mask = [] if rules.region is None else [f"the region mask {rules.region}"]
        border = [f"the border of {' x '.join(map(str, rules.border))} voxels"] if any(rules.border) else []
        return [
            f"{number}: the map's largest probability is {highest:.3g}, above the threshold {rules.threshold:g}, but only where "
            f"{' or '.join(mask + border) or 'nothing may be picked'} leaves it out; try without (--region none, --border 0)"
        ]
    return [f"{number}; {_causes(probability)}"]


def _dropped(reduced: Reduced, job: PickJob) -> str:
    """Say how many components were dropped for their size."""
    rules = job.rules
    parts = []
    if reduced.n_small:
        parts.append(f"{reduced.n_small} with {rules.min_size} voxels or fewer (--min-size)")
    if reduced.n_large:
        parts.append(f"{reduced.n_large} with more than {rules.max_size} (--max-size)")
    return (
        f"{' and '.join(parts)} of {reduced.n_components} components above the threshold {rules.threshold:g} are dropped (the "
        f"largest has {reduced.largest} voxels)"
    )


def _highest(probability: Image, channel: int) -> float | None:
    """Give the largest probability of a class; that of all classes where only this is known."""
    maxima = probability.attributes.get("maxima")
    if isinstance(maxima, list) and channel < len(maxima):
        return float(maxima[channel])
    highest = probability.attributes.get("maximum")
    return None if highest is None or len(probability.classes) > 1 else float(highest)


def _causes(probability: Image) -> str:
    """Name what usually causes it, and the way out; what was done or is known to be right is left out."""
    done = _settings(probability.provenance)
    network = probability.attributes.get("model")
    facts = network if isinstance(network, dict) else {}
    density = facts.get("density")
    trained = f" (the network was trained on {density} particles)" if density else ""
    causes = [
        f"contrast the other way round{trained}: {'leave out --invert' if done.get('invert') else '--invert'}"
    ]
    size, right = probability.voxel_size, facts.get("voxel_size")
    if size is not None and right is None:
        causes.append(
            f"another voxel size (here {angstrom(size)}) than the network's: --rescale, --voxel-size"
        )
    elif size is not None and right is not None and not same_voxel_size(size, right):
        causes.append(
            f"voxels of {angstrom(size)} where the network was trained at {right:g} A: --rescale, --voxel-size"
        )
    spoiled = [
        f"--{key} ({what})" for key, what in _SPOILED.items() if done.get(key.replace("-", "_")) is None
    ]
    if spoiled:
        causes.append(f"voxels that spoil the contrast of all others: {' and '.join(spoiled)}")
    if "equalize" not in done:
        causes.append("another spectrum than it was trained on: --target-spectrum")
    return f"usual causes are {'; '.join(causes)}"


def _settings(made_by: Provenance | None) -> dict[str, object]:
    """Collect the settings of all stages before, and the names of the stages."""
    if made_by is None:
        return {}
    settings: dict[str, object] = {**made_by.settings, made_by.stage: True}
    for made in made_by.inputs.values():
        if isinstance(made, Provenance):
            settings = {**_settings(made), **settings}
    return settings
