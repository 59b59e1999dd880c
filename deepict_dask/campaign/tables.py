"""One table over all tomograms of a run folder, beside the tables of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deepict_dask.campaign.report import leave_report
from deepict_dask.campaign.summary import read_summary
from deepict_dask.errors import DeepictError, OutputExistsError
from deepict_dask.io.claim import claimed
from deepict_dask.io.location import Location
from deepict_dask.io.tables import suffix_of, write_particles
from deepict_dask.io.tables.files import find_tables
from deepict_dask.particles import Particles, join
from deepict_dask.provenance import Provenance
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.run_folder import FILE as SETTINGS
from deepict_dask.stages.run_folder import read_settings
from deepict_dask.stages.tables import (
    ALL,
    TableRecord,
    begin_tables,
    check_tables,
    finish_tables,
    is_ours,
    read_record,
)

# A motive list is of one tomogram.
_OF_SEVERAL = ("csv", "star", "parquet")


def write_all_tables(
    folder: Location,
    formats: Sequence[str],
    metadata: Mapping[str, Mapping[str, Any]],
    reporter: Reporter,
) -> list[Location]:
    """Write the table over all tomograms of a run folder that have complete tables.

    Parameters
    ----------
    folder : Location
        The run folder; ``all_particles.csv`` and so on are written into it.
    formats : sequence of str
        Of the run; those that can hold several tomograms.
    metadata : mapping of str to mapping
        What else is known of each tomogram, by name: one column each.
    reporter : Reporter
        Told what is left out.

    Returns
    -------
    list of Location
        The tables; what follows from the same tables and metadata is not written again.

    Notes
    -----
    Tomograms are sorted by name, so the table does not depend on which of them were computed when or by whom.
    """
    records = dict(sorted(_records(folder)))
    chosen = [f for f in formats if f in _OF_SEVERAL] or ["csv"]
    names = [f"{ALL}{suffix_of(f)}" for f in chosen]
    side = folder / f"{ALL}.json"
    if not records:
        return []
    made_by = Provenance(
        "all",
        {},
        {
            "tables": {name: dict(record.tables) for name, record in records.items()},
            "metadata": {name: dict(metadata[name]) for name in sorted(metadata)},
        },
    )
    try:
        record = read_record(side)
        if check_tables(side, made_by, names) is None:
            return [folder / name for name in names]
        for name in names:
            if not is_ours(folder / name, record):
                raise OutputExistsError(
                    f"{folder / name} was not written by this program, or was changed since"
                )
    except DeepictError as error:
        reporter.warn(
            f"the table over all tomograms is left as it is until {names[0]} is moved away: {error}"
        )
        return []
    begin_tables(side, made_by, names, record)
    particles = _joined(folder, records, metadata)
    for name, form in zip(names, chosen, strict=True):
        write_particles(particles, (folder / name).local_path(), form)
    # Tables of formats that are not asked for any more must not lie beside as if they belonged here.
    for old in record.tables if record is not None else ():
        if old not in names and is_ours(folder / old, record):
            (folder / old).remove()
    facts = {"n_particles": len(particles), "tomograms": sorted({key.partition("/")[0] for key in records})}
    finish_tables(side, made_by, names, facts)
    return [folder / name for name in names]


def refresh(folder: Location, reporter: Reporter) -> None:
    """Have what a run folder says of all tomograms agree with the tables of each, after some were picked anew.

    Parameters
    ----------
    folder : Location
        The run folder; of one that no run left a summary in nothing is written.
    reporter : Reporter
        Told what is left out.
    """
    summary, settings = read_summary(folder), read_settings(folder / SETTINGS)
    if summary is None or settings is None:
        return
    records = dict(_records(folder))
    counts: dict[str, dict[str, int]] = {}
    for key, record in records.items():
        name = key.partition("/")[0]
        counts.setdefault(name, {})[str(record.facts.get("class") or "particle")] = record.n_particles
    tomograms = tuple(replace(t, particles=counts.get(t.name, t.particles)) for t in summary.tomograms)
    summary = replace(summary, tomograms=tomograms)
    with claimed(folder, "deepict-dask pick"):
        summary.write(folder)
        write_all_tables(folder, settings.pick.formats, summary.metadata, reporter)
        leave_report(folder, reporter)


def _records(folder: Location) -> list[tuple[str, TableRecord]]:
    """Give the side files of complete tables, by ``TOMOGRAM/STEM``."""
    records = []
    for child in folder.children():
        if not child.is_folder() or child.name.startswith("."):
            continue
        for file in child.children():
            if file.name.startswith("particles") and file.suffix == ".json":
                try:
                    record = read_record(file)
                except DeepictError:
                    continue  # said by whoever made or reads that tomogram
                if record is not None and record.is_complete:
                    records.append((f"{child.name}/{file.stem}", record))
    return records


def _joined(
    folder: Location, records: Mapping[str, TableRecord], metadata: Mapping[str, Mapping[str, Any]]
) -> Particles:
    tables = []
    for key, record in records.items():
        tomogram, _, stem = key.partition("/")
        first = next(iter(record.tables))
        (table,) = find_tables((folder / tomogram / first).local_path())
        particles = table.read()
        # Those of several networks or classes are told apart by their class.
        name = str(record.facts.get("class") or particles.class_name or stem)
        tables.append(replace(particles, tomogram=tomogram, class_name=name))
    columns = list(dict.fromkeys(column for cells in metadata.values() for column in cells))
    joined = join(tables)
    tomograms = joined.columns()["tomogram"]
    others = dict(joined.others)
    for column in columns:
        values = [metadata.get(name, {}).get(column, "") for name in tomograms]
        others[column] = np.array(values, object)
    return replace(joined, others=others)
