"""Run: all stages for every tomogram, one after the other; one that fails does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepict_dask.config import Settings, check_class_names, commented_yaml
from deepict_dask.engine.prewarm import prewarmed
from deepict_dask.errors import InputError
from deepict_dask.io.inputs import find_tomograms, tomogram_name
from deepict_dask.io.ome_zarr import Image
from deepict_dask.networks.checkpoint import Model, load_model
from deepict_dask.networks.predictor import get_predictor
from deepict_dask.stages.equalize import Target, equalize, open_target
from deepict_dask.stages.ingest import ingest
from deepict_dask.stages.pick import Picked, check_pick, pick
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.rescale import rescale
from deepict_dask.stages.segment import model_spec, same_voxel_size, segment, trained_voxel_size

Stage = Literal["ingest", "equalize", "segment", "pick"]
STAGES: tuple[Stage, ...] = ("ingest", "equalize", "segment", "pick")


@dataclass
class Outcome:
    """What became of one tomogram.

    Attributes
    ----------
    name : str
        Of the tomogram.
    folder : Path
        With everything that was written for it.
    seconds : dict of str to float
        By stage.
    picked : list of Picked
        One per class.
    error : Exception or None
        Why it failed, if it did.
    """

    name: str
    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    picked: list[Picked] = field(default_factory=list)
    error: Exception | None = None


@dataclass(frozen=True)
class Plan:
    """All that is known before the first voxel is read: tomograms, settings, network, target."""

    tomograms: tuple[str, ...]
    output: Path
    settings: Settings
    until: Stage
    model: Model | None
    target: Target | None
    overwrite: bool


def prepare(
    tomograms: Sequence[str],
    output: Path,
    settings: Settings,
    *,
    until: Stage = "pick",
    overwrite: bool = False,
) -> Plan:
    """Check everything that can be checked before workers are started.

    Parameters
    ----------
    tomograms : sequence of str
        Paths, globs, folders, ``.txt`` lists, OME-Zarr groups.
    output : Path
        Run folder; each tomogram gets a folder of its name in it.
    settings : Settings
        Of the whole run.
    until : {"ingest", "equalize", "segment", "pick"}
        Last stage.
    overwrite : bool
        Whether complete outputs with other settings may be replaced.

    Raises
    ------
    InputError
        For tomograms, a model or a target that are not there or cannot be read, or settings that
        contradict each other.
    """
    paths = tuple(find_tomograms(tomograms))
    model = None
    if STAGES.index(until) >= STAGES.index("segment"):
        if settings.segment.model is None:
            raise InputError(
                "no model is given; name a checkpoint with --model (.safetensors, or the original's .pth)"
            )
        model = load_model(settings.segment.model)
        trained_voxel_size(model, settings.segment)
        for pick_settings in (settings.pick, *(settings.for_tomogram(n).pick for n in settings.tomograms)):
            check_class_names(pick_settings, model.classes, f"the model {model.card.name}")
    if until == "equalize" and settings.equalize.target_spectrum is None:
        raise InputError(
            "nothing to equalize to; give a spectrum (.tsv) or a tomogram with --target-spectrum"
        )
    target = open_target(settings.equalize)
    if output.exists() and not output.is_dir():
        raise InputError(f"the output {output} is a file; name a folder")
    return Plan(paths, output, settings, until, model, target, overwrite)


def run(
    plan: Plan,
    *,
    threads: int | None = None,
    reporter: Reporter | None = None,
    done: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Process every tomogram of a plan.

    Parameters
    ----------
    plan : Plan
        From `prepare`.
    threads : int, optional
        Threads of one forward pass on a CPU worker.
    reporter : Reporter, optional
        Follows the work.
    done : callable
        Called with each tomogram's outcome as soon as it is known.

    Returns
    -------
    list of Outcome
        In the order of the tomograms. What was finished before a failure is kept, and a later run
        with the same settings goes on from there.
    """
    reporter = reporter or Reporter()
    plan.output.mkdir(parents=True, exist_ok=True)
    (plan.output / "settings.yaml").write_text(commented_yaml(plan.settings), encoding="utf-8")
    outcomes = []
    with ExitStack() as stack:
        if plan.model is not None:
            # The workers load the network while the first tomogram is ingested.
            spec = model_spec(plan.model, plan.settings.segment, threads)
            stack.enter_context(prewarmed(get_predictor, spec))
        for path in plan.tomograms:
            name = tomogram_name(path)
            outcome = Outcome(name, plan.output / name)
            try:
                _run_one(path, plan, outcome, threads, reporter)
            except Exception as error:  # whatever it is, it is this tomogram's; the others go on
                outcome.error = error
            outcomes.append(outcome)
            done(outcome)
    return outcomes


def _run_one(path: str, plan: Plan, outcome: Outcome, threads: int | None, reporter: Reporter) -> None:
    settings, folder = plan.settings.for_tomogram(outcome.name), outcome.folder
    common: dict[str, Any] = {"reporter": reporter, "overwrite": plan.overwrite}
    with _timed(outcome, "ingest"):
        image = ingest(path, folder, settings.ingest, **common)
    if plan.until == "ingest":
        return
    if plan.until == "pick":
        check_pick(settings.pick, image)
    kept = {"source": image.attributes.get("source")}
    wanted = None if plan.model is None else trained_voxel_size(plan.model, settings.segment)
    assert image.voxel_size is not None
    if wanted is not None and not same_voxel_size(image.voxel_size, wanted):
        if settings.segment.rescale:
            kept |= {"own_voxel_size": list(image.voxel_size), "own_shape": list(image.shape)}
            with _timed(outcome, "rescale"):
                image = rescale(image, wanted, folder, **common)
        else:
            reporter.warn(
                f"{outcome.name} has voxels of {_angstrom(image)} A, but {plan.model.card.name} was trained at "  # type: ignore[union-attr]
                f"{wanted:g} A; particles will look too large or too small to it (--rescale resamples the tomogram)"
            )
    if plan.target is not None:
        with _timed(outcome, "equalize"):
            image = equalize(image, plan.target, folder, settings.equalize, threads=threads, **common)
    if plan.model is None:
        return
    with _timed(outcome, "segment"):
        probability = segment(
            image, plan.model, folder, settings.segment, threads=threads, attributes=kept, **common
        )
    if plan.until == "segment":
        return
    with _timed(outcome, "pick"):
        outcome.picked = pick(probability, folder, settings.pick, **common)


@contextmanager
def _timed(outcome: Outcome, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        outcome.seconds[stage] = time.perf_counter() - start


def _angstrom(image: Image) -> str:
    sizes = [f"{edge:g}" for edge in image.voxel_size or ()]
    return sizes[0] if len(set(sizes)) == 1 else " x ".join(sizes)
