"""Parquet: the columns of the CSV, and names, voxel sizes and settings in the schema's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.tables.columns import TableContext, from_table, grid_as_json, grid_from_json
from deepict_dask.particles import Particles, VoxelGrid

KEY = b"deepict_dask"
"""Where the metadata stands in the schema: a JSON object."""


def write(particles: Particles, path: Path) -> None:
    """Write the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = particles.names("tomogram") or [""]
    about = {
        "tomogram": particles.tomogram,
        "class": particles.class_name,
        "grids": {name: grid_as_json(particles.grid_of(name)) for name in names},
        "attributes": dict(particles.attributes),
    }
    columns: dict[str, Any] = dict(particles.columns())
    edge = columns["touches_edge"]
    columns["touches_edge"] = pa.array(np.asarray(edge) == 1, mask=np.asarray(edge, np.int8) == -1)
    for name in ("tomogram", "class"):
        columns[name] = pa.array(columns[name].tolist(), pa.string())
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(about, default=str)}), path)


def read(path: Path, context: TableContext) -> Particles:
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
    about = _about(table.schema.metadata)
    if about:
        grids = {name: grid_from_json(grid) for name, grid in about.get("grids", {}).items()}
        single = next(iter(grids.values())) if len(grids) == 1 else VoxelGrid()
        context = TableContext(
            str(about.get("tomogram") or context.tomogram),
            str(about.get("class") or context.class_name),
            context.grid if context.grid.voxel_size else single,
            {**grids, **(context.grids or {})},
            about.get("attributes") or {},
        )
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for name in ("tomogram", "class"):
        if name in columns:
            columns[name] = ["" if value is None else value for value in columns[name]]
    return from_table(path, columns, lambda k: f"row {k + 1}", context)


def _about(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    try:
        about = json.loads((metadata or {}).get(KEY, b"{}"))
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}
