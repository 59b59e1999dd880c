"""Run: the plan of every tomogram, one after the other; one that fails does not stop the others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from deepict_dask.config import EqualizeSettings, SegmentSettings, Settings, check_class_names
from deepict_dask.engine.prewarm import prewarmed
from deepict_dask.errors import DamagedOutputError, InputError, MachineError, OutputExistsError
from deepict_dask.io.claim import claimed
from deepict_dask.io.inputs import find_inputs
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.source import Source
from deepict_dask.kernels.resample import rescaled_shape
from deepict_dask.networks.checkpoint import Model, load_model
from deepict_dask.networks.predictor import get_predictor
from deepict_dask.stages.equalize import Target, open_target
from deepict_dask.stages.ingest import open_tomogram
from deepict_dask.stages.nodes import Network, Node, PickStep, Stage, TomogramPlan, plan_tomogram, run_node
from deepict_dask.stages.picking.jobs import ANY_CLASS
from deepict_dask.stages.picking.pick import Picked
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.run_folder import check_settings, write_effective, write_settings
from deepict_dask.stages.segment import model_spec, trained_voxel_size
from deepict_dask.stages.work import Work
from deepict_dask.tomogram import angstrom, same_voxel_size

# Ten times finer than it was recorded along each axis.
_MOST_GROWTH = 1000
STAGES: tuple[Stage, ...] = ("ingest", "equalize", "segment", "pick")


@dataclass
class Outcome:
    """What became of one tomogram.

    Attributes
    ----------
    name : str
        Of the tomogram.
    folder : Location
        With everything that was written for it.
    seconds : dict of str to float
        By stage.
    kept : set of str
        Stages whose outputs were there already.
    picked : list of Picked
        One per class.
    error : Exception or None
        Why it failed, if it did.
    """

    name: str
    folder: Location
    seconds: dict[str, float] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    picked: list[Picked] = field(default_factory=list)
    error: Exception | None = None


@dataclass(frozen=True)
class RunPlan:
    """All that is known before the first voxel is read.

    Attributes
    ----------
    output : Location
        Run folder.
    settings : Settings
        Of the run, with what differs for single tomograms.
    until : str
        Last stage.
    tomograms : tuple of TomogramPlan
        What is to be done, in order.
    failed : tuple of Outcome
        Tomograms that cannot be opened.
    models : tuple of (Model, SegmentSettings)
        Networks to load ahead.
    warnings : tuple of str
        What the user may want to change.
    overwrite : bool
        Whether outputs made with other settings may be replaced.
    is_done : bool
        Whether everything is there already, so that no workers are needed.
    """

    output: Location
    settings: Settings
    until: Stage
    tomograms: tuple[TomogramPlan, ...]
    failed: tuple[Outcome, ...] = ()
    models: tuple[tuple[Model, SegmentSettings], ...] = ()
    warnings: tuple[str, ...] = ()
    overwrite: bool = False
    is_done: bool = False

    @property
    def command(self) -> str:
        """Say which command runs it, for others that want the same folder."""
        return f"deepict-dask {'run' if self.until == 'pick' else self.until}"


def plan_run(
    tomograms: Sequence[str],
    output: Location,
    settings: Settings,
    *,
    until: Stage = "pick",
    overwrite: bool = False,
    name: str | None = None,
    recursive: bool = False,
) -> RunPlan:
    """Check everything that can be checked before workers are started; nothing is changed.

    Parameters
    ----------
    tomograms : sequence of str
        Paths, globs, folders, ``.txt`` lists, OME-Zarr groups.
    output : Location
        Run folder; each tomogram gets a folder of its name in it.
    settings : Settings
        Of the whole run.
    until : {"ingest", "equalize", "segment", "pick"}
        Last stage.
    overwrite : bool
        Whether complete outputs with other settings may be replaced.
    name, recursive
        As `find_inputs` has them: what the tomograms are called, and whether folders are searched to their depth.

    Raises
    ------
    InputError
        For tomograms, a model or a target that are not there or cannot be read, or settings that
        contradict each other, or outputs that were made with others.
    """
    if output.exists() and not output.is_folder():
        raise InputError(f"the output {output} is a file; name a folder")
    check_settings(output, overwrite=overwrite)
    inputs = find_inputs(tomograms, name=name, recursive=recursive)
    names = [i.name for i in inputs]
    opened = _Opened()
    plans, failed, warnings = [], [], []
    for other in settings.tomograms:
        if other not in names:
            warnings.append(
                f"the settings hold a tomogram {other!r}, which is none of those given ({', '.join(names[:5])})"
            )
    for given in inputs:
        own = settings.for_tomogram(given.name)
        networks = opened.networks(own, until)  # errors of the network or target are the run's
        target = opened.target(own.equalize) if until == "equalize" else None
        if until == "equalize" and target is None:
            raise InputError(
                "nothing to equalize to; give a spectrum (.tsv) or a tomogram with --target-spectrum"
            )
        for chosen in (target, *(n.target for n in networks)):
            warnings += () if chosen is None else chosen.warnings
        try:
            source = open_tomogram(given.path, own.ingest, given.name)
            fitted = [_fitted(n, source, given.name, warnings) for n in networks]
            prepared = [(None, target, own.equalize)] if target is not None else []
            plan = plan_tomogram(
                source, given.name, output / given.name, own.ingest, fitted, prepare=prepared
            ).until(until)
            for node in plan.nodes:
                if isinstance(node.step, PickStep):
                    for job in node.step.jobs:
                        job.check()
        except Exception as error:
            # Nothing was spent on it, and the others can be done.
            failed.append(Outcome(given.name, output / given.name, error=error))
            continue
        plans.append(plan)
    if not plans:
        raise failed[0].error or InputError("no tomogram is left")
    is_done = True
    refused = []
    for plan in plans:
        try:
            looks = [look.refusal for _, look in plan.look()]
        except (OutputExistsError, DamagedOutputError) as error:
            looks = [str(error)]
        refused += [sentence for sentence in looks if sentence]
        is_done &= not any(sentence is not None for sentence in looks)
    if refused and not overwrite:
        more = f" (and {len(refused) - 1} other outputs likewise)" if len(refused) > 1 else ""
        raise OutputExistsError(f"{refused[0]}{more}")
    return RunPlan(
        output,
        settings,
        until,
        tuple(plans),
        tuple(failed),
        tuple(opened.models.values()),
        tuple(dict.fromkeys(warnings)),
        overwrite,
        is_done and not overwrite,
    )


def run(
    plan: RunPlan,
    *,
    threads: int | None = None,
    reporter: Reporter | None = None,
    done: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Process every tomogram of a plan.

    Parameters
    ----------
    plan : RunPlan
        From `plan_run`.
    threads : int, optional
        Threads of one forward pass on a CPU worker.
    reporter : Reporter, optional
        Follows the work.
    done : callable
        Called with each tomogram's outcome as soon as it is known.

    Returns
    -------
    list of Outcome
        What was finished before a failure is kept, and a later run with the same settings goes on from there.

    Raises
    ------
    ClaimedError
        If another command writes to the run folder.
    MachineError
        If the scheduler is lost or a disk is full: then nothing is wrong with the tomograms that are left.
    """
    reporter = reporter or Reporter()
    outcomes = []
    with ExitStack() as stack:
        stack.enter_context(claimed(plan.output, plan.command))
        check_settings(plan.output, overwrite=plan.overwrite)
        for sentence in plan.warnings:
            reporter.warn(sentence)
        for outcome in plan.failed:
            outcomes.append(outcome)
            done(outcome)
        write_settings(plan.output, plan.settings, [p.name for p in plan.tomograms])
        for model, settings in plan.models:
            # The workers load the network while the first tomogram is ingested.
            stack.enter_context(prewarmed(get_predictor, model_spec(model, settings, threads)))
        for number, tomogram in enumerate(plan.tomograms, start=1):
            reporter.tomogram(number, len(plan.tomograms), tomogram.name)
            outcome = Outcome(tomogram.name, tomogram.folder)
            try:
                run_tomogram(tomogram, plan, outcome, threads, reporter)
            except MachineError:
                raise
            except Exception as error:  # whatever it is, it is this tomogram's; the others go on
                outcome.error = error
            outcomes.append(outcome)
            done(outcome)
    return outcomes


def run_tomogram(
    tomogram: TomogramPlan, plan: RunPlan, outcome: Outcome, threads: int | None, reporter: Reporter
) -> None:
    """Run the nodes of one tomogram, each after what it is made from."""
    with claimed(tomogram.folder, plan.command) as claim:
        work = Work(reporter, plan.overwrite, threads, claim, outcome.kept)
        write_effective(tomogram.folder, plan.settings.for_tomogram(tomogram.name))
        made: dict[str, Image] = {}
        for node in tomogram.nodes:
            with _timed(outcome, node):
                result = run_node(node, made, work)
            if isinstance(result, Image):
                made[node.name] = result
            else:
                outcome.picked += result


class _Opened:
    """Networks and targets of a run, each opened once."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, SegmentSettings], tuple[Model, SegmentSettings]] = {}
        self.targets: dict[EqualizeSettings, Target | None] = {}

    def networks(self, settings: Settings, until: Stage) -> list[Network]:
        """Give the networks of a tomogram; none where the run ends before."""
        if STAGES.index(until) < STAGES.index("segment"):
            return []
        path = settings.segment.model
        if path is None:
            raise InputError(
                "no model is given; name a checkpoint with --model (.safetensors, or the original's .pth)"
            )
        key = (path, settings.segment)
        if key not in self.models:
            self.models[key] = (load_model(path), settings.segment)
        model = self.models[key][0]
        size = trained_voxel_size(model, settings.segment)
        check_class_names(settings.pick, model.classes or (ANY_CLASS,), f"the model {model.card.name}")
        target = self.target(settings.equalize)
        return [Network(model, settings.segment, settings.pick, size, target, settings.equalize)]

    def target(self, settings: EqualizeSettings) -> Target | None:
        """Give the target of a tomogram."""
        if settings not in self.targets:
            self.targets[settings] = open_target(settings)
        return self.targets[settings]


def _fitted(network: Network, source: Source, name: str, warnings: list[str]) -> Network:
    """Decide whether a tomogram is resampled for a network; say where it should be and is not to be."""
    assert source.voxel_size is not None
    size = network.voxel_size
    if size is None or same_voxel_size(source.voxel_size, size):
        return replace(network, voxel_size=None)
    if network.segment.rescale:
        _check_rescaled(network, source, size)
        return network
    warnings.append(
        f"{name} has voxels of {angstrom(source.voxel_size)}, but {network.model.card.name} was trained at "
        f"{size:g} A; particles will look too large or too small to it (--rescale resamples the tomogram)"
    )
    return replace(network, voxel_size=None)


def _check_rescaled(network: Network, source: Source, size: float) -> None:
    """Refuse what can only come of a wrong voxel size: a tomogram smaller than the network's field, or a huge one."""
    z, y, x = (size / edge for edge in source.require_voxel_size())
    shape = rescaled_shape(source.shape, (z, y, x))
    field_of_view = 2 * network.model.architecture.receptive_radius() + 1
    rescaled = (
        f"{source.path} with voxels of {angstrom(source.require_voxel_size())} would be rescaled to {size:g} A and have "
        f"{' x '.join(map(str, shape))} voxels (z, y, x)"
    )
    if max(shape) < field_of_view:
        raise InputError(
            f"{rescaled}, fewer than the {field_of_view} that {network.model.card.name} looks at; give the true voxel size "
            "with --voxel-size"
        )
    if math.prod(shape) > _MOST_GROWTH * math.prod(source.shape):
        raise InputError(
            f"{rescaled}, {math.prod(shape) / math.prod(source.shape):.0f} times as many as it has; give the true voxel "
            "size with --voxel-size"
        )


@contextmanager
def _timed(outcome: Outcome, node: Node) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        outcome.seconds[node.stage] = outcome.seconds.get(node.stage, 0.0) + time.perf_counter() - start
