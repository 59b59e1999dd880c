"""What ``deepict-dask evaluate`` does: picks or voxels against the truth, in a table and in files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.config import load_settings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.tomogram import per_axis

if TYPE_CHECKING:
    from deepict_dask.scoring.scores import Evaluation


def evaluate_picks(
    quiet: bool,
    *,
    picks: str,
    truth: str,
    output: Path | None,
    pair: Sequence[tuple[str, str]],
    tolerance: float,
    voxel_size: str | None,
    class_name: Sequence[str],
    threshold: float,
    truth_value: int | None,
    resample: bool,
    plot: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Evaluate picks, or maps and masks where the truth is a volume; print the scores and write files."""
    from deepict_dask.io.charts.figure import require_matplotlib
    from deepict_dask.scoring.picks import evaluate
    from deepict_dask.scoring.scores import check_output, write_evaluation
    from deepict_dask.scoring.voxels import evaluate_voxels, is_volume_pair

    settings = load_settings(None, options)
    reporter = TerminalReporter(quiet)
    if output is not None:
        check_output(Location.of(output), overwrite=overwrite)
        if plot:
            try:
                require_matplotlib()
            except InputError as error:
                reporter.warn(str(error))
                plot = False
    if is_volume_pair(picks, truth):
        from deepict_dask.cli.work import workers

        with workers(settings.cluster, reporter):
            evaluation = evaluate_voxels(
                picks,
                truth,
                pairs=pair,
                threshold=threshold,
                class_name=class_name,
                truth_value=truth_value,
                resample=resample,
                reporter=reporter,
            )
        title = f"Voxels, predicted above {threshold:g}"
    else:
        evaluation = evaluate(
            picks,
            truth,
            pairs=pair,
            tolerance=tolerance,
            voxel_size=None if voxel_size is None else per_axis(voxel_size, "--voxel-size"),
            class_name=class_name,
            reporter=reporter,
        )
        title = f"Picks, matched one to one within {tolerance:g} A"
    if not quiet or output is None:
        show_evaluation(evaluation, title)
    if output is not None:
        for path in write_evaluation(evaluation, Location.of(output), plot=plot):
            reporter.say(f"wrote {path}")


def show_evaluation(evaluation: Evaluation, title: str) -> None:
    """Print the scores as a table."""
    voxels = evaluation.kind == "voxels"
    words = ("true", "predicted", "in both") if voxels else ("true", "picked", "matched")
    header = (
        "tomogram",
        "class",
        *words,
        "precision",
        "recall",
        "Dice" if voxels else "F1",
        "AUPRC",
        "best F1",
        "at",
    )
    rows = []
    several = len(evaluation.tomograms) > len(evaluation.pooled)
    for s in [*evaluation.tomograms, *(evaluation.pooled if several else ())]:
        counts = (str(s.n_truth), str(s.n_picked), str(s.n_matched))
        numbers = (s.precision, s.recall, s.f1, s.auprc, s.best_f1, s.best_threshold)
        rows.append(
            (
                s.tomogram,
                s.class_name or "-",
                *counts,
                *("-" if math.isnan(n) else f"{n:.3f}" for n in numbers),
            )
        )
    print_table(title, header, rows)
