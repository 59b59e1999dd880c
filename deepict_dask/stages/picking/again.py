"""Pick again: from the stored maps of runs, with what the runs used and what is asked to be otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from deepict_dask.config import Settings
from deepict_dask.errors import DamagedOutputError, InputError, MachineError, OutputExistsError
from deepict_dask.io.claim import claimed
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import Image, open_image
from deepict_dask.stages.picking.jobs import PickJob, jobs_of, look_at
from deepict_dask.stages.picking.maps import check_map, find_maps
from deepict_dask.stages.picking.pick import Picked, pick
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.run_folder import (
    FILE,
    is_own_settings,
    read_settings,
    run_folder_of,
    write_effective,
    write_settings,
)
from deepict_dask.stages.work import Work

Change = Callable[[Settings], Settings]
"""Puts what is asked over what a run used."""


@dataclass(frozen=True)
class MapToPick:
    """A stored probability map and the settings to pick from it with.

    Attributes
    ----------
    probability : Image
        The map.
    run : Location
        Run folder that it belongs to.
    settings : Settings
        What was in effect for its tomogram, with what is asked to be otherwise.
    stem : str
        How the names of its tables begin.
    refusal : str or None
        None if its tables are there, made by the same. Empty if they have to be made. Else the sentence that says why
        they may not be replaced.
    """

    probability: Image
    run: Location
    settings: Settings
    stem: str
    refusal: str | None = ""

    @property
    def folder(self) -> Location:
        """Of the tomogram."""
        return self.probability.location.parent

    @property
    def name(self) -> str:
        """Of the tomogram."""
        return self.probability.name


@dataclass
class PickOutcome:
    """What became of one map."""

    name: str
    picked: list[Picked] = field(default_factory=list)
    error: Exception | None = None


def plan_pick(runs: Sequence[str], change: Change) -> tuple[list[MapToPick], list[PickOutcome]]:
    """Find the maps, and check that they can be picked from, before workers are started; nothing is changed.

    Parameters
    ----------
    runs : sequence of str
        Run folders, folders of tomograms in them, or maps.
    change : callable
        Puts what is asked over what a run used for a tomogram.

    Returns
    -------
    maps : list of MapToPick
        To pick from.
    failed : list of PickOutcome
        Maps that cannot be: each is a failure of its own.

    Raises
    ------
    InputError
        Where there is no map, or none that can be picked from.
    """
    change(Settings())  # what is wrong with what is asked is not the maps' fault
    maps, failed = [], []
    for location in dict.fromkeys(m for path in runs for m in find_maps(Location.of(path))):
        try:
            image = open_image(location)
            check_map(image)
            run = run_folder_of(location)
            settings = change(used_settings(location.parent, run, image.name))
            stem = location.name.removesuffix(".zarr").replace("probability", "particles", 1)
            stem = stem if stem.startswith("particles") else "particles"
            jobs = jobs_of(image, location.parent, settings.pick, stem)
            for job in jobs:
                job.check()
            refusal = _refusal(jobs, image)
        except Exception as error:
            failed.append(PickOutcome(location.parent.name, error=error))
            continue
        maps.append(MapToPick(image, run, settings, stem, refusal))
    if not maps:
        raise failed[0].error or InputError("there is no probability map to pick from")
    return maps, failed


def _refusal(jobs: Sequence[PickJob], image: Image) -> str | None:
    try:
        return look_at(jobs, image.provenance)
    except (OutputExistsError, DamagedOutputError) as error:
        return str(error)


def needs_workers(maps: Sequence[MapToPick], *, overwrite: bool) -> bool:
    """Tell whether anything is to be computed: not where tables are kept, nor where they may not be replaced."""
    return any(m.refusal is not None and (overwrite or not m.refusal) for m in maps)


def used_settings(folder: Location, run: Location, name: str) -> Settings:
    """Give the settings that were in effect for a tomogram; the defaults where no run left any."""
    of_tomogram = read_settings(folder / FILE)
    if of_tomogram is not None:
        return of_tomogram
    of_run = read_settings(run / FILE)
    return Settings() if of_run is None else of_run.for_tomogram(name)


def pick_again(
    maps: Sequence[MapToPick],
    *,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    done: Callable[[PickOutcome], None] = lambda outcome: None,
) -> list[PickOutcome]:
    """Pick from stored maps, one after the other; one that fails does not stop the others.

    The settings files of the runs get what was changed.

    Parameters
    ----------
    maps : sequence of MapToPick
        From `plan_pick`.
    overwrite : bool
        Whether tables made with other settings may be replaced.
    reporter : Reporter, optional
        Follows the blocks.
    done : callable
        Called with each outcome as soon as it is known.

    Raises
    ------
    ClaimedError
        If another command writes to a run folder.
    MachineError
        If the scheduler is lost or a disk is full.
    """
    reporter = reporter or Reporter()
    outcomes = []
    with ExitStack() as stack:
        for run in dict.fromkeys(m.run for m in maps):
            stack.enter_context(claimed(run, "deepict-dask pick"))
        for number, m in enumerate(maps, start=1):
            reporter.tomogram(number, len(maps), m.name)
            outcome = PickOutcome(m.name)
            try:
                outcome.picked = _pick_one(m, overwrite, reporter)
            except MachineError:
                raise
            except Exception as error:
                outcome.error = error
            outcomes.append(outcome)
            done(outcome)
    return outcomes


def _pick_one(m: MapToPick, overwrite: bool, reporter: Reporter) -> list[Picked]:
    # A map named alone may lie in a folder that is its own run folder, which is claimed already.
    with ExitStack() as stack:
        claim = stack.enter_context(claimed(m.folder, "deepict-dask pick")) if m.folder != m.run else None
        picked = pick(
            m.probability, m.folder, m.settings.pick, Work(reporter, overwrite, claim=claim), m.stem
        )
        # After the tables: a refused pick leaves the settings that made those that are there.
        _write_settings(m)
    return picked


def _write_settings(m: MapToPick) -> None:
    if m.folder != m.run and is_own_settings(m.run / FILE):
        write_settings(m.run, m.settings, [m.name])
    if (m.folder / FILE).exists() and not is_own_settings(m.folder / FILE):
        return
    write_effective(m.folder, m.settings)
