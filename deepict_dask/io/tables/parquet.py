"""Parquet: the columns of the CSV, and names, voxel size and settings in the schema's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepict_dask.errors import FormatError
from deepict_dask.io.tables.columns import from_table
from deepict_dask.particles import Particles

KEY = b"deepict_dask"
"""Where the metadata stands in the schema: a JSON object."""


def write(particles: Particles, path: Path) -> None:
    """Write the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {
        "tomogram": particles.tomogram,
        "class": particles.class_name,
        "voxel_size": particles.voxel_size,
        "attributes": dict(particles.attributes),
    }
    table = pa.table(particles.columns())
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(about, default=str)}), path)


def read(path: Path, class_name: str | None = None) -> Particles:
    """Read a table with at least the columns z, y, x.

    Raises
    ------
    FormatError
        If it is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{path} is not a Parquet file ({error}); give a Parquet table") from error
    about = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    known: dict[str, Any] = {}
    if about:
        edges = about["voxel_size"]
        known = {
            "tomogram": about["tomogram"],
            "class_name": about["class"],
            "voxel_size": None if edges is None else tuple(edges),
            "attributes": about["attributes"],
        }
    columns = {name: table[name].to_pylist() for name in table.column_names}
    return from_table(path, columns, lambda k: f"row {k + 1}", class_name, **known)
