"""Condition: how the voxels of an ingested tomogram are shown to all that comes after.

What is stored is the tomogram as it came, so other settings cost passes over the stored voxels, and nothing is
ingested again. The rule, for ``clip`` C, ``ignore_value`` V and ``invert``:

1. Voxels equal to V (rounded to their dtype) are left out.
2. Mean and standard deviation are those of all others, exactly as without these settings. With C they are taken anew of
   the voxels within C standard deviations of the mean, three times, within limits that never widen.
3. Voxels beyond C standard deviations are shown as if they lay there; those that are left out as the mean.
4. ``invert`` changes the sign.

Spectra, filters, resampling and networks read this, and standardize by that mean and standard deviation: what is left
out is exactly 0 to a network. In what is written of it (rescaled, equalized) voxels that were left out hold V again, and
others that have it by chance are moved by their last bit, so V means the same all along.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import dask.array as da
import numpy as np

from deepict_dask.config import IngestSettings
from deepict_dask.engine.conditioning import measure
from deepict_dask.engine.execute import execute
from deepict_dask.engine.shown import conditioned
from deepict_dask.errors import FormatError
from deepict_dask.io.ome_zarr import CONDITIONED, Image, update_attributes
from deepict_dask.kernels.conditioning import Conditioning
from deepict_dask.kernels.occurrences import Occurrences
from deepict_dask.kernels.statistics import Statistics
from deepict_dask.provenance import Provenance
from deepict_dask.stages.doubts import doubts
from deepict_dask.stages.work import Work

# What was measured lately is kept with the image, under this name.
_KEPT = CONDITIONED


def condition(tomogram: Image, settings: IngestSettings, work: Work, *, is_ours: bool = True) -> Image:
    """Show a tomogram as the settings say; as it is where they say nothing. Doubts about its voxels are told.

    Parameters
    ----------
    tomogram : Image
        Complete, with statistics.
    settings : IngestSettings
        ``clip``, ``ignore_value`` and ``invert``.
    work : Work
        Follows the blocks.
    is_ours : bool
        Whether it lies in this command's folder, where what is measured may be kept with it.

    Returns
    -------
    Image
        What comes after reads is what `seen` gives of it, its statistics are those of the voxels that count, and its
        provenance names the settings.

    Raises
    ------
    FormatError
        If no voxel or only equal ones are left.

    Notes
    -----
    One pass over the stored voxels for ``ignore_value``, three for ``clip``; none if they are the same as the last time.
    """
    asked = settings.conditions
    if not asked:
        for sentence in doubts_of(tomogram):
            work.reporter.warn(sentence)
        return tomogram
    found = _known(tomogram, asked)
    if found is None:
        n_passes = 3 * ("clip" in asked) + ("ignore_value" in asked)
        done: list[int] = []

        def run(parts: da.Array) -> list[Any]:
            done.append(1)
            of = f" {len(done)} of {n_passes}" if n_passes > 1 else ""
            with work.reporter.progress(f"statistics{of}", tomogram.name, parts.size) as advance:
                return execute(parts, advance, name=f"statistics-{tomogram.name}", priority=work.priority)

        shown, statistics, (first, occurrences) = measure(
            tomogram.array, run, **asked, first=tomogram.statistics
        )
        n_left_out = tomogram.statistics.count - first.count
        if occurrences is None:
            occurrences = _occurrences(tomogram)
        found = (
            shown,
            statistics,
            n_left_out,
            doubts(first, occurrences, tomogram.name, tomogram.dtype, asked),
        )
        check_condition(tomogram.name, statistics, asked)
        if is_ours:
            kept = {
                "settings": asked,
                "shown": asdict(shown),
                "statistics": asdict(statistics),
                "n_left_out": n_left_out,
                "doubts": found[3],
            }
            update_attributes(tomogram.location, **{_KEPT: kept})
    shown, statistics, n_left_out, sentences = found
    _report(tomogram, settings, n_left_out, sentences, work)
    attributes = {**tomogram.attributes, "statistics": asdict(statistics)}
    if (made_by := made_by_condition(tomogram.provenance, settings)) is not None:
        attributes["made_by"] = made_by.to_json()
    return replace(tomogram, attributes=attributes, conditioning=shown)


def seen(tomogram: Image) -> Any:
    """Give what spectra, filters, resampling and networks read of a tomogram: a stored array."""
    return tomogram.array if tomogram.shown is None else conditioned(tomogram.array, tomogram.shown)


def made_by_condition(tomogram: Provenance | None, settings: IngestSettings) -> Provenance | None:
    """Give the provenance of a tomogram as it is shown: that of the tomogram where it is shown as it is."""
    if not (asked := settings.conditions):
        return tomogram
    made_by = tomogram or Provenance("ingest")
    return replace(made_by, settings={**made_by.settings, **asked})


def doubts_of(tomogram: Image) -> list[str]:
    """Give doubts about the voxels of an ingested tomogram, from what was counted then."""
    if "statistics" not in tomogram.attributes:
        return []
    return doubts(tomogram.statistics, _occurrences(tomogram), tomogram.name, tomogram.dtype)


def _occurrences(tomogram: Image) -> Occurrences | None:
    try:
        return Occurrences.from_json(tomogram.attributes["occurrences"])
    except (KeyError, TypeError, ValueError):
        return None  # of an earlier version


def _known(tomogram: Image, asked: dict[str, Any]) -> tuple[Conditioning, Statistics, int, list[str]] | None:
    """Give what was measured lately, if it was with the same settings."""
    kept = tomogram.attributes.get(_KEPT)
    try:
        if kept is None or kept["settings"] != asked:
            return None
        shown: dict[str, Any] = {k: float(v) if isinstance(v, str) else v for k, v in kept["shown"].items()}
        return (
            Conditioning(**shown),
            Statistics(**kept["statistics"]),
            int(kept["n_left_out"]),
            list(kept["doubts"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def check_condition(name: str, statistics: Statistics, asked: dict[str, Any]) -> None:
    """Refuse settings that leave nothing to be found; FormatError with the reason."""
    if not statistics.std > 0:
        words = " and ".join(
            f"--{key.replace('_', '-')} {value:g}" for key, value in asked.items() if value is not True
        )
        left = (
            "no voxel is left"
            if not statistics.count
            else f"all voxels that are left are {statistics.mean:g}"
        )
        raise FormatError(
            f"{name}: {left} with {words}; nothing can be found there, so leave out or change that"
        )


def _report(
    tomogram: Image, settings: IngestSettings, n_left_out: int, sentences: list[str], work: Work
) -> None:
    total = int(np.prod(tomogram.spatial_shape, dtype=object))
    if settings.ignore_value is not None:
        sentence = (
            f"{tomogram.name}: {n_left_out} of {total} voxels are {settings.ignore_value:g} and left out"
        )
        if n_left_out == 0:
            work.reporter.warn(
                f"{tomogram.name}: no voxel is {settings.ignore_value:g}, so --ignore-value leaves nothing out; "
                "`deepict-dask info` names the commonest value"
            )
        else:
            work.reporter.say(f"{sentence} ({100 * n_left_out / total:.3g} %)")
    for sentence in sentences:
        work.reporter.warn(sentence)
