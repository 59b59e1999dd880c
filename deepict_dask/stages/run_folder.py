"""The run folder: where it is, whose it is, and the settings that made what lies in it.

``settings.yaml`` holds the run's settings: the defaults, and what differs for single tomograms. ``NAME/settings.yaml``
holds what was in effect for one. Both are written by this program and end in a digest, so that a file that somebody
else wrote, or has changed, is never overwritten unasked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from deepict_dask.config import Settings, commented_yaml, load_settings
from deepict_dask.errors import OutputExistsError
from deepict_dask.io.formats.zarr_listing import is_zarr
from deepict_dask.io.location import Location

FILE = "settings.yaml"
_DIGEST = "# digest of the lines above, by which this program knows them for its own: "


def run_folder_of(place: Location) -> Location:
    """Give the run folder that a place belongs to: itself, or the folder above it that has a run's settings.

    Parameters
    ----------
    place : Location
        A run folder, the folder of a tomogram in it, or an image in that.
    """
    for folder in (place, place.parent, place.parent.parent):
        if (
            folder.is_folder()
            and is_own_settings(folder / FILE)
            and not is_own_settings(folder.parent / FILE)
        ):
            return folder
    return place.parent if is_zarr(place) else place


def read_settings(file: Location) -> Settings | None:
    """Read the settings that a run left; None if there are none, or none of ours."""
    if not is_own_settings(file, unchanged=False):
        return None
    return load_settings(file.local_path())


def is_own_settings(file: Location, *, unchanged: bool = True) -> bool:
    """Tell whether this program wrote a settings file (and nobody changed it since)."""
    if not file.is_file():
        return False
    text, mark, digest = file.read_text().rpartition(_DIGEST)
    return bool(mark) and (not unchanged or digest.strip() == _digest(text))


def check_settings(folder: Location, *, overwrite: bool) -> None:
    """Refuse a run folder whose settings file is not ours to replace, before anything is done.

    Raises
    ------
    OutputExistsError
        If somebody else wrote it, or changed it.
    """
    file = folder / FILE
    if file.exists() and not overwrite and not is_own_settings(file):
        raise OutputExistsError(
            f"{file} was not written by this program, or was changed since; move it (and give it with --config if it is "
            "meant for this run), or use --overwrite"
        )


def write_settings(folder: Location, settings: Settings, names: list[str]) -> None:
    """Write the settings that make some tomograms, keeping true what the file says of the others.

    Parameters
    ----------
    folder : Location
        The run folder.
    settings : Settings
        Of this command.
    names : list of str
        Tomograms that it makes.

    Notes
    -----
    Where the folder holds no others, the settings are the run's. Where it does, the run's defaults stay, and what
    this command does otherwise is written for its tomograms alone.
    """
    before = read_settings(folder / FILE)
    if before is not None:
        other_names = [
            child.name
            for child in folder.children()
            if child.is_folder() and child.name not in names and (child / FILE).exists()
        ]
        if other_names:
            settings = _beside(before, settings, names, other_names)
    _write(folder / FILE, settings)


def difference_of(
    before: Settings, settings: Settings, names: Sequence[str], met: Collection[str]
) -> str | None:
    """Say in what the settings of a run differ from those of a command; None if in nothing.

    Parameters
    ----------
    before, settings : Settings
        Of the run, and of the command. The cluster's are not compared: they decide on nothing that is written.
    names : sequence of str
        Tomograms of the command.
    met : collection of str
        Tomograms that the run has already; the others may have any settings of their own.
    """
    defaults = (before.model_copy(update={"tomograms": {}}), settings.model_copy(update={"tomograms": {}}))
    shared = [(before.for_tomogram(n), settings.for_tomogram(n)) for n in names if n in met]
    for old, new in (defaults, *shared):
        for section, values in _differences(old, new).items():
            key = next(iter(values))
            given, made = values[key], getattr(old, section).model_dump(mode="json")[key]
            return f"{section}.{key} {made!r:.200} where {given!r:.200} is given"
    return None


def add_tomograms(folder: Location, before: Settings | None, settings: Settings) -> None:
    """Write the settings of a run that several processes share; of one that is there only the tomograms grow."""
    if before is None:
        _write(folder / FILE, settings)
    elif not settings.tomograms.keys() <= before.tomograms.keys():
        together = {
            **before.model_dump(mode="json")["tomograms"],
            **settings.model_dump(mode="json")["tomograms"],
        }
        _write(
            folder / FILE, Settings.model_validate({**before.model_dump(mode="json"), "tomograms": together})
        )


def write_effective(folder: Location, settings: Settings) -> None:
    """Write what was in effect for one tomogram into its folder."""
    _write(folder / FILE, settings)


def note_effective(folder: Location, section: str, **values: Any) -> None:
    """Write what a setting that was left open became into the settings of a tomogram; nothing where there are none."""
    effective = read_settings(folder / FILE)
    if effective is None:
        return
    changed = getattr(effective, section).model_copy(update=values)
    if changed != getattr(effective, section):
        _write(folder / FILE, effective.model_copy(update={section: changed}))


def _beside(before: Settings, settings: Settings, names: list[str], other_names: list[str]) -> Settings:
    """Put what differs for some tomograms beside the defaults of a run."""
    overrides = {
        name: before.tomograms[name].by_section() for name in other_names if name in before.tomograms
    }
    base = before.model_copy(update={"tomograms": {}})
    for name in names:
        if differs := _differences(base, settings.for_tomogram(name)):
            overrides[name] = differs
    tree = {
        **base.model_dump(mode="json"),
        "tomograms": overrides,
        "cluster": settings.cluster.model_dump(mode="json"),
    }
    return Settings.model_validate(tree)


def _differences(base: Settings, settings: Settings) -> dict[str, dict[str, Any]]:
    differences: dict[str, dict[str, Any]] = {}
    for section in ("ingest", "equalize", "segment", "pick"):
        old: Mapping[str, Any] = getattr(base, section).model_dump(mode="json")
        new: Mapping[str, Any] = getattr(settings, section).model_dump(mode="json")
        if changed := {key: value for key, value in new.items() if value != old[key]}:
            differences[section] = changed
    return differences


def _write(file: Location, settings: Settings) -> None:
    text = commented_yaml(settings).rstrip("\n") + "\n"
    file.write(f"{text}{_DIGEST}{_digest(text)}\n")


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
