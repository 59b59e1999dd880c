"""Our own tables of a whole run: one Parquet or CSV file, tomogram after tomogram."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deepict_dask.io.exchange.export import Export
from deepict_dask.io.exchange.reading import Reading
from deepict_dask.io.exchange.table import frame_of
from deepict_dask.io.tables import FORMATS, read_particles
from deepict_dask.particles import Particles, join

PARQUET, CSV = "particles.parquet", "particles.csv"


def write_parquet(export: Export, folder: Path) -> None:
    """Write ``particles.parquet`` (pandas, polars, DuckDB): columns as in the README, voxels of each tomogram in the schema."""
    FORMATS["parquet"].write(_everything(export), folder / PARQUET)


def write_csv(export: Export, folder: Path) -> None:
    """Write ``particles.csv``."""
    FORMATS["csv"].write(_everything(export), folder / CSV)


def _everything(export: Export) -> Particles:
    """Give all particles: a table of columns needs all of them to know their types."""
    return replace(join([particles for _, particles in export.parts()]), attributes={})


def read(path: Path, reading: Reading) -> Particles:
    """Read a table of this package, see `read_particles`; positions become voxels of ``--voxel-size``."""
    particles = read_particles(reading.opening(path))
    positions, grids = particles.positions, {}
    for name in particles.names("tomogram") or [""]:
        frame, factor = frame_of(name, particles.grid_of(name), reading)
        grids[name] = frame.grid
        if (factor != 1).any():
            positions[particles["tomogram"] == name] *= factor
    one, (z, y, x) = next(iter(grids.values())), positions.T
    return replace(
        particles,
        z=z,
        y=y,
        x=x,
        voxel_size=one.voxel_size,
        shape=one.shape,
        origin=one.origin,
        grids=grids if particles.tomograms is not None else {},
    )
