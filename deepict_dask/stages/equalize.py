"""Equalize: bring a tomogram's amplitude spectrum to a target's, and extract spectra."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from deepict_dask.config import EqualizeSettings, IngestSettings
from deepict_dask.engine.conditioning import measure
from deepict_dask.engine.equalize import equalize_deepict, equalize_physical
from deepict_dask.engine.execute import execute, execute_lazy
from deepict_dask.engine.shown import conditioned, with_holes
from deepict_dask.engine.spectrum import extract_spectrum
from deepict_dask.errors import InputError
from deepict_dask.geometry import storage_grid
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.source import Source, open_source
from deepict_dask.io.spectra import read_spectrum
from deepict_dask.kernels.fir import ERROR_LIMIT, choose_halo
from deepict_dask.kernels.gain import deepict_gain
from deepict_dask.kernels.physical_gain import physical_gain
from deepict_dask.provenance import FileInput, Made, Provenance
from deepict_dask.spectrum import Convention, Spectrum
from deepict_dask.stages import memory
from deepict_dask.stages.condition import check_condition, seen
from deepict_dask.stages.contents import file_of, read_contents
from deepict_dask.stages.doubts import doubts
from deepict_dask.stages.finished import is_finished, open_own
from deepict_dask.stages.ingest import open_as_set
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.work import Work
from deepict_dask.stages.write_tomogram import write_tomogram
from deepict_dask.tomogram import by


@dataclass
class Target:
    """What to equalize to: a spectrum, or a tomogram whose spectrum is extracted when it is first needed.

    Attributes
    ----------
    convention : {"physical", "deepict"}
        Of the spectrum.
    file : FileInput
        What it was read from; a tomogram's checksum is taken when it is first needed.
    source : Source or None
        The tomogram, where it is one.
    """

    convention: Convention
    file: FileInput
    source: Source | None = None
    _spectrum: Spectrum | None = field(default=None, repr=False)
    # Tomograms that are in work at once share it: one reads, the others wait.
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def spectrum(self) -> Spectrum:
        """Give the spectrum; the first time for a tomogram this computes."""
        with self._lock:
            if self._spectrum is None:
                assert self.source is not None
                lazy = extract_spectrum(self.source, self.source.voxel_size, self.convention)
                spectrum = execute_lazy(lazy, name=f"spectrum-{self.source.name}")
                self._spectrum = _finite(spectrum, f"the target {self.source.path}")
            return self._spectrum

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is doubtful in the header of the tomogram."""
        return () if self.source is None else self.source.volume.warnings

    def known_file(self, before: FileInput | None) -> FileInput:
        """Give the file without reading it: with its checksum where it is known and the file was not touched."""
        if self.file.checksum is not None or self.source is None:
            return self.file
        return file_of(self.source, before)

    def read(self, before: FileInput | None, work: Work, scratch: Location) -> FileInput:
        """Give the file with its checksum: the one that is known if it was not touched, else it is read."""
        with self._lock:
            if self.file.checksum is None and self.source is not None:
                self.file = self.known_file(before)
                if self.file.checksum is None:
                    self.file = read_contents(self.source, work, scratch).file
            return self.file


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
    if convention == "deepict":
        deepict_gain(
            np.ones(2), np.ones(2), settings.cutoff, settings.smooth
        )  # refuses what does not go together
    if path.lower().endswith((".tsv", ".txt")):
        spectrum = read_spectrum(path)
        spectrum.require(convention, f"target spectrum {path}")
        digest = hashlib.sha256(spectrum.amplitude.tobytes() + spectrum.frequency.tobytes()).hexdigest()
        file = FileInput(Location.of(path).name, f"sha256:{digest}")
        return Target(convention, file, None, spectrum)
    source = open_source(path)
    if source.voxel_size is None and convention == "physical":
        raise InputError(
            f"the target spectrum {path} is a tomogram that does not say its voxel size; extract its spectrum with "
            "`deepict-dask spectrum --voxel-size`, and give that"
        )
    return Target(convention, file_of(source), source)


def spectrum_of_file(
    path: str,
    convention: Convention,
    settings: IngestSettings | None = None,
    reporter: Reporter | None = None,
) -> Spectrum:
    """Extract the amplitude spectrum of a tomogram in a file.

    Raises
    ------
    InputError
        If it cannot be read, its voxel size is not known where ``physical`` needs it, or it holds NaN.
    """
    settings = settings or IngestSettings()
    source = open_as_set(path, settings)
    if convention == "physical":
        source.require_voxel_size()
    reporter = reporter or Reporter()
    asked = settings.conditions
    compute = partial(execute, name=f"spectrum-{source.name}")
    shown, statistics, (first, occurrences) = measure(source, compute, **asked)
    for sentence in (
        *(source.warnings if convention == "physical" else source.volume.warnings),
        *doubts(first, occurrences, source.name, source.dtype, asked),
    ):
        reporter.warn(sentence)
    if asked:
        check_condition(source.name, statistics, asked)
    spectrum = extract_spectrum(
        conditioned(source, shown) if asked else source,
        source.voxel_size,
        convention,
        mean=statistics.mean if asked else first.mean,
        minimum=statistics.minimum,
        maximum=statistics.maximum,
        has_holes=shown.ignore_value is not None,
    )
    return _finite(execute_lazy(spectrum, name=f"spectrum-{source.name}"), source.path)


def _finite(spectrum: Spectrum, what: str) -> Spectrum:
    """Refuse the spectrum of a tomogram with voxels that are no numbers: one of them spoils all amplitudes."""
    if not np.isfinite(spectrum.amplitude).all():
        raise InputError(
            f"{what} holds NaN or infinite voxels, or values too large to be squared, so it has no amplitude spectrum; "
            "replace them in its file"
        )
    return spectrum


def equalize(
    tomogram: Image, output: Location, target: Target, settings: EqualizeSettings, work: Work
) -> Image:
    """Equalize a tomogram and write it.

    Parameters
    ----------
    tomogram : Image
        Complete, with statistics.
    output : Location
        The image to write.
    target : Target
        From `open_target`.
    settings : EqualizeSettings
        Convention, cutoff (physical: A, deepict: shells), smooth.
    work : Work
        Follows the blocks; its threads are those of the one task that holds the tomogram in the ``deepict``
        convention.

    Returns
    -------
    Image
        float32, complete, with statistics.
    """
    finished = open_own(output)
    before = finished.provenance if finished is not None and finished.is_complete else None
    target.read(None if before is None else before.file("target"), work, output.parent)
    made_by = made_by_equalize(tomogram.provenance, target.file, settings)
    if is_finished(output, made_by, overwrite=work.overwrite):
        work.keep("equalize")
        return open_image(output)
    statistics = tomogram.statistics
    attributes: dict[str, Any] = {
        key: tomogram.attributes[key]
        for key in ("source", "own_voxel_size", "own_shape", "origin")
        if key in tomogram.attributes
    }
    shape, source = tomogram.spatial_shape, seen(tomogram)
    ignored = None if tomogram.shown is None else tomogram.shown.ignore_value
    if settings.convention == "deepict":
        memory.check_memory(
            memory.equalize_deepict(shape, storage_grid(shape)),
            f"the global FFT of {by(shape)} voxels",
            "use fewer workers with more memory each, or --convention physical, which works block by block",
        )
        voxels = equalize_deepict(
            source,
            target.spectrum(),
            settings.cutoff,
            settings.smooth,
            minimum=statistics.minimum,
            maximum=statistics.maximum,
            threads=work.threads or 1,
        )
    else:
        spectrum = execute_lazy(
            extract_spectrum(
                source, tomogram.voxel_size, "physical", mean=statistics.mean, has_holes=ignored is not None
            ),
            name=f"spectrum-{tomogram.name}",
            priority=work.priority,
        )
        gain = physical_gain(spectrum, target.spectrum(), settings.cutoff, settings.smooth)
        halo, error = choose_halo(gain, spectrum)
        work.reporter.say(
            f"{tomogram.name}: gain applied with a halo of {halo[0]} voxels, {100 * error:.2f} % from the whole"
        )
        if error > ERROR_LIMIT:
            work.reporter.warn(
                f"{tomogram.name}: the gain is so sharp that blocks differ from the whole by {100 * error:.2f} %; "
                "smooth it more with --smooth"
            )
        memory.check_memory(
            memory.equalize_physical(storage_grid(shape), halo, memory.shown_bytes(tomogram)),
            f"blocks with a halo of {halo[0]} voxels",
            "use fewer --threads, or fewer workers with more memory each, or smooth the gain more with --smooth",
        )
        attributes |= {"halo": list(halo), "truncation_error": error}
        voxels = equalize_physical(source, gain, statistics.mean, halo=halo)
    assert tomogram.voxel_size is not None
    if ignored is not None:
        voxels = with_holes(voxels, tomogram.array, ignored)
    return write_tomogram(
        output,
        voxels,
        name=tomogram.name,
        voxel_size=tomogram.voxel_size,
        version=tomogram.version,
        made_by=made_by,
        work=work,
        way_out=f"give another target spectrum: the amplitudes of {target.file.name} are too far from the tomogram's",
        ignore_value=ignored,
        **attributes,
    )


def made_by_equalize(
    tomogram: Provenance | None, target: FileInput, settings: EqualizeSettings
) -> Provenance:
    """Give the provenance of an equalized tomogram."""
    inputs: dict[str, Made] = (
        {"target": target} if tomogram is None else {"tomogram": tomogram, "target": target}
    )
    return Provenance("equalize", inputs, settings.model_dump(mode="json", exclude={"target_spectrum"}))
