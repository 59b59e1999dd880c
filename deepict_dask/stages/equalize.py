"""Equalize: bring a tomogram's amplitude spectrum to a target's, and extract spectra."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask

from deepict_dask.config import EqualizeSettings, IngestSettings
from deepict_dask.engine.equalize import equalize_deepict, equalize_physical
from deepict_dask.engine.spectrum import extract_spectrum
from deepict_dask.errors import InputError
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.source import open_source
from deepict_dask.io.spectra import read_spectrum, write_spectrum
from deepict_dask.kernels.fir import ERROR_LIMIT, choose_halo
from deepict_dask.kernels.physical_gain import physical_gain
from deepict_dask.spectrum import Convention, Spectrum
from deepict_dask.stages.output import is_finished
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.writing import write_tomogram

__all__ = ["Target", "equalize", "open_target", "spectrum_of_file", "write_spectrum"]


@dataclass
class Target:
    """What to equalize to: a spectrum, or a tomogram whose spectrum is extracted when it is first needed."""

    path: str
    convention: Convention
    identity: dict[str, Any]
    spectrum: Spectrum | None

    def resolve(self) -> Spectrum:
        """Give the spectrum; the first time for a tomogram this computes."""
        if self.spectrum is None:
            self.spectrum = spectrum_of_file(self.path, self.convention)
        return self.spectrum


def open_target(settings: EqualizeSettings) -> Target | None:
    """Open the target that the settings name; None if they name none.

    Raises
    ------
    InputError
        If it is not there, cannot be read, or is a spectrum in the other convention.
    """
    path, convention = settings.target_spectrum, settings.convention
    if path is None:
        return None
    if path.lower().endswith((".tsv", ".txt")):
        spectrum = read_spectrum(path)
        spectrum.require(convention, f"target spectrum {path}")
        digest = hashlib.sha256(spectrum.amplitude.tobytes() + spectrum.frequency.tobytes()).hexdigest()
        return Target(path, convention, {"name": Path(path).name, "checksum": f"sha256:{digest}"}, spectrum)
    source = open_source(path)
    return Target(path, convention, {"name": source.name, "checksum": source.checksum()}, None)


def spectrum_of_file(
    path: str | Path, convention: Convention, settings: IngestSettings | None = None
) -> Spectrum:
    """Extract the amplitude spectrum of a tomogram in a file.

    Raises
    ------
    InputError
        If it cannot be read, or its voxel size is not known where ``physical`` needs it.
    """
    settings = settings or IngestSettings()
    source = open_source(path, voxel_size=settings.voxel_size, dataset=settings.dataset)
    if source.voxel_size is None and convention == "physical":
        raise InputError(f"{path} does not say its voxel size; give it with --voxel-size (in A)")
    return extract_spectrum(source, source.voxel_size, convention).compute()


def equalize(
    tomogram: Image,
    target: Target,
    output: Path,
    settings: EqualizeSettings | None = None,
    *,
    threads: int | None = None,
    reporter: Reporter | None = None,
    overwrite: bool = False,
) -> Image:
    """Equalize a tomogram and write it.

    Parameters
    ----------
    tomogram : Image
        Complete, with statistics.
    target : Target
        From `open_target`.
    output : Path
        Folder of this tomogram; the image is ``output / "equalized.zarr"``.
    settings : EqualizeSettings, optional
        Convention, cutoff (physical: A, deepict: shells), smooth.
    threads : int, optional
        Threads of the one task that holds the tomogram in the ``deepict`` convention.
    reporter : Reporter, optional
        Follows the work.
    overwrite : bool
        Whether a complete image with other settings may be replaced.

    Returns
    -------
    Image
        float32, complete, with statistics.
    """
    settings, reporter = settings or EqualizeSettings(), reporter or Reporter()
    path = output / "equalized.zarr"
    made_by = {
        "stage": "equalize",
        "tomogram": tomogram.attributes["made_by"],
        "target": target.identity,
        "settings": settings.model_dump(mode="json", exclude={"target_spectrum"}),
    }
    if is_finished(path, made_by, overwrite):
        return open_image(path)
    statistics = tomogram.attributes["statistics"]
    attributes: dict[str, Any] = {"source": tomogram.attributes.get("source")}
    if settings.convention == "deepict":
        voxels = equalize_deepict(
            tomogram.array,
            target.resolve(),
            settings.cutoff,
            settings.smooth,
            minimum=statistics["minimum"],
            maximum=statistics["maximum"],
            threads=threads or 1,
        )
    else:
        (own,) = dask.compute(
            extract_spectrum(tomogram.array, tomogram.voxel_size, "physical", mean=statistics["mean"])
        )
        gain = physical_gain(own, target.resolve(), settings.cutoff, settings.smooth)
        halo, error = choose_halo(gain, own)
        sentence = f"{tomogram.name}: gain applied with a halo of {halo[0]} voxels, {100 * error:.2f} % from the whole"
        reporter.say(sentence)
        if error > ERROR_LIMIT:
            reporter.warn(
                f"{tomogram.name}: the gain is so sharp that blocks differ from the whole by {100 * error:.2f} %; "
                "smooth it more with --smooth"
            )
        attributes |= {"halo": list(halo), "truncation_error": error}
        voxels = equalize_physical(tomogram.array, gain, statistics["mean"], halo=halo)
    return write_tomogram(
        path,
        voxels,
        name=tomogram.name,
        voxel_size=tomogram.voxel_size,  # type: ignore[arg-type]
        version=tomogram.version,
        made_by=made_by,
        stage="equalize",
        reporter=reporter,
        **attributes,
    )
