"""What an evaluation finds: scores per class and tomogram and pooled, with their curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from deepict_dask.errors import OutputExistsError
from deepict_dask.io.charts.curves import plot_curves
from deepict_dask.io.location import Location
from deepict_dask.io.scores import Row, write_curves, write_scores
from deepict_dask.kernels.curves import Curve
from deepict_dask.provenance import Provenance
from deepict_dask.stages.results import write_result

POOLED = "pooled"
SIDE, SCORES, CURVES, PLOT = "evaluation.json", "scores.csv", "curves.csv", "precision_recall.png"


@dataclass(frozen=True, eq=False)
class Scores:
    """How well one class was found in one tomogram, or in all of them.

    Attributes
    ----------
    class_name, tomogram : str
        What, and where; ``"pooled"`` for all tomograms together. The class is empty where nobody names it.
    n_picked, n_truth, n_matched : int
        Picks (or predicted voxels), true ones there are, and true ones found.
    precision, recall, f1 : float
        Of all picks, without a threshold on their score; of voxels above the threshold. The F1 of voxels is
        the Dice coefficient.
    curve : Curve or None
        Precision and recall at every threshold; None where nothing has a score.
    """

    class_name: str
    tomogram: str
    n_picked: int
    n_truth: int
    n_matched: int
    precision: float
    recall: float
    f1: float
    curve: Curve | None = None

    @classmethod
    def of_counts(
        cls,
        class_name: str,
        tomogram: str,
        *,
        n_picked: int,
        n_truth: int,
        n_matched: int,
        curve: Curve | None = None,
    ) -> Scores:
        """Score what was counted; what would be a division by nothing is 0."""
        return cls(
            class_name,
            tomogram,
            n_picked,
            n_truth,
            n_matched,
            n_matched / n_picked if n_picked else 0.0,
            n_matched / n_truth if n_truth else 0.0,
            2 * n_matched / (n_picked + n_truth) if n_matched else 0.0,
            curve,
        )

    @property
    def auprc(self) -> float:
        """Area under the precision-recall curve, as average precision; NaN without a curve."""
        return float("nan") if self.curve is None else self.curve.average_precision

    @property
    def best_threshold(self) -> float:
        """Score at and above which F1 is highest; NaN without a curve."""
        return float("nan") if self.curve is None else self.curve.best[0]

    @property
    def best_f1(self) -> float:
        """F1 with that threshold; NaN without a curve."""
        return float("nan") if self.curve is None else self.curve.best[1]

    def row(self) -> Row:
        """Give the numbers by name, as tables and JSON have them."""
        names = ("class_name", "tomogram", "n_picked", "n_truth", "n_matched", "precision", "recall", "f1")
        row = {name: getattr(self, name) for name in (*names, "auprc", "best_threshold", "best_f1")}
        return {"class": row.pop("class_name")} | row


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of all classes and tomograms.

    Attributes
    ----------
    kind : {"picks", "voxels"}
        What was counted.
    tomograms : list of Scores
        Per class and tomogram.
    pooled : list of Scores
        Per class, counts of all its tomograms added up.
    settings : dict
        What it was made with; plain values.
    """

    kind: Literal["picks", "voxels"]
    tomograms: list[Scores]
    pooled: list[Scores]
    settings: dict[str, Any] = field(default_factory=dict)


def check_output(output: Location, *, overwrite: bool = False) -> None:
    """Refuse an output folder that is in use, before work is spent.

    Raises
    ------
    OutputExistsError
        If an evaluation is there and is not to be replaced, or the folder is a file.
    """
    output.check_folder()
    if (output / SIDE).exists() and not overwrite:
        raise OutputExistsError(
            f"{output} holds an evaluation already; use --overwrite to replace it, or another output folder"
        )


def write_evaluation(evaluation: Evaluation, output: Location, *, plot: bool = True) -> list[Location]:
    """Write an evaluation as CSV, JSON and PNG.

    Parameters
    ----------
    evaluation : Evaluation
        From `evaluate` or `evaluate_voxels`.
    output : Location
        Folder; ``scores.csv`` (a row per class and tomogram, and pooled), ``curves.csv`` (a row per point of a
        curve), ``precision_recall.png`` and, last, ``evaluation.json``.
    plot : bool
        Whether to draw; needs matplotlib.

    Returns
    -------
    list of Location
        What was written. There is no plot where nothing has a score.

    Raises
    ------
    InputError
        If matplotlib is to draw and is not installed.
    """
    output.make_folder()
    everything = [*evaluation.tomograms, *evaluation.pooled]
    curves = [(s.class_name, s.tomogram, s.curve) for s in everything if s.curve is not None]
    written = [
        write_scores(output / SCORES, [s.row() for s in everything]),
        write_curves(output / CURVES, curves),
    ]
    if plot and curves:
        single = [(s.class_name, s.tomogram, s.curve) for s in evaluation.tomograms if s.curve is not None]
        pooled = [(s.class_name, s.curve, (s.recall, s.precision)) for s in evaluation.pooled if s.curve]
        written.append(plot_curves(output / PLOT, pooled, single, kind=evaluation.kind))
    else:
        (output / PLOT).remove()
    side = {
        "kind": evaluation.kind,
        "pooled": [_plain(s.row()) for s in evaluation.pooled],
        "tomograms": [_plain(s.row()) for s in evaluation.tomograms],
        "files": [path.name for path in written],
    }
    write_result(output / SIDE, Provenance("evaluate", {}, evaluation.settings), side)
    return [*written, output / SIDE]


def _plain(row: Row) -> Row:
    """Write what is not known as null: JSON knows no NaN."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
