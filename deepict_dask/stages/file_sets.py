"""Files that were made together for another program: all of them or none, and known as ours afterwards.

``NAME.json`` in the folder says what made them and holds the digest of each. It is written before the files are moved to
their places and after that, so that a process killed in between leaves what the same command completes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.claim import claimed
from deepict_dask.io.location import Location
from deepict_dask.provenance import Provenance
from deepict_dask.stages.finished import FOREIGN
from deepict_dask.stages.tables import digest_of


def write_files(
    folder: Location,
    name: str,
    made_by: Provenance,
    build: Callable[[Location], None],
    facts: Mapping[str, Any],
    *,
    command: str,
    overwrite: bool,
) -> tuple[list[Location], bool]:
    """Make files in a folder that may hold others.

    Parameters
    ----------
    folder : Location
        Where they go.
    name : str
        Of the file that describes them, without suffix.
    made_by : Provenance
        Of all of them.
    build : callable
        Writes them into an empty folder.
    facts : mapping
        What else is said of them; plain values.
    command : str
        Which command it is, for others that want the folder.
    overwrite : bool
        Whether files that something else made may be replaced.

    Returns
    -------
    files : list of Location
        Sorted.
    is_kept : bool
        Whether they were there already, whole and made by the same.

    Raises
    ------
    OutputExistsError
        If something else is there.
    """
    side = folder / f"{name}.json"
    folder.make_folder()
    with claimed(folder, command), folder.staging() as staged:
        refused = _look(side, made_by)
        if refused is None:
            return [folder.join(file) for file in _record(side)[0]], True
        if refused and not overwrite:
            raise OutputExistsError(refused)
        build(staged)
        files = {file: digest_of(staged.join(file)) for file, _ in staged.files()}
        before = _record(side)[0]
        if not overwrite:
            for file, digest in files.items():
                place = folder.join(file)
                ours = place.is_file() and digest_of(place) in (before.get(file), digest)
                if place.exists() and not ours:
                    raise OutputExistsError(f"{place} {FOREIGN}")
        _write(side, made_by, {**before, **files}, facts, is_complete=False)
        for file in files:
            folder.join(file).take(staged.join(file))
        for file in before:
            if file not in files:
                _remove_unchanged(folder.join(file), before[file])
        _write(side, made_by, files, facts, is_complete=True)
    return [folder.join(file) for file in files], False


def _look(side: Location, made_by: Provenance) -> str | None:
    """Say what differs; None if all is there and whole, empty if it may be written."""
    if not side.exists():
        return ""
    files, made, is_complete = _record(side)
    if made is None:
        return f"{side} {FOREIGN}"
    if not is_complete:
        return ""
    if (difference := made.difference(made_by)) is not None:
        return f"the export in {side.parent} was made with {difference}; use --overwrite to replace it, or another output folder"
    for file, digest in files.items():
        place = side.parent.join(file)
        if place.is_file() and digest_of(place) != digest:
            return f"{place} was changed since it was exported; use --overwrite to replace it, or another output folder"
        if not place.is_file():
            return ""
    return None


def _record(side: Location) -> tuple[dict[str, str], Provenance | None, bool]:
    """Read files with digests, provenance, and whether all were written."""
    if not side.exists():
        return {}, None, False
    try:
        content = side.read_json()
        files = {str(file): str(digest) for file, digest in content["files"].items()}
        for file in files:
            side.parent.join(file)  # names that lead elsewhere are nobody's
        return files, Provenance.from_json(content["made_by"]), content.get("complete") is True
    except (InputError, KeyError, TypeError, AttributeError):
        return {}, None, False


def _remove_unchanged(place: Location, digest: str) -> None:
    if place.is_file() and digest_of(place) == digest:
        place.remove()


def _write(
    side: Location,
    made_by: Provenance,
    files: Mapping[str, str],
    facts: Mapping[str, Any],
    *,
    is_complete: bool,
) -> None:
    side.write_json(
        {"complete": is_complete, **facts, "files": dict(sorted(files.items())), "made_by": made_by.to_json()}
    )
