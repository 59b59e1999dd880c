"""What is in a file or folder, in a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepict_dask.errors import InputError, MissingFileError

TABLES = (".csv", ".star", ".parquet")


def describe(path: Path) -> str:
    """Describe a tomogram, a run folder, a checkpoint, a spectrum or a particle table.

    Raises
    ------
    InputError
        If it is not there or none of these.
    """
    from deepict_dask.io.formats.zarr_listing import is_zarr

    if not path.exists():
        raise MissingFileError(f"{path} does not exist")
    suffix = path.suffix.lower()
    if suffix in (".pth", ".pt", ".safetensors"):
        facts = _checkpoint(path)
    elif suffix == ".tsv":
        facts = _spectrum(path)
    elif suffix in TABLES:
        facts = _table(path)
    elif path.is_dir() and not is_zarr(path):
        facts = _run_folder(path)
    else:
        facts = _tomogram(path)
    width = max(map(len, facts))
    return "\n".join([str(path), *(f"  {k:<{width}}  {v}" for k, v in facts.items())])


def _checkpoint(path: Path) -> dict[str, Any]:
    from deepict_dask.networks.checkpoint import load_model

    model = load_model(path)
    a = model.architecture
    size = model.card.voxel_size
    return {
        "what": f"3D U-Net {model.card.name}",
        "classes": ", ".join(model.classes),
        "architecture": f"depth {a.depth}, {a.initial_features} initial features, "
        f"{'with' if a.batch_norm else 'no'} batch normalization, {'ELU' if a.elu else 'ReLU'}",
        "voxel size": "not stated" if size is None else f"{size:g} A",
        "halo": f"{model.halo} voxels (receptive radius {a.receptive_radius()})",
        "training data": ", ".join(model.card.training_data) or "not stated",
        "metrics": ", ".join(f"{k} {v:g}" for k, v in model.card.metrics.items()) or "not stated",
        "checksum": model.checksum,
    }


def _spectrum(path: Path) -> dict[str, Any]:
    from deepict_dask.io.spectra import read_spectrum

    spectrum = read_spectrum(path)
    facts = {
        "what": "amplitude spectrum",
        "convention": spectrum.convention,
        "shells": len(spectrum.amplitude),
        "amplitude": f"{spectrum.amplitude.min():.4g} to {spectrum.amplitude.max():.4g}",
    }
    if spectrum.convention == "physical":
        facts["frequency"] = f"up to 1 / {1 / spectrum.frequency[-1]:.4g} A"
    return facts


def _table(path: Path) -> dict[str, Any]:
    from deepict_dask.io.tables import read_particles

    particles = read_particles(path)
    facts: dict[str, Any] = {"what": "particle table", "particles": len(particles)}
    if len(particles):
        low, high = particles.positions.min(0), particles.positions.max(0)
        facts["positions (z, y, x)"] = " to ".join("({:.1f}, {:.1f}, {:.1f})".format(*p) for p in (low, high))
        facts["score"] = f"{particles.score.min():.3f} to {particles.score.max():.3f}"
        facts["size"] = f"{particles.size.min()} to {particles.size.max()} voxels"
    return facts


def _run_folder(path: Path) -> dict[str, Any]:
    from deepict_dask.io.ome_zarr import open_image

    folders = (
        [path] if (path / "tomogram.zarr").exists() else sorted(p.parent for p in path.glob("*/*.zarr/"))
    )
    folders = list(dict.fromkeys(folders))
    if not folders:
        raise InputError(
            f"{path} is neither a run folder nor a tomogram; give a file, an OME-Zarr group or a run folder"
        )
    facts: dict[str, Any] = {"what": f"run folder, {len(folders)} tomogram{'s' * (len(folders) > 1)}"}
    for folder in folders:
        done = [
            f"{p.stem}{'' if open_image(p).is_complete else ' (incomplete)'}"
            for p in sorted(folder.glob("*.zarr"))
        ]
        for side in sorted(folder.glob("particles*.json")):
            content = json.loads(side.read_text(encoding="utf-8"))
            done.append(f"{content['n_particles']} {content['made_by']['class']} picks")
        facts[folder.name] = ", ".join(done)
    return facts


def _tomogram(path: Path) -> dict[str, Any]:
    from deepict_dask.io.source import open_source

    ours = _own_image(path)
    if ours is not None:
        return ours
    source = open_source(path)
    details = {k.replace("_", " "): v for k, v in source.details.items() if v not in (None, "", [], {})}
    facts = {
        "what": f"tomogram {source.name}, {source.format}",
        "shape (z, y, x)": _by(source.shape),
        "dtype": source.dtype,
        "voxel size": _edges(source.voxel_size),
        "file size": f"{source.n_bytes / 1e6:.1f} MB",
        **details,
    }
    for i, sentence in enumerate(source.warnings):
        facts[f"warning {i + 1}"] = sentence
    return facts


def _own_image(path: Path) -> dict[str, Any] | None:
    """Describe what a stage wrote; None for anything else."""
    from deepict_dask.io.ome_zarr import open_own_image

    if (image := open_own_image(path)) is None:
        return None
    attributes = image.attributes
    kinds = {"probability": "probability map of", "labels": "label image of"}
    state = "complete" if image.is_complete else "incomplete"
    facts: dict[str, Any] = {
        "what": f"{kinds.get(attributes.get('kind', ''), 'tomogram')} {image.name}, OME-Zarr {image.version}",
        "state": f"{state}, deepict_dask {attributes.get('package_version', '?')}",
        "shape (z, y, x)": _by(image.shape[-3:]),
        "dtype": image.dtype,
        "voxel size": _edges(image.voxel_size),
        "chunks, shards": f"{_by(image.array.chunks[-3:])}, {_by((image.array.shards or ())[-3:]) or 'none'}",
        "levels": len(image.level_paths),
        "size on disk": f"{sum(f.stat().st_size for f in path.rglob('*') if f.is_file()) / 1e6:.1f} MB",
    }
    if statistics := attributes.get("statistics"):
        facts["mean, std"] = f"{statistics['mean']:.6g}, {statistics['std']:.6g}"
        facts["range"] = f"{statistics['minimum']:.6g} to {statistics['maximum']:.6g}"
    if "classes" in attributes:
        facts["classes"] = ", ".join(attributes["classes"])
    if "model" in attributes:
        facts["model"] = f"{attributes['model']['name']} ({attributes['model']['checksum'][:19]}...)"
    if "scale" in attributes:
        facts["unit"] = f"{attributes['scale']:.6g}"
    for name, value in _flat(attributes.get("made_by", {})):
        facts.setdefault(f"made by {name}", value)
    return facts


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _edges(size: tuple[float, float, float] | None) -> str:
    return "not stated" if size is None else " x ".join(f"{s:g}" for s in size) + " A"


def _flat(made_by: dict[str, Any]) -> list[tuple[str, str]]:
    """List the settings of an output and of what it was made from, the last stage first."""
    stage = made_by.get("stage", "?")
    plain = {k: v for k, v in made_by.items() if k != "stage" and not isinstance(v, dict)}
    rows = [(stage, ", ".join(f"{k} {v}" for k, v in plain.items() if "sha256" not in str(v)))]
    for inner in ("probability", "tomogram"):
        if isinstance(made_by.get(inner), dict):
            rows += _flat(made_by[inner])
    if isinstance(made_by.get("source"), dict):
        rows.append(("from", f"{made_by['source']['name']}, {made_by['source']['bytes']} bytes"))
    return rows
