"""Tables of scores and curves: CSV with a header, floats in full."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepict_dask.kernels.curves import Curve

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


def write_scores(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a row of scores per class and tomogram; what is not known is an empty cell."""
    return _write(path, SCORE_COLUMNS, ([row[name] for name in SCORE_COLUMNS] for row in rows))


def write_curves(path: Path, curves: Sequence[tuple[str, str, Curve]]) -> Path:
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


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(
            ["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row] for row in rows
        )
    os.replace(partial, path)
    return path
