"""Tomograms, and the images that stages write, described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepict_dask.cli.info import Facts, by, edges, is_plain_terminal
from deepict_dask.errors import DeepictError
from deepict_dask.geometry import BlockGrid
from deepict_dask.kernels.histogram import Histogram
from deepict_dask.provenance import Provenance

# Voxels that are looked at; a larger tomogram is looked at in places.
_SAMPLE = 1 << 25
# Values more than so many standard deviations off, or a share of equal ones, that normalization suffers from.
_FAR, _MANY = 100.0, 0.2


def describe(path: Path) -> Facts:
    """Describe a tomogram of any format, or an image that a stage wrote."""
    from deepict_dask.io.ome_zarr import open_own_image
    from deepict_dask.io.source import open_source

    if (image := open_own_image(path)) is not None:
        facts = _own_image(image)
        is_shown = image.is_complete and image.attributes.get("kind") == "tomogram"
        return facts | (_voxels(open_source(path), image) if is_shown else {})
    source = open_source(path)
    details = {k.replace("_", " "): v for k, v in source.details.items() if v not in (None, "", [], {})}
    packed = ", packed" if source.is_packed else ""
    facts = {
        "what": f"tomogram {source.name}, {source.format}{packed}",
        "shape (z, y, x)": by(source.shape),
        "dtype": source.dtype,
        "voxel size": edges(source.voxel_size),
        "file size": f"{source.n_bytes / 1e6:.1f} MB",
        **details,
        **_voxels(source),
    }
    for i, sentence in enumerate(source.warnings):
        facts[f"warning {i + 1}"] = sentence
    return facts


def _voxels(source: Any, image: Any = None) -> Facts:
    """Say what values the voxels have, of a large tomogram those of a sample; what is wrong with them is a fact, too."""
    from deepict_dask.io.sample import sample
    from deepict_dask.kernels.histogram import histogram

    try:
        values, share = sample(source, _SAMPLE)
    except DeepictError as error:
        return {"voxels": f"cannot be read: {error}"}
    distribution = histogram(values)
    where = "" if share == 1 else f" (of {share:.1%} of the voxels)"
    if distribution is None:
        return {"voxels": f"none is a finite number{where}"}
    facts: Facts = {
        "voxels": f"{distribution.low:.6g} to {distribution.high:.6g}, mean {distribution.mean:.6g}, std {distribution.std:.6g}{where}",
        "histogram": f"|{distribution.line(plain=is_plain_terminal())}|",
    }
    if distribution.n_not_finite:
        facts["not finite"] = f"{distribution.n_not_finite} voxels are NaN or infinite{where}"
    if distribution.largest_deviation > _FAR:
        facts["outliers"] = f"up to {distribution.largest_deviation:.0f} standard deviations from the mean"
    if distribution.share > _MANY:
        facts["commonest value"] = f"{distribution.commonest:g}, in {distribution.share:.0%} of the voxels"
    if share == 1 and (sentence := source.contradiction(distribution.low, distribution.high)):
        facts["contradiction"] = sentence
    for i, sentence in enumerate(_doubts(source, image, values, distribution)):
        facts[f"doubt {i + 1}"] = sentence + where
    return facts


def _doubts(source: Any, image: Any, values: Any, distribution: Histogram) -> list[str]:
    """Say what a network would suffer from: of all voxels where they were counted, else of the sample."""
    from deepict_dask.kernels.occurrences import block_occurrences
    from deepict_dask.kernels.statistics import Statistics
    from deepict_dask.stages.condition import doubts_of
    from deepict_dask.stages.doubts import doubts

    if image is not None and "occurrences" in image.attributes:
        return doubts_of(image)
    d = distribution
    statistics = Statistics(values.size - d.n_not_finite, d.mean, d.std, d.low, d.high, d.n_not_finite)
    return doubts(statistics, block_occurrences(values), source.name, source.dtype)


def _own_image(image: Any) -> Facts:
    attributes = image.attributes
    kinds = {"probability": "probability map of", "labels": "label image of"}
    state = "complete" if image.is_complete else "incomplete"
    if not image.is_complete and image.markers is not None:
        n_blocks = BlockGrid(image.spatial_shape, image.core).n_blocks
        state += f" ({len(image.markers.indices())} of {n_blocks} blocks)"
    files = sum(f.stat().st_size for f in Path(image.path).rglob("*") if f.is_file())
    facts: Facts = {
        "what": f"{kinds.get(attributes.get('kind', ''), 'tomogram')} {image.name}, OME-Zarr {image.version}",
        "state": f"{state}, deepict_dask {attributes.get('package_version', '?')}",
        "shape (z, y, x)": by(image.shape[-3:]),
        "dtype": image.dtype,
        "voxel size": edges(image.voxel_size),
        "chunks, shards": f"{by(image.array.chunks[-3:])}, {by((image.array.shards or ())[-3:]) or 'none'}",
        "levels": len(image.level_paths),
        "size on disk": f"{files / 1e6:.1f} MB",
    }
    if statistics := attributes.get("statistics"):
        facts["mean, std"] = f"{statistics['mean']:.6g}, {statistics['std']:.6g}"
        facts["range"] = f"{statistics['minimum']:.6g} to {statistics['maximum']:.6g}"
    if "classes" in attributes:
        facts["classes"] = ", ".join(attributes["classes"])
    if "model" in attributes:
        facts["model"] = f"{attributes['model']['name']} ({attributes['model']['checksum'][:19]}...)"
    if "ignore_value" in attributes:
        facts["left out"] = f"voxels of {attributes['ignore_value']:g}"
    if shown := attributes.get("shown"):
        facts["shown"] = _shown(shown)
    if "maxima" in attributes:
        facts["largest probability"] = ", ".join(f"{v:.3g}" for v in attributes["maxima"])
    if "scale" in attributes:
        facts["unit"] = f"{attributes['scale']:.6g}"
    return facts | history(image.provenance)


def _shown(shown: dict[str, Any]) -> str:
    """Say how voxels were shown to the network."""
    parts = [f"mean {shown['mean']:.6g}"]
    if shown.get("ignore_value") is not None:
        parts.append(f"voxels of {shown['ignore_value']:g} left out")
    if not isinstance(shown["low"], str):
        parts.append(f"limited to {shown['low']:.6g} to {shown['high']:.6g}")
    if shown["invert"]:
        parts.append("inverted")
    return ", ".join(parts)


def history(made_by: Provenance | None) -> Facts:
    """Say what made an output and what that was made from, the last stage first: settings and files."""
    if made_by is None:
        return {}
    settings = ", ".join(f"{k} {_word(v)}" for k, v in made_by.settings.items() if v is not None)
    recorded = ", ".join(f"{k} {_word(v)}" for k, v in made_by.recorded.items() if v is not None)
    facts: Facts = {f"made by {made_by.stage}": settings + (f" (with {recorded})" if recorded else "")}
    for role, made in made_by.inputs.items():
        if isinstance(made, Provenance):
            facts |= {k: v for k, v in history(made).items() if k not in facts}
        else:
            facts[f"its {role}"] = made.name + (f" ({made.checksum[:19]}...)" if made.checksum else "")
    return facts


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
