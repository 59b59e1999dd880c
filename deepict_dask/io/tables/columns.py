"""From the cells of a file to the columns of Particles, with errors that name the cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.particles import COLUMNS, UNKNOWN_GRID, Particles, VoxelGrid

AXES = ("z", "y", "x")
TOMOGRAM_COLUMNS = ("tomogram", "tomo_name", "experiment", "run_name", "rlnTomoName", "rlnMicrographName")
"""Usual names of the column that says which tomogram a row is of, the most telling first."""
CLASS_COLUMNS = ("class", "particle_type", "class_name", "rlnClassNumber")
"""Usual names of the column that says what a row is."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)")
_EMPTY = ("", None, "<NA>")


@dataclass(frozen=True)
class TableContext:
    """What is known of a table besides its cells.

    Attributes
    ----------
    tomogram, class_name : str
        Of all rows, where no column says; empty where unknown.
    grid : VoxelGrid
        Of the tomogram, or of those that `grids` does not name.
    grids : mapping of str to VoxelGrid
        By tomogram.
    attributes : mapping
        Settings that led to the particles.
    """

    tomogram: str = ""
    class_name: str = ""
    grid: VoxelGrid = UNKNOWN_GRID
    grids: Mapping[str, VoxelGrid] | None = None
    attributes: Mapping[str, Any] | None = None

    def grid_of(self, tomogram: str) -> VoxelGrid:
        """Give what is known of the voxels of a tomogram."""
        return (self.grids or {}).get(tomogram, self.grid)


def grid_as_json(grid: VoxelGrid) -> dict[str, Any]:
    """Give what tables keep of the voxels of a tomogram."""
    return {"voxel_size": grid.voxel_size, "shape": grid.shape, "origin": grid.origin}


def grid_from_json(content: Mapping[str, Any]) -> VoxelGrid:
    """Read what `grid_as_json` gave."""

    def triple(name: str) -> Any:
        value = content.get(name)
        return None if value is None else (value[0], value[1], value[2])

    return VoxelGrid(triple("voxel_size"), triple("shape"), triple("origin") or (0.0, 0.0, 0.0))


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
            if empty is not None and cell in _EMPTY:
                values[k] = empty
                continue
            # Python takes 1_000 for a number, and nobody else does.
            if isinstance(cell, str) and not _NUMBER.fullmatch(cell.strip()):
                raise ValueError
            values[k] = float(cell)
        except (TypeError, ValueError):
            raise FormatError(
                f"{path}: column {name} holds {cell!r} in {row(k)}, which is not a number; correct that row"
            ) from None
        if empty is None and not np.isfinite(values[k]):
            raise FormatError(f"{path}: column {name} holds {cell!r} in {row(k)}; a position must be finite")
    return values


def whole_numbers(
    path: Path, name: str, cells: Sequence[Any], row: Callable[[int], str], *, empty: int = 0
) -> np.ndarray:
    """Read one column as int64; FormatError where a number is not whole or not there (NaN)."""
    values = numbers(path, name, cells, row, empty=empty)
    for k, value in enumerate(values):
        if not (np.isfinite(value) and abs(value - np.rint(value)) < 1e-6):
            raise FormatError(
                f"{path}: column {name} holds {cells[k]!r} in {row(k)}, where a whole number belongs; correct that row"
            )
    return np.rint(values).astype(np.int64)


def require(path: Path, required: Sequence[str], present: Sequence[str], hint: str = "") -> None:
    """Refuse a table without the columns that make it one.

    Raises
    ------
    FormatError
        Naming file and columns.
    """
    missing = [name for name in required if name not in present]
    if missing:
        raise FormatError(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(map(str, present)) or 'none'}); "
            f"a particle table needs {', '.join(required)}{hint}"
        )


def first_of(names: Sequence[str], present: Mapping[str, Any]) -> str | None:
    """Give the first of some column names that a table has."""
    return next((name for name in names if name in present), None)


def from_table(
    path: Path,
    table: Mapping[str, Sequence[Any]],
    row: Callable[[int], str],
    context: TableContext,
) -> Particles:
    """Make particles of a table with our column names.

    Only z, y and x must be there.

    Raises
    ------
    FormatError
        If a column is missing or holds something that is not a number.
    """
    require(path, AXES, list(table), "; a motl must be named *_motl.csv" if path.suffix == ".csv" else "")
    used = set(COLUMNS)

    def column(name: str, empty: float | None = None) -> np.ndarray:
        return numbers(path, name, table[name], row, empty=empty)

    n = len(table["z"])
    fields: dict[str, Any] = {axis: column(axis) for axis in AXES}
    fields |= {name: column(name, np.nan) for name in ("score", "score_max") if name in table}
    for name in ("label", "size"):
        if name in table:
            fields[name] = whole_numbers(path, name, table[name], row)
    if "touches_edge" in table:
        fields["touches_edge"] = _edges(table["touches_edge"])
    names = {}
    for rows, one, usual in (
        ("tomograms", "tomogram", TOMOGRAM_COLUMNS),
        ("classes", "class_name", CLASS_COLUMNS),
    ):
        column_name = first_of(usual, table)
        # In a table of one of ours with empty cells nobody says.
        if column_name is not None and any(str(cell).strip() for cell in table[column_name]):
            names[rows] = np.array([str(cell).strip() for cell in table[column_name]], object)
            used.add(column_name)
        names[one] = getattr(context, one)
    positions = np.stack([fields.pop(axis) for axis in AXES], axis=1)
    of_tomogram = names.get("tomograms", np.full(n, context.tomogram, object))
    grids = {
        name: _grid(table, path, row, positions, of_tomogram == name, context.grid_of(name))
        for name in dict.fromkeys(of_tomogram.tolist())
    }
    single = next(iter(grids.values())) if len(grids) == 1 else context.grid
    other_columns = {name: other_column(cells) for name, cells in table.items() if name not in used}
    return Particles.from_positions(
        positions,
        **fields,
        **names,
        voxel_size=single.voxel_size,
        shape=single.shape,
        origin=single.origin,
        grids=grids if len(grids) > 1 else {},
        others=other_columns,
        attributes=dict(context.attributes or {}),
    )


def _grid(
    table: Mapping[str, Sequence[Any]],
    path: Path,
    row: Callable[[int], str],
    positions: np.ndarray,
    rows: np.ndarray,
    grid: VoxelGrid,
) -> VoxelGrid:
    """Give the voxel size of one tomogram: what is known, else what its positions in voxels and in A mean."""
    if grid.voxel_size is not None or any(f"{axis}_angstrom" not in table for axis in AXES):
        return grid
    edges, origin = [], []
    for axis, voxels in zip(AXES, positions[rows].T, strict=True):
        cells = [table[f"{axis}_angstrom"][k] for k in np.flatnonzero(rows).tolist()]
        angstrom = numbers(path, f"{axis}_angstrom", cells, row, empty=np.nan)
        line = _ratio(angstrom, voxels)
        if line is None:
            return grid
        edges.append(line[0])
        origin.append(line[1])
    return VoxelGrid((edges[0], edges[1], edges[2]), grid.shape, (origin[0], origin[1], origin[2]))


def _ratio(angstrom: np.ndarray, voxels: np.ndarray) -> tuple[float, float] | None:
    """Find the voxel size that the two columns mean, the shortest number that explains them, and the origin."""
    good = np.isfinite(angstrom)
    if not (good & (voxels != 0)).any():
        return None
    a, v = angstrom[good], voxels[good]
    k = int(np.argmax(np.abs(v)))
    ratio = float(a[k] / v[k])
    for digits in range(3, 17):
        candidate = float(f"{ratio:.{digits}g}")
        if (v * candidate == a).all():
            return candidate, 0.0
    if ratio > 0 and np.allclose(v * ratio, a, rtol=1e-9, atol=0):
        return ratio, 0.0
    # A line: an origin other than 0 was added.
    low, high = int(np.argmin(v)), int(np.argmax(v))
    if v[high] == v[low]:
        return (ratio, 0.0) if ratio > 0 else None
    edge = float(f"{(a[high] - a[low]) / (v[high] - v[low]):.12g}")
    shift = float(f"{a[low] - v[low] * edge:.10g}")
    return (edge, shift) if edge > 0 and np.allclose(v * edge + shift, a, rtol=1e-8, atol=1e-6) else None


def _edges(cells: Sequence[Any]) -> np.ndarray | None:
    words = {"true": 1, "1": 1, "false": 0, "0": 0}
    values = np.array([words.get(str(cell).strip().lower(), -1) for cell in cells], np.int8)
    if (values == -1).all():
        return None
    return values if (values == -1).any() else values.astype(bool)


def other_column(cells: Sequence[Any]) -> np.ndarray:
    """Keep a column that is not known: numbers as numbers where no text is lost, else as it stands."""
    if not all(isinstance(cell, str) for cell in cells):
        values = np.asarray(cells)
        return values if values.dtype.kind in "iufb" else np.array(list(cells), object)
    text = [cell.strip() for cell in cells]
    if text and all(_WHOLE.fullmatch(cell) and len(cell) < 18 for cell in text):
        return np.array([int(cell) for cell in text], np.int64)
    numeric = all(
        cell == "" or (_NUMBER.fullmatch(cell) and not re.match(r"[+-]?0\d", cell)) for cell in text
    )
    if text and numeric and any(text):
        values = np.array([float(cell) if cell else np.nan for cell in text])
        # A number whose digits would change is text that looks like one.
        if all(
            cell == "" or float(repr(v)) == float(cell) for cell, v in zip(text, values.tolist(), strict=True)
        ):
            return values
    return np.array(text, object)
