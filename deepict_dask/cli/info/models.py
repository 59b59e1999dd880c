"""Checkpoints and spectra, described."""

from __future__ import annotations

from pathlib import Path

from deepict_dask.cli.info import Facts


def describe_checkpoint(path: Path) -> Facts:
    """Describe a network."""
    from deepict_dask.networks.checkpoint import load_model

    model = load_model(path)
    a = model.architecture
    size = model.card.voxel_size
    return {
        "what": f"{'2D' if a.is_2d else '3D'} U-Net {model.card.name}",
        "classes": ", ".join(model.classes),
        "architecture": f"depth {a.depth}, {a.initial_features} initial features, "
        f"{'with' if a.batch_norm else 'no'} batch normalization, {'ELU' if a.elu else 'ReLU'}",
        "voxel size": "not stated" if size is None else f"{size:g} A",
        "density": model.card.density or "not stated",
        "halo": f"{model.halo} voxels (receptive radius {a.receptive_radius()})",
        "training data": ", ".join(model.card.training_data) or "not stated",
        "metrics": ", ".join(f"{k} {v:g}" for k, v in model.card.metrics.items()) or "not stated",
        "checksum": model.checksum,
    }


def is_keras(path: Path) -> bool:
    """Say whether a file is HDF5 that holds a network of Keras; other HDF5 files are tomograms."""
    from deepict_dask.networks.keras_h5 import holds_network

    return path.suffix.lower() in (".h5", ".hdf5", ".hdf") and holds_network(path)


def describe_spectrum(path: Path) -> Facts:
    """Describe an amplitude spectrum."""
    from deepict_dask.io.spectra import read_spectrum

    spectrum = read_spectrum(path)
    facts: Facts = {
        "what": "amplitude spectrum",
        "convention": spectrum.convention,
        "shells": len(spectrum.amplitude),
        "amplitude": f"{spectrum.amplitude.min():.4g} to {spectrum.amplitude.max():.4g}",
    }
    if spectrum.convention == "physical":
        facts["frequency"] = f"up to 1 / {1 / spectrum.frequency[-1]:.4g} A"
    return facts
