"""Tables described: particles, truth, scores, and whatever else has columns."""

from __future__ import annotations

from pathlib import Path

from deepict_dask.cli.info import Facts
from deepict_dask.errors import NeedsGridError


def describe(path: Path) -> Facts:
    """Describe a table: its rows and columns, whose particles it holds and where.

    Raises
    ------
    FormatError
        If it cannot be read: what is damaged is refused here as by the commands that read it.
    """
    from deepict_dask.io.tables import read_particles, split_name
    from deepict_dask.io.tables.overview import overview

    table = overview(path)
    facts: Facts = {"what": table.kind, "rows" if "score" in table.kind else "particles": table.n_rows}
    if "particle" not in table.kind:
        facts = {"what": table.kind, "rows": table.n_rows}
    facts["columns"] = ", ".join(table.columns[:20]) + (" ..." if len(table.columns) > 20 else "")
    for name, counts in (("tomograms", table.tomograms), ("classes", table.classes)):
        if counts:
            shown = ", ".join(f"{key} ({n})" for key, n in list(counts.items())[:10])
            facts[name] = shown + (f" and {len(counts) - 10} more" if len(counts) > 10 else "")
    for name, (low, high) in table.ranges.items():
        facts[name] = f"{low:.4g} to {high:.4g}"
    if "particle" in table.kind:
        is_motl = "motive list" in table.kind
        if is_motl and split_name(path.name)[1] != "motl":
            facts["note"] = "commands take it for a motive list only if its name ends in _motl.csv; rename it"
        try:
            particles = read_particles(path, "motl" if is_motl else None)
        except NeedsGridError as error:
            # Not the table's fault: it counts from a center, and only those who know the voxels can say where that is.
            facts["note"] = str(error)
        else:
            if len(particles):
                low, high = particles.positions.min(0), particles.positions.max(0)
                ends = ("({:.1f}, {:.1f}, {:.1f})".format(*p) for p in (low, high))
                facts["positions (z, y, x)"] = " to ".join(ends)
    return facts
