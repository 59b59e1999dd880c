"""From a run folder to facts: summary, side files, tables; complete ones only, and whatever else lies there is passed over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from deepict_dask import __version__
from deepict_dask.campaign.report.facts import Found, ReportFacts, Setting, TomogramFacts
from deepict_dask.campaign.summary import State, Summary, TomogramState, now, read_summary
from deepict_dask.campaign.versions import versions_here
from deepict_dask.config import Settings
from deepict_dask.errors import DeepictError, InputError, MissingFileError
from deepict_dask.io.location import Location, is_leftover
from deepict_dask.io.ome_zarr import Image, open_own_image
from deepict_dask.io.tables import read_particles
from deepict_dask.provenance import Provenance
from deepict_dask.stages.picking.region import SHARE
from deepict_dask.stages.run_folder import FILE as SETTINGS
from deepict_dask.stages.run_folder import read_settings
from deepict_dask.stages.tables import TableRecord, check_table, read_record
from deepict_dask.tomogram import VoxelSize

_SECRET = re.compile(r"password|passwd|secret|token|credential|api_?key|access_?key", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
MASK = "••••••"


def gather(folder: Location) -> ReportFacts:
    """Collect what is known of a run.

    Parameters
    ----------
    folder : Location
        A run folder; it may be written to meanwhile, and may come from a command that left no summary.

    Returns
    -------
    ReportFacts
        Particles of tomograms whose tables are complete; of others their state.

    Raises
    ------
    InputError
        If there is nothing, or nothing of a run.
    """
    if not folder.is_folder():
        raise MissingFileError(f"there is no run folder {folder}; give the --output of a run")
    children = {
        c.name: c
        for c in folder.children()
        if c.is_folder() and not c.name.startswith(".") and not is_leftover(c.name)
    }
    summary = read_summary(folder)
    states = {t.name: t for t in summary.tomograms} if summary is not None else {}
    settings = _settings(folder)
    tomograms = []
    for name in dict.fromkeys([*states, *sorted(children)]):
        place = children.get(name)
        if name not in states and (place is None or not _is_of_a_tomogram(place)):
            continue
        tomograms.append(_tomogram(folder, name, place, states.get(name), settings))
    if not tomograms and summary is None:
        raise InputError(f"{folder} holds nothing of a run; give the --output of a run")
    if summary is None:
        summary = Summary(
            str(folder), "", tuple(t.state for t in tomograms), _state_of(tomograms), now=now(), version=""
        )
    return ReportFacts(
        replace(summary, folder=str(folder), tomograms=tuple(t.state for t in tomograms)),
        tuple(tomograms),
        () if settings is None else tuple(plain_settings(settings)),
        _versions(summary, tomograms),
        bool(states) or summary.command != "",
    )


def _is_of_a_tomogram(place: Location) -> bool:
    names = [c.name for c in place.children()]
    return any(n == "tomogram.zarr" or (n.startswith("particles") and n.endswith(".json")) for n in names)


def _state_of(tomograms: Sequence[TomogramFacts]) -> Literal["done", "stopped"]:
    return "done" if all(t.is_complete for t in tomograms) else "stopped"


def _tomogram(
    folder: Location,
    name: str,
    place: Location | None,
    state: TomogramState | None,
    settings: Settings | None,
) -> TomogramFacts:
    records = {} if place is None else _records(place)
    images = {} if place is None else _images(place)
    found, problems = [], []
    for stem, record in records.items():
        assert place is not None
        one, problem = _found(folder, place, stem, record, images)
        found.append(one)
        problems += [problem] if problem else []
    first = next(iter(records.values()), None)
    known = state or TomogramState(name, _state(place, bool(found)))
    known = _completed(known, images.get("tomogram"), found)
    runtime = "" if first is None else _runtime(first.made_by)
    return TomogramFacts(
        known,
        tuple(found),
        {} if settings is None or name not in settings.tomograms else _differs(settings, name),
        tuple(problems),
        "" if first is None else str(first.facts.get("package_version", "")),
        runtime,
    )


def _state(place: Location | None, is_picked: bool) -> State:
    return "done" if is_picked or place is None else "stopped"


def _completed(state: TomogramState, tomogram: Image | None, found: Sequence[Found]) -> TomogramState:
    """Put what the folder shows where a summary says nothing, or something else."""
    if found:
        state = replace(state, particles={f.name: f.n for f in found})
    if tomogram is None:
        return state
    z, y, x = tomogram.spatial_shape
    if state.shape is None:
        state = replace(state, shape=(z, y, x), n_voxels=z * y * x)
    if state.voxel_size is None:
        state = replace(state, voxel_size=tomogram.voxel_size)
    if state.contrast is None:
        try:
            s = tomogram.statistics
        except DeepictError:
            return state
        extent = s.maximum - s.minimum
        state = replace(state, contrast=s.std / extent if extent > 0 else None)
    return state


def _records(place: Location) -> dict[str, TableRecord]:
    """Give the side files of complete tables, by stem, sorted."""
    records = {}
    for file in sorted(place.children()):
        if file.name.startswith("particles") and file.suffix == ".json" and file.is_file():
            try:
                record = read_record(file)
            except DeepictError:
                continue  # said by whoever picks there
            if record is not None and record.is_complete:
                records[file.stem] = record
    return records


def _images(place: Location) -> dict[str, Image]:
    """Give the complete images of a tomogram, by name without suffix; damaged ones are left out."""
    images = {}
    for child in place.children():
        if child.suffix != ".zarr" or not child.is_folder():
            continue
        try:
            image = open_own_image(child)
        except DeepictError:
            continue
        if image is not None and image.is_complete:
            images[child.stem] = image
    return images


def _found(
    folder: Location, place: Location, stem: str, record: TableRecord, images: Mapping[str, Image]
) -> tuple[Found, str]:
    """Read one table; with what is wrong with it, if anything is."""
    share = record.made_by.recorded.get(SHARE)
    has_region = "region" in record.made_by.inputs
    name = str(record.facts.get("class") or stem.partition("_")[2] or "particle")
    files = list(record.tables.items())
    table = place / files[0][0] if files else None
    at = "" if table is None else table.relative_to(folder)
    diameters = scores = np.zeros(0)
    problem = ""
    if table is not None:
        try:
            check_table(table, files[0][1])
            particles = read_particles(table.local_path())
            scores = np.asarray(particles.score, np.float64)
            diameters = _diameters(particles.size, _map_voxel_size(stem, images))
        except (DeepictError, OSError, ValueError) as error:
            problem = " ".join(str(error).split())
    share = float(share) if isinstance(share, int | float) else None
    return Found(name, record.n_particles, diameters, scores, at, share, has_region), problem


def _diameters(sizes: np.ndarray, voxel_size: VoxelSize | None) -> np.ndarray:
    """Give the diameters in nm of spheres as large as particles; NaN where they are not known."""
    if voxel_size is None:
        return np.full(len(sizes), np.nan)
    volumes = np.where(np.asarray(sizes) > 0, sizes, np.nan) * np.prod(voxel_size)
    return np.asarray(np.cbrt(volumes * 6 / np.pi) / 10)


def _map_voxel_size(stem: str, images: Mapping[str, Image]) -> VoxelSize | None:
    """Give the voxels that sizes count: those of the map that was picked from, or of what was made for it."""
    rest = stem.removeprefix("particles")
    maps = [
        n for n in images if n.startswith("probability") and rest.startswith(n.removeprefix("probability"))
    ]
    for name in (*sorted(maps, key=len, reverse=True), "rescaled", "tomogram"):
        if name in images and images[name].voxel_size is not None:
            return images[name].voxel_size
    return None


def _runtime(made_by: Provenance) -> str:
    probability = made_by.inputs.get("probability")
    if not isinstance(probability, Provenance):
        return ""
    words = [str(v) for v in (probability.recorded.get("runtime"), probability.recorded.get("device")) if v]
    return " on ".join(words)


def _settings(folder: Location) -> Settings | None:
    try:
        return read_settings(folder / SETTINGS)
    except DeepictError:
        return None


def plain_settings(settings: Settings) -> list[Setting]:
    """Give the settings of a run as words, secrets masked."""
    default = Settings().model_dump(mode="json")
    rows = []
    for section, values in settings.model_dump(mode="json").items():
        if section == "tomograms":
            continue
        model = getattr(settings, section)
        for key, value in values.items():
            field = type(model).model_fields.get(key)
            rows.append(
                Setting(
                    section,
                    key,
                    in_words(key, value),
                    "" if field is None else str(field.description or ""),
                    value == default[section][key],
                )
            )
    return rows


def _differs(settings: Settings, name: str) -> dict[str, str]:
    """Give what one tomogram has otherwise."""
    return {
        f"{section}.{key}": in_words(key, value)
        for section, values in settings.tomograms[name].by_section().items()
        for key, value in values.items()
    }


def in_words(key: str, value: object) -> str:
    """Write a setting for people; what looks like a secret is masked.

    >>> in_words("threshold", {"fas": 0.3, "*": 0.5}), in_words("scheduler", "tls://me:pw@host:8786")
    ('fas: 0.3, *: 0.5', 'tls://••••••@host:8786')
    """
    if value is None:
        return "none"
    if _SECRET.search(key):
        return MASK
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {in_words(str(k), v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(in_words(key, v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _LOGIN.sub(f"{MASK}@", str(value))


def _versions(summary: Summary, tomograms: Sequence[TomogramFacts]) -> dict[str, str]:
    made = sorted({t.version for t in tomograms if t.version})
    versions = {"deepict_dask (tables)": ", ".join(made)} if made else {}
    if summary.version:
        versions["deepict_dask (last command)"] = summary.version
    versions["deepict_dask (report)"] = __version__
    if runtimes := sorted({t.runtime for t in tomograms if t.runtime}):
        versions["network"] = ", ".join(runtimes)
    # Of a run without any: of what writes this.
    return {**versions, **(summary.versions or versions_here())}
