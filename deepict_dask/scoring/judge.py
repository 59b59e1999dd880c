"""Judge: particles of tomograms that a network has not seen, and how well they were found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepict_dask.config import IngestSettings, PickSettings, SegmentSettings
from deepict_dask.config.sweep import JudgeSettings
from deepict_dask.config.training import LabelSettings, TomogramSettings, TrainSettings
from deepict_dask.errors import InputError
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.scores import Row
from deepict_dask.io.tables import read_particles
from deepict_dask.io.tables.files import find_tables
from deepict_dask.particles import Particles
from deepict_dask.scoring.picks import evaluate
from deepict_dask.scoring.scores import Evaluation, Scores, write_evaluation
from deepict_dask.scoring.voxels import evaluate_voxels
from deepict_dask.stages.equalize import open_target
from deepict_dask.stages.picking.pick import pick
from deepict_dask.stages.prepare import Prepared, prepare_tomogram
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.segment import model_spec, segment
from deepict_dask.stages.work import Work


def judge(
    model_path: Location,
    training: TrainSettings,
    held_out: Sequence[str],
    folder: Location,
    settings: JudgeSettings,
    *,
    segment_settings: SegmentSettings,
    pick_settings: PickSettings,
    work: Work,
) -> tuple[list[Row], list[Row]]:
    """Find the particles of tomograms that a network has not seen, and compare them with what is true.

    Parameters
    ----------
    model_path : Location
        The network.
    training : TrainSettings
        Of that network, with all tomograms; ``data`` is the folder in which they lie prepared.
    held_out : sequence of str
        Names of the tomograms to judge by.
    folder : Location
        Gets ``held_out/NAME`` (map and picks) and ``evaluation``.
    settings, segment_settings, pick_settings
        How particles are found and judged.
    work : Work
        Follows the work; its threads are those of a forward pass.

    Returns
    -------
    pooled, single : list of dict
        Rows of scores per class, and per class and tomogram. Of classes that have masks voxels are compared, else picks.
    """
    from importlib.util import find_spec

    from deepict_dask.networks.checkpoint import load_model
    from deepict_dask.networks.predictor import forget_predictor

    classes = training.class_names
    model = load_model(model_path)
    picks: list[tuple[Particles, Particles]] = []
    maps: list[tuple[str, TomogramSettings]] = []
    for t, name in zip(training.tomograms, names_of(training), strict=True):
        if name not in held_out:
            continue
        own_folder = folder / "held_out" / name
        prepared = _prepared(t, name, training, work)
        probability = segment(prepared.image, own_folder / "probability.zarr", model, segment_settings, work)
        for picked_class in pick(probability, own_folder, pick_settings, work):
            if picked_class.class_name in t.at_positions(classes):
                picked = replace(
                    read_particles(picked_class.tables[0]),
                    tomogram=name,
                    class_name=picked_class.class_name,
                    voxel_size=prepared.ingested.voxel_size,
                )
                truth = _truth(t, name, picked_class.class_name, prepared.ingested)
                picks.append((_in_box(picked, t), _in_box(truth, t)))
        if t.masks is not None:
            maps.append((probability.path, t))
    # The next fold on this worker has a network of its own.
    forget_predictor(model_spec(model, segment_settings, work.threads))
    done: list[Evaluation] = []
    plot = find_spec("matplotlib") is not None
    if picks:
        first, *other_picks = picks
        done.append(evaluate(*first, pairs=other_picks, tolerance=settings.tolerance, reporter=work.reporter))
        write_evaluation(done[-1], folder / "evaluation", plot=plot)
    if maps:
        done.append(_compare_voxels(maps, classes, pick_settings, work.reporter))
        write_evaluation(done[-1], folder / "evaluation_of_voxels", plot=plot)
    if not settings.keep_maps:
        for name in held_out:
            (folder / "held_out" / name / "probability.zarr").remove()
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


def ingest_settings(t: TomogramSettings) -> IngestSettings:
    """Give the settings with which a tomogram of a training is ingested."""
    return IngestSettings(
        voxel_size=t.voxel_size,
        dataset=t.dataset,
        clip=t.clip,
        ignore_value=t.ignore_value,
        invert=t.invert,
    )


def _prepared(t: TomogramSettings, name: str, training: TrainSettings, work: Work) -> Prepared:
    """Open a tomogram as it came, and as the network is to see it; both were made for the training."""
    assert training.data is not None
    return prepare_tomogram(
        t.tomogram,
        name,
        Location.of(training.data) / name,
        ingest_settings(t),
        replace(work, overwrite=False, threads=training.hardware.threads),
        voxel_size=training.model_voxel_size,
        target=open_target(training.equalize),
        equalize=training.equalize,
    )


def _truth(t: TomogramSettings, name: str, class_name: str, ingested: Image) -> Particles:
    assert t.positions is not None
    path = t.positions if isinstance(t.positions, str) else t.positions[class_name]
    table = find_tables(path)[0]
    return replace(
        table.read(class_name), tomogram=name, class_name=class_name, voxel_size=ingested.voxel_size
    )


def _in_box(particles: Particles, t: TomogramSettings) -> Particles:
    """Keep what lies in the part of the tomogram that is annotated."""
    if t.box is None:
        return particles
    keep = np.ones(len(particles), bool)
    for axis, (start, stop) in t.box.items():
        along = getattr(particles, axis)
        keep &= (along >= start - 0.5) & (along < stop - 0.5)
    return particles[keep]


def _truth_masks(
    t: TomogramSettings, classes: tuple[str, ...]
) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    """Give the mask of each class, and which of its values are the class."""
    if isinstance(t.masks, dict):
        return {
            n: (mask.path, tuple(mask.values) if mask.values else None)
            if isinstance(mask, LabelSettings)
            else (mask, None)
            for n, mask in t.masks.items()
        }
    assert t.masks is not None
    made = open_image(t.masks)
    stored_classes = made.classes or []
    if made.array.ndim != 3 or not set(classes) <= set(stored_classes):
        raise InputError(
            f"the masks {t.masks} of {t.tomogram} are not one volume of {', '.join(classes)} to compare voxels with; "
            "give positions, or a volume per class"
        )
    return {
        n: (t.masks, (stored_classes.index(n) + 1,) if len(stored_classes) > 1 else None) for n in classes
    }


def _compare_voxels(
    maps: list[tuple[str, TomogramSettings]],
    classes: tuple[str, ...],
    settings: PickSettings,
    reporter: Reporter,
) -> Evaluation:
    evaluations: list[Evaluation] = []
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
        evaluations.append(
            evaluate_voxels(
                *pairs[0],
                pairs=pairs[1:],
                class_name=n,
                truth_value=truths[0][1],
                threshold=settings.of_class(n).threshold,
                reporter=reporter,
            )
        )
    return Evaluation(
        "voxels",
        [s for e in evaluations for s in e.tomograms],
        [s for e in evaluations for s in e.pooled],
        {
            "classes": list(dict.fromkeys(s.class_name for e in evaluations for s in e.pooled)),
            "threshold": {n: settings.of_class(n).threshold for n in classes}
            if isinstance(settings.threshold, dict)
            else settings.of_class("*").threshold,
        },
    )


def _row(scores: Scores, kind: str) -> Row:
    row = {"kind": kind, **scores.row()}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
