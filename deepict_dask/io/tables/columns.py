"""From the cells of a file to the columns of Particles, with errors that name the cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.particles import Particles

AXES = ("z", "y", "x")


def numbers(
    path: Path, name: str, cells: Sequence[Any], row: Callable[[int], str], *, empty: float | None = None
) -> np.ndarray:
    """Read one column as float64, exactly; text that is no number is an error.

    Parameters
    ----------
    path : path
        For the error.
    name : str
        The column, for the error.
    cells : sequence of str or numbers
        What stands in it.
    row : callable
        Says where the k-th cell stands, for the error.
    empty : float, optional
        Value of an empty cell; without it a cell must hold a finite number.

    Raises
    ------
    FormatError
        Naming file, column and row.
    """
    values = np.empty(len(cells))
    for k, cell in enumerate(cells):
        try:
            values[k] = empty if empty is not None and cell in ("", None, "<NA>") else float(cell)
        except (TypeError, ValueError):
            raise FormatError(
                f"{path}: column {name} holds {cell!r} in {row(k)}, which is not a number; correct that row"
            ) from None
        if empty is None and not np.isfinite(values[k]):
            raise FormatError(f"{path}: column {name} holds {cell!r} in {row(k)}; a position must be finite")
    return values


def require(path: Path, wanted: Sequence[str], present: Sequence[str], hint: str = "") -> None:
    """Refuse a table without the columns that make it one.

    Raises
    ------
    FormatError
        Naming file and columns.
    """
    missing = [name for name in wanted if name not in present]
    if missing:
        raise FormatError(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(map(str, present)) or 'none'}); "
            f"a particle table needs {', '.join(wanted)}{hint}"
        )


def from_table(
    path: Path,
    table: Mapping[str, Sequence[Any]],
    row: Callable[[int], str],
    only: str | None,
    **known: Any,
) -> Particles:
    """Make particles of a table with our column names, or of its rows of one class only.

    Only z, y and x must be there.

    Raises
    ------
    FormatError
        If a column is missing or holds something that is not a number.
    """
    require(path, AXES, list(table), "; a motl must be named *_motl.csv" if path.suffix == ".csv" else "")
    kept = list(range(len(table["z"])))
    if only is not None and known.get("class_name") != only:
        require(path, ("class",), list(table))
        kept = [k for k in kept if str(table["class"][k]) == only]

    def column(name: str, empty: float | None = None) -> np.ndarray:
        cells = table[name]
        return numbers(path, name, [cells[k] for k in kept], lambda k: row(kept[k]), empty=empty)

    positions = np.stack([column(axis) for axis in AXES], axis=1)
    for name in ("score", "score_max"):
        if name in table:
            known[name] = column(name, np.nan)
    for name in ("label", "size"):
        if name in table:
            known[name] = np.rint(column(name, 0)).astype(np.int64)
    if "voxel_size" not in known:
        edges = [
            _ratio(column(f"{axis}_angstrom", np.nan), p) if f"{axis}_angstrom" in table else None
            for axis, p in zip(AXES, positions.T, strict=True)
        ]
        known["voxel_size"] = None if None in edges else tuple(edges)
    classes = {str(table["class"][k]) for k in kept} if "class" in table else set()
    if len(classes) == 1:
        known.setdefault("class_name", classes.pop())
    return Particles.from_positions(positions, **known)


def _ratio(angstrom: np.ndarray, voxels: np.ndarray) -> float | None:
    """Find the voxel size that the two columns mean: the shortest number that explains them."""
    good = np.isfinite(angstrom) & (voxels != 0)
    if not good.any():
        return None
    k = int(np.argmax(np.where(good, np.abs(voxels), 0)))
    ratio = float(angstrom[k] / voxels[k])
    for digits in range(3, 17):
        candidate = float(f"{ratio:.{digits}g}")
        if (voxels[good] * candidate == angstrom[good]).all():
            return candidate
    return ratio if ratio > 0 else None
