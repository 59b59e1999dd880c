"""Judge: particles of tomograms that a network has not seen, and how well they were found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.config import IngestSettings, PickSettings, SegmentSettings
from deepict_dask.config.sweep import JudgeSettings
from deepict_dask.config.training import TomogramSettings, TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.tables import read_particles
from deepict_dask.io.tables.found import find_tables
from deepict_dask.particles import Particles
from deepict_dask.scoring.picks import evaluate
from deepict_dask.scoring.scores import Evaluation, Scores, write_evaluation
from deepict_dask.scoring.voxels import evaluate_voxels
from deepict_dask.stages.equalize import equalize, open_target
from deepict_dask.stages.ingest import ingest
from deepict_dask.stages.output import remove
from deepict_dask.stages.pick import pick
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.rescale import rescale
from deepict_dask.stages.segment import same_voxel_size, segment


def judge(
    model_path: Path,
    training: TrainSettings,
    held_out: Sequence[str],
    folder: Path,
    settings: JudgeSettings,
    *,
    segment_settings: SegmentSettings,
    pick_settings: PickSettings,
    threads: int | None,
    reporter: Reporter,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Find the particles of tomograms that a network has not seen, and compare them with what is true.

    Parameters
    ----------
    model_path : Path
        The network.
    training : TrainSettings
        Of that network, with all tomograms; ``data`` is the folder in which they lie prepared.
    held_out : sequence of str
        Names of the tomograms to judge by.
    folder : Path
        Gets ``held_out/NAME`` (map and picks) and ``evaluation``.
    settings, segment_settings, pick_settings
        How particles are found and judged.
    threads : int, optional
        Of a forward pass.
    reporter : Reporter
        Follows the work.

    Returns
    -------
    pooled, single : list of dict
        Rows of scores per class, and per class and tomogram. Of classes that have masks voxels are compared, else picks.
    """
    from importlib.util import find_spec

    from deepict_dask.networks.checkpoint import load_model
    from deepict_dask.networks.predictor import forget_predictor
    from deepict_dask.stages.segment import model_spec

    classes = training.class_names
    model = load_model(model_path)
    picks: list[tuple[Particles, Particles]] = []
    maps: list[tuple[Path, TomogramSettings]] = []
    for t, name in zip(training.tomograms, names_of(training), strict=True):
        if name not in held_out:
            continue
        own_folder = folder / "held_out" / name
        own, image = _prepared(t, name, training, reporter)
        kept = {"source": image.attributes.get("source")}
        if image.voxel_size != own.voxel_size:
            kept |= {"own_voxel_size": list(own.voxel_size or ()), "own_shape": list(own.shape)}
        common: dict[str, Any] = {"reporter": reporter, "overwrite": True}
        probability = segment(
            image, model, own_folder, segment_settings, threads=threads, attributes=kept, **common
        )
        for found in pick(probability, own_folder, pick_settings, **common):
            if found.class_name in t.at_positions(classes):
                there = replace(
                    read_particles(found.tables[0]),
                    tomogram=name,
                    class_name=found.class_name,
                    voxel_size=own.voxel_size,
                )
                picks.append((_in_box(there, t), _in_box(_truth(t, name, found.class_name, own), t)))
        if t.masks is not None:
            maps.append((Path(probability.path), t))
    # The next fold on this worker has a network of its own.
    forget_predictor(model_spec(model, segment_settings, threads))
    done: list[Evaluation] = []
    plot = find_spec("matplotlib") is not None
    if picks:
        first, *others = picks
        done.append(evaluate(*first, pairs=others, tolerance=settings.tolerance, reporter=reporter))
        write_evaluation(done[-1], folder / "evaluation", plot=plot)
    if maps:
        done.append(_compare_voxels(maps, classes, pick_settings, reporter))
        write_evaluation(done[-1], folder / "evaluation_of_voxels", plot=plot)
    if not settings.keep_maps:
        for name in held_out:
            remove(folder / "held_out" / name / "probability.zarr")
    pooled = [_row(s, e.kind) for e in done for s in e.pooled]
    return pooled, [_row(s, e.kind) for e in done for s in e.tomograms]


def names_of(training: TrainSettings) -> list[str]:
    """Give the names of a training's tomograms, in their order."""
    return [t.name or tomogram_name(t.tomogram) for t in training.tomograms]


def check_truth(t: TomogramSettings, classes: tuple[str, ...]) -> None:
    """Check that a tomogram can be held out: that what is true in it can be compared with.

    Raises
    ------
    InputError
        If it cannot.
    """
    if t.masks is None:
        return
    if t.box is not None:
        raise InputError(
            f"{t.tomogram} has masks and a box, and voxels are compared in whole tomograms only; give positions instead"
        )
    _truth_masks(t, classes)


def _prepared(
    t: TomogramSettings, name: str, settings: TrainSettings, reporter: Reporter
) -> tuple[Image, Image]:
    """Open a tomogram as it came, and as the network is to see it; both were made for the training."""
    assert settings.data is not None
    folder = Path(settings.data) / name
    own = image = ingest(
        t.tomogram, folder, IngestSettings(voxel_size=t.voxel_size, dataset=t.dataset), reporter=reporter
    )
    size = settings.model_voxel_size
    if size is not None and not same_voxel_size(own.voxel_size, size):  # type: ignore[arg-type]
        image = rescale(own, size, folder, reporter=reporter)
    target = open_target(settings.equalize)
    if target is not None:
        image = equalize(
            image, target, folder, settings.equalize, threads=settings.hardware.threads, reporter=reporter
        )
    return own, image


def _truth(t: TomogramSettings, name: str, class_name: str, own: Image) -> Particles:
    assert t.positions is not None
    path = t.positions if isinstance(t.positions, str) else t.positions[class_name]
    table = find_tables(path)[0]
    return replace(table.read(class_name), tomogram=name, class_name=class_name, voxel_size=own.voxel_size)


def _in_box(particles: Particles, t: TomogramSettings) -> Particles:
    """Keep what lies in the part of the tomogram that is annotated."""
    if t.box is None:
        return particles
    keep = np.ones(len(particles), bool)
    for axis, (start, stop) in t.box.items():
        along = getattr(particles, axis)
        keep &= (along >= start - 0.5) & (along < stop - 0.5)
    columns = ("label", "z", "y", "x", "score", "score_max", "size")
    kept = {c: getattr(particles, c)[keep] for c in columns}
    return replace(particles, **kept, touches_edge=None, bounding_box=None)


def _truth_masks(t: TomogramSettings, classes: tuple[str, ...]) -> dict[str, tuple[str, int | None]]:
    """Give the mask of each class, and which of its values is the class."""
    if isinstance(t.masks, dict):
        return {n: (path, None) for n, path in t.masks.items()}
    assert t.masks is not None
    made = open_image(t.masks)
    known = made.classes or []
    if made.array.ndim != 3 or not set(classes) <= set(known):
        raise InputError(
            f"the masks {t.masks} of {t.tomogram} are not one volume of {', '.join(classes)} to compare voxels with; "
            "give positions, or a volume per class"
        )
    return {n: (t.masks, known.index(n) + 1 if len(known) > 1 else None) for n in classes}


def _compare_voxels(
    maps: list[tuple[Path, TomogramSettings]],
    classes: tuple[str, ...],
    settings: PickSettings,
    reporter: Reporter,
) -> Evaluation:
    found: list[Evaluation] = []
    thresholds = {n: settings.of_class(n).threshold for n in classes}
    for n in classes:
        compared = [(path, t) for path, t in maps if n not in t.at_positions(classes)]
        if not compared:
            continue
        truths = [_truth_masks(t, classes)[n] for _, t in compared]
        if len({value for _, value in truths}) > 1:
            raise InputError(
                f"class {n!r} has different values in the masks; give a volume per class instead"
            )
        pairs = [(path, mask) for (path, _), (mask, _) in zip(compared, truths, strict=True)]
        found.append(
            evaluate_voxels(
                *pairs[0],
                pairs=pairs[1:],
                class_name=n,
                truth_value=truths[0][1],
                threshold=thresholds[n],
                reporter=reporter,
            )
        )
    different = len(set(thresholds.values())) > 1
    return Evaluation(
        "voxels",
        [s for e in found for s in e.tomograms],
        [s for e in found for s in e.pooled],
        {
            "classes": list(dict.fromkeys(s.class_name for e in found for s in e.pooled)),
            "threshold": thresholds if different else thresholds[classes[0]],
        },
    )


def _row(scores: Scores, kind: str) -> dict[str, Any]:
    row = {"kind": kind, **scores.row()}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
