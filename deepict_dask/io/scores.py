"""Tables of scores and curves: CSV with a header, floats in full."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deepict_dask.io.location import Location
from deepict_dask.kernels.curves import Curve

Row = dict[str, Any]
"""A row of a table by the names of its columns; None is an empty cell."""

SCORE_COLUMNS = (
    "class",
    "tomogram",
    "n_picked",
    "n_truth",
    "n_matched",
    "precision",
    "recall",
    "f1",
    "auprc",
    "best_threshold",
    "best_f1",
)
CURVE_COLUMNS = ("class", "tomogram", "threshold", "n_picked", "n_matched", "precision", "recall", "f1")


def write_scores(path: Location, rows: Sequence[Mapping[str, Any]]) -> Location:
    """Write a row of scores per class and tomogram; what is not known is an empty cell."""
    return _write(path, SCORE_COLUMNS, ([row[name] for name in SCORE_COLUMNS] for row in rows))


def write_curves(path: Location, curves: Sequence[tuple[str, str, Curve]]) -> Location:
    """Write a row per point of the curves; the threshold is empty for picks without a score."""
    rows = (
        [class_name, tomogram, *point]
        for class_name, tomogram, curve in curves
        for point in zip(
            curve.thresholds.tolist(),
            curve.picked.tolist(),
            curve.hits.tolist(),
            curve.precision.tolist(),
            curve.recall.tolist(),
            curve.f1.tolist(),
            strict=True,
        )
    )
    return _write(path, CURVE_COLUMNS, rows)


def write_rows(path: Location, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Location:
    """Write rows as CSV; what a row does not have, or is not known, is an empty cell."""
    return _write(path, columns, ([row.get(name) for name in columns] for row in rows))


def _write(file: Location, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Location:
    with file.publish() as path, path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(
            ["" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell for cell in row]
            for row in rows
        )
    return file
