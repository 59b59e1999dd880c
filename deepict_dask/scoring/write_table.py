"""Write a table that was made of other tables, with the file beside it that says how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepict_dask.errors import DamagedOutputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.io.tables import split_name, write_particles
from deepict_dask.io.tables.columns import grid_as_json
from deepict_dask.particles import Particles
from deepict_dask.provenance import FileInput, Made, Provenance
from deepict_dask.stages.tables import begin_tables, check_tables, digest_of, finish_tables, read_record


def made_of(
    step: str,
    files: Sequence[Location],
    settings: dict[str, Any],
    others: Mapping[str, Location] | None = None,
) -> Provenance:
    """Give the provenance of what is made of tables; a folder counts as the files in it.

    Parameters
    ----------
    step : str
        Which command.
    files : sequence of Location
        Tables, in the order in which they were given.
    settings : dict
        All that decides on the values; plain values.
    others : mapping of str to Location, optional
        Further files by their role: lists beside tables.
    """
    inputs: dict[str, Made] = {}
    for k, file in enumerate(files):
        if file.is_folder():
            digests = [(name, digest_of(file.join(name))) for name, _ in file.files()]
            inputs |= {f"table {k + 1}, {name}": FileInput(name, digest) for name, digest in digests}
        else:
            inputs[f"table {k + 1}"] = FileInput(file.name, digest_of(file))
    inputs |= {role: FileInput(file.name, digest_of(file)) for role, file in (others or {}).items()}
    return Provenance(step, inputs, settings)


def write_table(particles: Particles, table: Location, made_by: Provenance, *, overwrite: bool) -> bool:
    """Write a table and its side file; nothing that is not ours is replaced.

    Parameters
    ----------
    particles : Particles
        Of any tomograms and classes.
    table : Location
        The end of its name says the format.
    made_by : Provenance
        What it is made of.
    overwrite : bool
        Whether a table made by something else may be replaced.

    Returns
    -------
    bool
        False if it was there already, made by the same.

    Raises
    ------
    OutputExistsError, DamagedOutputError
        If something else is there, or what is there is not what was written.
    """
    side = table.with_name(f"{split_name(table.name)[0]}.json")
    record = None if overwrite and not _is_readable(side) else read_record(side)
    try:
        refused = check_tables(side, made_by, [table.name], what=f"the table {table} was")
    except (DamagedOutputError, OutputExistsError):
        if not overwrite:
            raise
        refused = "replaced"
    if refused is None:
        return False
    if refused and not overwrite:
        raise OutputExistsError(refused)
    begin_tables(side, made_by, [table.name], record)
    write_particles(particles, table)
    facts: dict[str, Any] = {
        "n_particles": len(particles),
        "tomogram": particles.tomogram,
        "class": particles.class_name,
        "voxel_size": particles.voxel_size,
        "shape": particles.shape,
    }
    if particles.tomograms is not None:
        # CSV has no place for it, and formats that count from the center of a tomogram need it.
        facts["grids"] = {name: grid_as_json(particles.grid_of(name)) for name in particles.names("tomogram")}
    elif any(particles.origin):
        facts["origin"] = particles.origin
    finish_tables(side, made_by, [table.name], facts)
    return True


def _is_readable(side: Location) -> bool:
    try:
        read_record(side)
    except (DamagedOutputError, OutputExistsError):
        return False
    return True
