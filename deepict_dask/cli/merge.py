"""What ``deepict-dask merge`` does: the union of several tables of picks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepict_dask.cli.evaluate import lengths
from deepict_dask.cli.terminal import print_table


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

    semi_axes = lengths(abc, "--abc")
    assert semi_axes is not None
    merged = merge(
        tables,
        output,
        semi_axes,
        unit=unit,  # type: ignore[arg-type]
        direction=lengths(direction, "--direction"),
        class_name=class_name,
        voxel_size=lengths(voxel_size, "--voxel-size"),
        first_wins=first_wins,
        overwrite=overwrite,
    )
    if not quiet:
        rows = [
            (m.tomogram, m.class_name or "-", str(m.n_given), str(m.n_particles), str(m.path)) for m in merged
        ]
        print_table("Merged", ("tomogram", "class", "picks given", "particles", "table"), rows)
