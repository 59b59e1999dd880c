"""Fold: train a network, find the particles of the tomograms that were held out, and say how well."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.config import IngestSettings, PickSettings, SegmentSettings
from deepict_dask.config.sweep import JudgeSettings
from deepict_dask.config.training import TomogramSettings, TrainSettings
from deepict_dask.engine.dispatch import Post
from deepict_dask.errors import InputError, WorkError
from deepict_dask.io.inputs import tomogram_name
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.io.tables import read_particles
from deepict_dask.io.tables.found import find_tables
from deepict_dask.networks.training.recipe import Epoch
from deepict_dask.particles import Particles
from deepict_dask.stages.equalize import equalize, open_target
from deepict_dask.stages.evaluate import evaluate
from deepict_dask.stages.evaluate_voxels import evaluate_voxels
from deepict_dask.stages.evaluation import Evaluation, Scores, write_evaluation
from deepict_dask.stages.ingest import ingest
from deepict_dask.stages.output import is_finished, remove, write_json
from deepict_dask.stages.pick import pick
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.rescale import rescale
from deepict_dask.stages.segment import same_voxel_size, segment

RESULT, PRUNE = "result.json", "prune"


@dataclass(frozen=True)
class Fold:
    """One training, and what to do with its network; small, it travels to a worker.

    Attributes
    ----------
    name : str
        For people.
    folder : Path
        Of the network, the picks and ``result.json``, which is written last.
    training : TrainSettings
        With all tomograms; ``data`` is the folder in which they lie prepared.
    held_out : tuple of str
        Names of the tomograms that training does not see; may be empty.
    segment, pick, judge
        How particles are found in those, and judged.
    made_by : dict
        All that the result depends on; plain values.
    overwrite : bool
        Whether what was made by something else may be replaced.
    """

    name: str
    folder: Path
    training: TrainSettings
    held_out: tuple[str, ...]
    segment: SegmentSettings
    pick: PickSettings
    judge: JudgeSettings
    made_by: dict[str, Any]
    overwrite: bool = False

    def result(self) -> dict[str, Any] | None:
        """Give the result if it is there, see `run_fold`.

        Raises
        ------
        OutputExistsError
            If it was made with other settings and is not to be replaced.
        """
        path = self.folder / RESULT
        if not is_finished(path, self.made_by, self.overwrite):
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


class _Ended(Exception):
    """Ends a training from within its callback."""


class _Told(Reporter):
    """Sends the sentences of a fold to the one who dispatched it."""

    def __init__(self, fold: Fold, post: Post):
        self.fold, self.post = fold, post

    def say(self, sentence: str) -> None:
        self.post.tell({"fold": self.fold.name, "kind": "say", "text": sentence})

    def warn(self, sentence: str) -> None:
        self.post.tell({"fold": self.fold.name, "kind": "warn", "text": sentence})


def run_fold(fold: Fold, post: Post) -> dict[str, Any]:
    """Train, segment, pick and evaluate; the work of one Dask task.

    Parameters
    ----------
    fold : Fold
        What to do. If its result is there already it is read. A training that was interrupted goes on.
    post : Post
        Threads to use, and where to report epochs. A file ``prune`` in the fold's folder ends the training after the
        present epoch.

    Returns
    -------
    dict
        Plain values, as in ``result.json``: ``validation_dice`` (mean over classes, of the best epoch), ``dice`` (per
        class), ``best_epoch``, ``epochs``, ``seconds``, ``patches_per_second``, ``model``, ``ended_by``, ``pruned``,
        ``history`` (mean Dice per epoch), and ``pooled`` and ``tomograms``, rows of scores of what was held out.
    """
    from deepict_dask.stages.train import train

    if (there := fold.result()) is not None:
        return there
    reporter = _Told(fold, post)
    settings = _at_post(fold, post)
    heard: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        heard.append(epoch)
        message = {"fold": fold.name, "kind": "epoch", "epoch": epoch.epoch, "value": epoch.mean_dice}
        post.tell(message)
        if not post.is_wanted() or (fold.folder / PRUNE).exists():
            raise _Ended

    fold.folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"complete": True, "made_by": fold.made_by, "held_out": list(fold.held_out)}
    try:
        trained = train(settings, reporter, overwrite=fold.overwrite, on_epoch=on_epoch)
    except _Ended:
        if not post.is_wanted():
            raise WorkError(f"{fold.name} was given up after epoch {heard[-1].epoch}") from None
        best = max(heard, key=lambda e: e.mean_dice)
        found = _about_epoch(best) | {"epochs": heard[-1].epoch, "ended_by": "pruned", "pruned": True}
        result |= found | {"history": [e.mean_dice for e in heard], "pooled": [], "tomograms": []}
        write_json(fold.folder / RESULT, result)
        return result
    pooled, single = _judge(fold, trained.model_path, post.threads, reporter)
    result |= _about_epoch(trained.best) | {
        "epochs": len(trained.history),
        "ended_by": trained.ended_by,
        "pruned": False,
        "seconds": trained.seconds,
        "patches_per_second": trained.patches_per_second,
        "model": str(trained.model_path),
        "history": [e.mean_dice for e in trained.history],
        "pooled": pooled,
        "tomograms": single,
    }
    write_json(fold.folder / RESULT, result)
    return result


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


def _at_post(fold: Fold, post: Post) -> TrainSettings:
    """Give the settings of the training itself: what it sees, where it writes, what it may use."""
    whole = fold.training
    seen = [t for t, n in zip(whole.tomograms, names_of(whole), strict=True) if n not in fold.held_out]
    h = whole.hardware
    threads = h.threads or post.threads
    workers = h.loader_workers
    if workers is None and post.threads is not None:
        workers = min(8, post.threads // 4)
    # The GPU of this worker; those of other workers train other networks.
    hardware = h.model_copy(update={"threads": threads, "loader_workers": workers, "gpus": h.gpus or 1})
    return whole.model_copy(
        update={"tomograms": seen, "output": str(fold.folder), "hardware": hardware}
    )


def _about_epoch(best: Epoch) -> dict[str, Any]:
    return {
        "best_epoch": best.epoch,
        "validation_dice": best.mean_dice,
        "validation_loss": best.validation_loss,
        "dice": [None if math.isnan(d) else d for d in best.dice],
    }


def _judge(
    fold: Fold, model_path: Path, threads: int | None, reporter: Reporter
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Find the particles of the tomograms that were held out; give rows of scores, pooled and single."""
    from importlib.util import find_spec

    from deepict_dask.networks.checkpoint import load_model

    settings, classes = fold.training, fold.training.class_names
    model = load_model(model_path)
    picks: list[tuple[Particles, Particles]] = []
    maps: list[tuple[Path, TomogramSettings]] = []
    for t, name in zip(settings.tomograms, names_of(settings), strict=True):
        if name not in fold.held_out:
            continue
        folder = fold.folder / "held_out" / name
        own, image = _prepared(t, name, settings, reporter)
        kept = {"source": image.attributes.get("source")}
        if image.voxel_size != own.voxel_size:
            kept |= {"own_voxel_size": list(own.voxel_size or ()), "own_shape": list(own.shape)}
        common: dict[str, Any] = {"reporter": reporter, "overwrite": True}
        probability = segment(image, model, folder, fold.segment, threads=threads, attributes=kept, **common)
        for found in pick(probability, folder, fold.pick, **common):
            if t.positions is not None:
                there = replace(
                    read_particles(found.tables[0]),
                    tomogram=name,
                    class_name=found.class_name,
                    voxel_size=own.voxel_size,
                )
                picks.append((_in_box(there, t), _in_box(_truth(t, name, found.class_name, own), t)))
        if t.masks is not None:
            maps.append((Path(probability.path), t))
    done: list[Evaluation] = []
    plot = find_spec("matplotlib") is not None
    if picks:
        first, *others = picks
        done.append(evaluate(*first, pairs=others, tolerance=fold.judge.tolerance, reporter=reporter))
        write_evaluation(done[-1], fold.folder / "evaluation", plot=plot)
    if maps:
        done.append(_compare_voxels(maps, classes, fold.pick.threshold, reporter))
        write_evaluation(done[-1], fold.folder / "evaluation_of_voxels", plot=plot)
    if not fold.judge.keep_maps:
        for name in fold.held_out:
            remove(fold.folder / "held_out" / name / "probability.zarr")
    pooled = [_row(s, e.kind) for e in done for s in e.pooled]
    return pooled, [_row(s, e.kind) for e in done for s in e.tomograms]


def _prepared(t: TomogramSettings, name: str, settings: TrainSettings, reporter: Reporter) -> tuple[Image, Image]:
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
    maps: list[tuple[Path, TomogramSettings]], classes: tuple[str, ...], threshold: float, reporter: Reporter
) -> Evaluation:
    found: list[Evaluation] = []
    for n in classes:
        truths = [_truth_masks(t, classes)[n] for _, t in maps]
        if len({value for _, value in truths}) > 1:
            raise InputError(f"class {n!r} has different values in the masks; give a volume per class instead")
        pairs = [(path, mask) for (path, _), (mask, _) in zip(maps, truths, strict=True)]
        found.append(
            evaluate_voxels(
                *pairs[0],
                pairs=pairs[1:],
                class_name=n,
                truth_value=truths[0][1],
                threshold=threshold,
                reporter=reporter,
            )
        )
    return Evaluation(
        "voxels",
        [s for e in found for s in e.tomograms],
        [s for e in found for s in e.pooled],
        {"classes": list(classes), "threshold": threshold},
    )


def _row(scores: Scores, kind: str) -> dict[str, Any]:
    row = {"kind": kind, **scores.row()}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def absolute(training: TrainSettings, data: Path) -> TrainSettings:
    """Name files so that workers with another working directory find them; addresses stay as they are."""

    def one(path: str) -> str:
        return os.path.abspath(path) if os.path.exists(path) else path

    def some(paths: str | dict[str, str] | None) -> str | dict[str, str] | None:
        return {n: one(p) for n, p in paths.items()} if isinstance(paths, dict) else paths and one(paths)

    tomograms = [
        t.model_copy(
            update={"tomogram": one(t.tomogram), "positions": some(t.positions), "masks": some(t.masks)}
        )
        for t in training.tomograms
    ]
    target = training.equalize.target_spectrum
    equal = training.equalize.model_copy(update={"target_spectrum": target and one(target)})
    return training.model_copy(
        update={"tomograms": tomograms, "equalize": equal, "data": str(data.absolute())}
    )
