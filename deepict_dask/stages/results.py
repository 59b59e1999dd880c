"""Results in JSON with what made them: written whole and last, read back only where they were made by the same."""

from __future__ import annotations

from typing import Any

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.provenance import Provenance
from deepict_dask.stages.finished import FOREIGN


def read_result(file: Location, expected: Provenance, *, overwrite: bool) -> dict[str, Any] | None:
    """Read a result that was made by the same.

    Parameters
    ----------
    file : Location
        JSON.
    expected : Provenance
        Of what would be made now.
    overwrite : bool
        Whether one that was made by something else may be replaced.

    Returns
    -------
    dict or None
        None if it has to be made; then the place is free.

    Raises
    ------
    OutputExistsError
        If something else is there and is not to be replaced.
    """
    if not file.exists():
        return None
    refused = f"{file} {FOREIGN}"
    try:
        content = file.read_json()
    except InputError as error:
        content, refused = None, f"{error}; use --overwrite to make it again"
    if isinstance(content, dict) and "made_by" in content:
        made = Provenance.from_json(content["made_by"])
        difference = "another version of this program" if made is None else made.difference(expected)
        if difference is None and content.get("complete") is True:
            return content
        refused = (
            f"{file} was made with {difference}; use --overwrite to replace it, or another output folder"
        )
        if difference is None:
            file.remove()
            return None
    if not overwrite:
        raise OutputExistsError(refused)
    file.remove()
    return None


def write_result(file: Location, made_by: Provenance, content: dict[str, Any]) -> Location:
    """Write a result with what made it; it is there whole or not at all."""
    return file.write_json({"complete": True, **content, "made_by": made_by.to_json()})
