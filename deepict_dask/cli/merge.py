"""What ``deepict-dask merge`` does: the union of several tables of picks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepict_dask.cli.terminal import print_table
from deepict_dask.io.location import Location
from deepict_dask.tomogram import per_axis


def merge_tables(
    quiet: bool,
    *,
    tables: Sequence[str],
    output: Path,
    abc: str,
    unit: str,
    direction: str | None,
    class_name: str | None,
    voxel_size: str | None,
    first_wins: bool,
    overwrite: bool,
) -> None:
    """Merge tables, or run folders tomogram by tomogram, and say what came of it."""
    from deepict_dask.scoring.merge import merge

    merged = merge(
        tables,
        Location.of(output),
        per_axis(abc, "--abc"),
        unit=unit,  # type: ignore[arg-type]
        direction=None if direction is None else per_axis(direction, "--direction", signed=True),
        class_name=class_name,
        voxel_size=None if voxel_size is None else per_axis(voxel_size, "--voxel-size"),
        first_wins=first_wins,
        overwrite=overwrite,
    )
    if not quiet:
        rows = [
            (m.tomogram, m.class_name or "-", str(m.n_given), str(m.n_particles), str(m.path)) for m in merged
        ]
        print_table("Merged", ("tomogram", "class", "picks given", "particles", "table"), rows)
