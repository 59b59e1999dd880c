"""The plan of a campaign: every tomogram with its graph of steps, and what stands of it already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from deepict_dask.campaign.entries import Entry, fill_in, find_entries, overrides_of
from deepict_dask.campaign.listeners import LOG
from deepict_dask.campaign.networks import OpenNetworks, fitted
from deepict_dask.campaign.outcome import Outcome
from deepict_dask.campaign.report import FILE as REPORT
from deepict_dask.campaign.summary import FILE as SUMMARY
from deepict_dask.config import SegmentSettings, Settings, merge_given
from deepict_dask.errors import DamagedOutputError, InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.networks.checkpoint import Model
from deepict_dask.stages.ingest import open_tomogram
from deepict_dask.stages.nodes import IngestStep, Look, PickStep, Stage
from deepict_dask.stages.plan import TomogramPlan, plan_tomogram
from deepict_dask.stages.run_folder import FILE as SETTINGS
from deepict_dask.stages.run_folder import check_settings
from deepict_dask.stages.tables import ALL

RESERVED = (SETTINGS, SUMMARY, LOG, REPORT)
"""Names of files in a run folder, which no tomogram's folder can have."""


@dataclass(frozen=True)
class PlannedTomogram:
    """What is to be done with one tomogram of a campaign, and what stands of it.

    Attributes
    ----------
    entry : Entry
        As the user named it.
    plan : TomogramPlan
        Its graph of steps.
    looks : tuple of Look
        What stood of each node when it was planned; empty where that could not be said.
    """

    entry: Entry
    plan: TomogramPlan
    looks: tuple[Look, ...] = ()

    @property
    def name(self) -> str:
        """Of the tomogram."""
        return self.plan.name

    @property
    def is_done(self) -> bool:
        """Whether everything is there already, whole and made by the same."""
        return bool(self.looks) and all(look.refusal is None for look in self.looks)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size in (z, y, x) voxels, as it came."""
        return cast(IngestStep, self.plan.nodes[0].step).source.shape

    @property
    def voxel_size(self) -> tuple[float, float, float] | None:
        """(z, y, x) in A, as it came."""
        return cast(IngestStep, self.plan.nodes[0].step).source.voxel_size


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
    tomograms : tuple of PlannedTomogram
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
    tomograms: tuple[PlannedTomogram, ...]
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
    tomograms: Sequence[str | Entry],
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
    tomograms : sequence of str or Entry
        Paths, globs, folders, ``.txt`` lists, OME-Zarr groups, tables of tomograms; or what `find_entries` gave for
        them, whose overrides are in the settings already.
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
    output.check_folder()
    check_settings(output, overwrite=overwrite)
    if given := [t for t in tomograms if isinstance(t, str)]:
        entries = find_entries(given, name=name, recursive=recursive)
        settings = fill_in(merge_given(settings, overrides_of(entries)), entries)
    else:
        entries = []
    entries += [t for t in tomograms if isinstance(t, Entry)]
    names = {e.name for e in entries}
    for entry in entries:
        if entry.name in RESERVED or entry.name.startswith(f"{ALL}."):
            raise InputError(
                f"the tomogram {entry.path} is called {entry.name!r}, as a file that a run writes into its folder; call it "
                "otherwise with --name, or in the column tomo_name"
            )
    warnings = [
        f"the settings hold a tomogram {other!r}, which is none of those given ({', '.join(sorted(names)[:5])})"
        for other in settings.tomograms
        if other not in names
    ]
    warnings += [sentence for entry in entries for sentence in entry.warnings]
    networks = OpenNetworks()
    plans: list[PlannedTomogram] = []
    failed = []
    for entry in entries:
        own = settings.for_tomogram(entry.name) if entry.name in settings.tomograms else settings
        chosen = networks.of(own, until)  # errors of the network or target are the run's
        target = networks.target(own.equalize) if until == "equalize" else None
        if until == "equalize" and target is None:
            raise InputError(
                "nothing to equalize to; give a spectrum (.tsv) or a tomogram with --target-spectrum"
            )
        for goal in (target, *(n.target for n in chosen)):
            warnings += () if goal is None else goal.warnings
        try:
            source = open_tomogram(entry.path, own.ingest, entry.name)
            fitting = [fitted(n, source, entry.name, warnings) for n in chosen]
            prepared = [(None, target, own.equalize)] if target is not None else []
            plan = plan_tomogram(
                source, entry.name, output / entry.name, own.ingest, fitting, prepare=prepared
            ).until(until)
            for node in plan.nodes:
                if isinstance(node.step, PickStep):
                    for job in node.step.jobs:
                        job.check()
        except Exception as error:
            # Nothing was spent on it, and the others can be done.
            failed.append(Outcome(entry.name, output / entry.name, error=error))
            continue
        plans.append(PlannedTomogram(entry, plan))
    if not plans:
        raise failed[0].error or InputError("no tomogram is left")
    plans, refused = _look(plans)
    if refused and not overwrite:
        more = f" (and {len(refused) - 1} other outputs likewise)" if len(refused) > 1 else ""
        raise OutputExistsError(f"{refused[0]}{more}")
    return RunPlan(
        output,
        settings,
        until,
        tuple(plans),
        tuple(failed),
        tuple(networks.models.values()),
        tuple(dict.fromkeys(warnings)),
        overwrite,
        all(p.is_done for p in plans) and not overwrite,
    )


def look_again(planned: PlannedTomogram) -> PlannedTomogram:
    """Look at what stands of a tomogram now; what is in the way, or damaged, is said by who runs it."""
    try:
        return replace(planned, looks=tuple(look for _, look in planned.plan.look()))
    except Exception:  # whatever it is, who runs it meets it again and says it
        return replace(planned, looks=())


def _look(plans: list[PlannedTomogram]) -> tuple[list[PlannedTomogram], list[str]]:
    """Look at what stands already; give the plans with it, and the sentences about what is made with something else."""
    looked, refused = [], []
    for planned in plans:
        looks: tuple[Look, ...] = ()
        try:
            looks = tuple(look for _, look in planned.plan.look())
            refused += [look.refusal for look in looks if look.refusal]
        except (OutputExistsError, DamagedOutputError) as error:
            refused.append(str(error))
        looked.append(replace(planned, looks=looks))
    return looked, refused
