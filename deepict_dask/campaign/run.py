"""Run a campaign: several tomograms in flight, the older ones first; one that fails does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from traceback import clear_frames
from typing import Literal

from deepict_dask.campaign.failures import is_of_the_run, is_worth_another_try, reason_of
from deepict_dask.campaign.ledger import Ledger, Listener, listening
from deepict_dask.campaign.listeners import Events, RunLog, SummaryFile
from deepict_dask.campaign.outcome import Outcome
from deepict_dask.campaign.plan import PlannedTomogram, RunPlan, look_again
from deepict_dask.campaign.report import leave_report
from deepict_dask.campaign.sharing import POLL_SECONDS, Sharing
from deepict_dask.campaign.summary import TomogramState, read_summary
from deepict_dask.campaign.tables import write_all_tables
from deepict_dask.engine.execute import active_client, workers
from deepict_dask.engine.prewarm import prewarmed
from deepict_dask.errors import ClaimedError, DeepictError, InputError, WorkError
from deepict_dask.io.claim import claimed, shared_claim, turn
from deepict_dask.io.ome_zarr import Image
from deepict_dask.networks.predictor import get_predictor
from deepict_dask.pictures import leave_snapshot
from deepict_dask.stages.nodes import PickStep, run_node
from deepict_dask.stages.report import Reporter
from deepict_dask.stages.run_folder import check_settings, write_effective, write_settings
from deepict_dask.stages.segment import model_spec
from deepict_dask.stages.work import Work

# Tomograms in flight beyond one for each thread of the workers: their headers are read, their tables written meanwhile.
BEYOND = 2
MOST_IN_FLIGHT, FEWEST_THREADS = 64, 2
# How long a run that is stopped waits for what is at work to notice.
STOP_SECONDS = 20.0


def run(
    plan: RunPlan,
    *,
    threads: int | None = None,
    window: int | None = None,
    retries: int = 1,
    share: bool = False,
    reporter: Reporter | None = None,
    listeners: Sequence[Listener] = (),
    done: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Process every tomogram of a plan.

    Parameters
    ----------
    plan : RunPlan
        From `plan_run`.
    threads : int, optional
        Threads of one forward pass on a CPU worker.
    window : int, optional
        Most tomograms in flight; by default as many as keep the threads of all workers busy. Without workers one
        after the other.
    retries : int
        How often a tomogram is tried again that failed by what may pass, such as workers that died under it: alone,
        after all others.
    share : bool
        Whether other processes may work in the same run folder at the same time, each on tomograms of its own. All must
        have the same settings; the tables are those of one process.
    reporter : Reporter, optional
        Told in sentences what is worth a line.
    listeners : sequence of Listener
        Given snapshots of all tomograms while they run.
    done : callable
        Called in this thread with each tomogram's outcome as soon as it is known.

    Returns
    -------
    list of Outcome
        In the order of the plan. What was finished before a failure is kept, and a later run with the same settings
        goes on from there.

    Raises
    ------
    ClaimedError
        If another command writes to the run folder.
    InputError
        If the folder is shared and the run in it has other settings.
    MachineError, OSError
        If the scheduler is lost, or the disk is full: then nothing is wrong with the tomograms that are left.
    """
    if share and plan.overwrite:
        raise InputError(
            "--share and --overwrite do not go together: each process would replace what the others have made; overwrite "
            "with one command first"
        )
    names = [p.name for p in plan.tomograms]
    with ExitStack() as stack:
        sharing = None
        if share:
            claim = stack.enter_context(shared_claim(plan.output, plan.command))
            sharing = Sharing(plan.output, plan.command, claim)
            sharing.agree(plan.settings, names)
        else:
            stack.enter_context(claimed(plan.output, plan.command))
            check_settings(plan.output, overwrite=plan.overwrite)
            write_settings(plan.output, plan.settings, names)
        log = RunLog(plan.output)
        ledger = Ledger(str(plan.output), plan.command, _states(plan), reporter or Reporter(), log.write)
        listeners = (SummaryFile(plan.output, sharing is not None), log, Events(ledger.say), *listeners)
        campaign = _Campaign(plan, ledger, threads, window, retries, done, sharing)
        for sentence in plan.warnings:
            ledger.warn(sentence)
        with listening(ledger, listeners), _closed(ledger, campaign):
            for outcome in plan.failed:
                campaign.note(outcome)
            for model, settings in () if plan.is_done else plan.models:
                # The workers load the network while the first tomogram is ingested.
                stack.enter_context(prewarmed(get_predictor, model_spec(model, settings, threads)))
            campaign.go()
            if plan.until == "pick":
                with nullcontext() if sharing is None else turn(plan.output, "tables", plan.command):
                    earlier = read_summary(plan.output)
                    metadata = ({} if earlier is None else earlier.metadata) | ledger.snapshot().metadata
                    write_all_tables(plan.output, plan.settings.pick.formats, metadata, ledger)
        if plan.until == "pick":
            leave_report(plan.output, ledger)
    return campaign.in_order()


@dataclass
class _Campaign:
    plan: RunPlan
    ledger: Ledger
    threads: int | None
    window: int | None
    retries: int
    done: Callable[[Outcome], None]
    sharing: Sharing | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    elsewhere: list[PlannedTomogram] = field(default_factory=list)

    def go(self) -> None:
        """Do all that is to be done; kept tomograms cost a look only."""
        waiting = []
        for planned in self.plan.tomograms:
            if planned.is_done and not self.plan.overwrite:
                self.note(_kept(planned))
            else:
                waiting.append(planned)
        while waiting:
            again = self._all(waiting, self._width())
            for _ in range(self.retries):
                # Whoever killed its workers, or suffered with one that did, has them for itself now.
                again = [p for planned in again for p in self._all([planned], 1)]
            for planned in again:
                self._set_aside(self.outcomes[planned.name])
            waiting, self.elsewhere = self.elsewhere, []
            if waiting := self._not_settled_elsewhere(waiting):
                time.sleep(POLL_SECONDS)

    def _not_settled_elsewhere(self, waiting: Sequence[PlannedTomogram]) -> list[PlannedTomogram]:
        """Look at what other processes had at work; give what they still have, or have left."""
        left = []
        for planned in waiting:
            looked = look_again(planned)
            if looked.is_done:
                self.note(_kept(looked))
            elif self.sharing is not None and (reason := self.sharing.reason_of(planned.name)) is not None:
                outcome = Outcome(planned.name, planned.plan.folder)
                outcome.error = WorkError(f"another process of this run set it aside: {reason}")
                self.note(outcome)
            else:
                left.append(planned)
        return left

    def note(self, outcome: Outcome) -> None:
        """Keep what became of a tomogram, and tell."""
        self.outcomes[outcome.name] = outcome
        self.ledger.end(
            outcome.name,
            outcome.state,
            reason=reason_of(outcome.error),
            seconds=outcome.seconds,
            particles={p.class_name: p.n_particles for p in outcome.picked},
            contrast=outcome.contrast,
        )
        self.done(outcome)

    def in_order(self) -> list[Outcome]:
        """Give the outcomes in the order of the plan, those that could not be planned first."""
        names = [o.name for o in self.plan.failed] + [p.name for p in self.plan.tomograms]
        return [self.outcomes[name] for name in names if name in self.outcomes]

    def _width(self) -> int:
        if active_client() is None:
            return 1
        found = workers()
        # Workers that are still to come are not known yet.
        threads = FEWEST_THREADS if found is None else max(FEWEST_THREADS, found.total_threads)
        return self.window or min(MOST_IN_FLIGHT, threads + BEYOND)

    def _all(self, waiting: Sequence[PlannedTomogram], width: int) -> list[PlannedTomogram]:
        """Process tomograms, some at a time; give those that may be tried again."""
        if active_client() is None or len(waiting) == 1:
            ended = (self._one(planned, 0) for planned in waiting)
            return [planned for planned, outcome in ended if not self._is_settled(planned, outcome)]
        again = []
        finished: SimpleQueue[Future[tuple[PlannedTomogram, Outcome]]] = SimpleQueue()
        futures: list[Future[tuple[PlannedTomogram, Outcome]]] = []
        pool = ThreadPoolExecutor(max_workers=width, thread_name_prefix="tomogram")
        try:
            for number, planned in enumerate(waiting):
                # Older ones first: what is begun is finished before more is begun.
                # In the context of the caller, who may have chosen a client for it.
                context = copy_context()
                futures.append(pool.submit(context.run, self._one, planned, -number))
                futures[-1].add_done_callback(finished.put)
            for _ in waiting:
                planned, outcome = finished.get().result()
                if not self._is_settled(planned, outcome):
                    again.append(planned)
        except BaseException:
            self.ledger.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            # Their claims are theirs until they have ended. Those that never began do not end.
            wait([f for f in futures if not f.cancelled()], timeout=STOP_SECONDS)
            raise
        pool.shutdown()
        return again

    def _is_settled(self, planned: PlannedTomogram, outcome: Outcome) -> bool:
        if outcome.is_elsewhere:
            self.ledger.change(planned.name, state="elsewhere", stage="")
            self.elsewhere.append(planned)
            return True
        if outcome.error is not None and is_of_the_run(outcome.error, self.plan.output):
            raise outcome.error
        if outcome.error is not None and self.retries and is_worth_another_try(outcome.error):
            if planned.name not in self.outcomes:
                self.ledger.warn(
                    f"{planned.name}: {reason_of(outcome.error)}; it is tried again, alone, after the others"
                )
            self.outcomes[planned.name] = outcome
            self.ledger.change(planned.name, state="waiting", stage="", n_blocks=0, n_blocks_done=0)
            return False
        if outcome.error is not None:
            self._set_aside(outcome)
            return True
        if self.sharing is not None:
            self.sharing.forget(planned.name)
        self.note(outcome)
        return True

    def _set_aside(self, outcome: Outcome) -> None:
        """Note that a tomogram failed for good, in this command and in those that share its folder."""
        if self.sharing is not None:
            self.sharing.set_aside(outcome.name, reason_of(outcome.error))
        self.note(outcome)

    def _one(self, planned: PlannedTomogram, priority: int) -> tuple[PlannedTomogram, Outcome]:
        outcome = Outcome(planned.name, planned.plan.folder)
        if self.sharing is not None and self.sharing.reason_of(planned.name) is not None:
            outcome.is_elsewhere = True
            return planned, outcome
        try:
            self._run_tomogram(planned, outcome, priority)
        except ClaimedError as error:
            outcome.is_elsewhere = self.sharing is not None
            outcome.error = None if outcome.is_elsewhere else error
        except Exception as error:  # whatever it is, it is this tomogram's, or the run's as a whole
            outcome.error = error
            # What the stage held (its graph, its blocks' parts) is not kept with the error until the run ends.
            clear_frames(error.__traceback__)
        return planned, outcome

    def _run_tomogram(self, planned: PlannedTomogram, outcome: Outcome, priority: int) -> None:
        """Run the nodes of one tomogram, each after what it is made from."""
        plan = planned.plan
        with claimed(plan.folder, self.plan.command) as claim:
            self.ledger.begin(planned.name)
            work = Work(
                self.ledger, self.plan.overwrite, self.threads, claim, outcome.kept, priority=priority
            )
            made: dict[str, Image] = {}
            for node in plan.nodes:
                self.ledger.check_stop()
                with _timed(outcome, node.stage):
                    result = run_node(node, made, work)
                if isinstance(result, Image):
                    made[node.name] = result
                    if node.stage == "ingest":
                        # Not before: a tomogram that is refused leaves nothing.
                        write_effective(plan.folder, self.plan.settings.for_tomogram(plan.name))
                        outcome.contrast = _contrast(result)
                else:
                    outcome.picked += result
            if self.plan.until == "pick" and outcome.state == "done":
                leave_snapshot(plan.folder, self.ledger.warn)


def _states(plan: RunPlan) -> list[TomogramState]:
    states = [TomogramState(o.name) for o in plan.failed]
    for planned in plan.tomograms:
        z, y, x = planned.shape
        states.append(
            TomogramState(
                planned.name,
                n_voxels=z * y * x,
                voxel_size=planned.voxel_size,
                shape=planned.shape,
                metadata=planned.entry.metadata,
            )
        )
    return states


def _kept(planned: PlannedTomogram) -> Outcome:
    """Give the outcome of a tomogram of which everything is there."""
    outcome = Outcome(planned.name, planned.plan.folder)
    for node in planned.plan.nodes:
        outcome.kept.add(node.stage)
        outcome.seconds[node.stage] = 0.0
        if isinstance(node.step, PickStep):
            outcome.picked += node.step.kept()
    return outcome


def _contrast(tomogram: Image) -> float | None:
    """Give the standard deviation over the range of the voxels, which should not differ much between tomograms."""
    try:
        statistics = tomogram.statistics
    except DeepictError:
        return None
    extent = statistics.maximum - statistics.minimum
    return statistics.std / extent if extent > 0 else None


@contextmanager
def _closed(ledger: Ledger, campaign: _Campaign) -> Iterator[None]:
    """Note in the ledger how the run ended, whatever ends it."""
    state: Literal["done", "failed", "stopped"] = "stopped"
    reason = ""
    try:
        yield
        state = "failed" if any(o.error is not None for o in campaign.outcomes.values()) else "done"
    except BaseException as error:
        reason = "stopped by the user" if isinstance(error, KeyboardInterrupt) else reason_of(error)
        raise
    finally:
        ledger.close(state, reason)


@contextmanager
def _timed(outcome: Outcome, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        outcome.seconds[stage] = outcome.seconds.get(stage, 0.0) + time.perf_counter() - start
