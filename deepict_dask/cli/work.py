"""What the commands do once they have been understood: settings, workers, one stage call, a summary."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepict_dask.cli.failure import exit_with, report_error
from deepict_dask.cli.terminal import CampaignDisplay, TerminalReporter, print_table
from deepict_dask.cluster import connect, local_plan
from deepict_dask.cluster.performance import check_performance_report
from deepict_dask.cluster.performance import performance_report as recorded
from deepict_dask.config import ClusterSettings, Settings, load_settings, merge_given, with_paths
from deepict_dask.errors import OutputExistsError
from deepict_dask.io.location import Location

if TYPE_CHECKING:
    from deepict_dask.campaign.outcome import Outcome

# More lines than that nobody reads on a terminal.
_MOST_ROWS = 40


def pipeline(
    until: str,
    quiet: bool,
    *,
    tomograms: Sequence[str],
    output: Path,
    config: Path | None,
    overwrite: bool,
    name: str | None = None,
    recursive: bool = False,
    share: bool = False,
    performance_report: Path | None = None,
    **options: Any,
) -> None:
    """Run the stages up to one of them and print what came of it; exits with 1 or 2 if a tomogram failed."""
    from deepict_dask.campaign.entries import fill_in, find_entries, overrides_of
    from deepict_dask.campaign.plan import plan_run
    from deepict_dask.campaign.run import run

    record = None if performance_report is None else Location.of(performance_report)
    if record is not None:
        check_performance_report(record, overwrite=overwrite)
    entries = find_entries(tomograms, name=name, recursive=recursive)
    # What a table says of single tomograms lies over the settings file, and options over all of it.
    merged = merge_given(load_settings(config), overrides_of(entries), options)
    settings = absolute_paths(fill_in(merged, entries))
    plan = plan_run(entries, Location.of(output), settings, until=until, overwrite=overwrite)  # type: ignore[arg-type]
    reporter = TerminalReporter(quiet)
    codes: list[int] = []

    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            codes.append(report_error(outcome.error, outcome.name))

    def process(threads: int | None = None) -> list[Outcome]:
        return run(
            plan,
            threads=threads,
            window=settings.cluster.window,
            retries=settings.cluster.retries,
            share=share,
            reporter=reporter,
            listeners=[CampaignDisplay(reporter)],
            done=done,
        )

    if plan.is_done:
        what = "all that can be opened" if plan.failed else "everything"
        reporter.say(f"{what} is there already, made with the same settings; no workers are started")
        if record is not None:
            reporter.warn(f"nothing is computed, so there is no performance report {record}")
        outcomes = process()
    else:
        with workers(settings.cluster, reporter) as threads, recorded(record, reporter.warn):
            outcomes = process(threads)
    if not quiet:
        _summary(outcomes, output)
    exit_with(codes, len(outcomes))


def pick_stored(
    runs: Sequence[str], quiet: bool, *, config: Path | None, overwrite: bool, **options: Any
) -> None:
    """Pick from stored probability maps."""
    from deepict_dask.campaign.tables import refresh
    from deepict_dask.stages.picking.again import PickOutcome, needs_workers, pick_again, plan_pick

    def change(used: Settings) -> Settings:
        return absolute_paths(merge_given(used, config, options))

    maps, failed = plan_pick(runs, change)
    reporter = TerminalReporter(quiet)
    codes = [report_error(o.error, o.name) for o in failed if o.error is not None]

    def done(outcome: PickOutcome) -> None:
        if outcome.error is not None:
            codes.append(report_error(outcome.error, outcome.name))

    cluster = load_settings(config, options).cluster
    with ExitStack() as stack:
        if needs_workers(maps, overwrite=overwrite):
            stack.enter_context(workers(cluster, reporter))
        elif all(m.refusal is None for m in maps):
            reporter.say("everything is there already, made with the same settings; no workers are started")
        outcomes = pick_again(maps, overwrite=overwrite, reporter=reporter, done=done)
    for run in dict.fromkeys(m.run for m in maps):
        refresh(run, reporter)
    if not quiet:
        rows = [
            (o.name, p.class_name, str(p.n_particles), "kept" if p.is_kept else "written", str(p.tables[0]))
            for o in outcomes
            for p in o.picked
        ]
        if rows:
            print_table("Picked", ("tomogram", "class", "particles", "status", "table"), rows)
    exit_with(codes, len(outcomes) + len(failed))


def spectrum(
    quiet: bool, *, tomogram: str, output: Path, convention: str, overwrite: bool, **options: Any
) -> None:
    """Extract an amplitude spectrum and write it."""
    from deepict_dask.io.spectra import write_spectrum
    from deepict_dask.stages.equalize import spectrum_of_file

    settings = load_settings(None, options)
    target = Location.of(output)
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{output} exists; use --overwrite to replace it")
    reporter = TerminalReporter(quiet)
    with workers(settings.cluster, reporter):
        found = spectrum_of_file(tomogram, convention, settings.ingest, reporter)  # type: ignore[arg-type]
    write_spectrum(found, target)
    reporter.say(
        f"{output}: amplitude spectrum of {tomogram}, {len(found.amplitude)} shells, convention {convention}"
    )


def check_outputs(folder: Path, quiet: bool, *, deep: bool) -> None:
    """Compare the outputs of a run with their manifests, print what was found; exits with 1 if something is damaged."""
    from deepict_dask.stages.check import check_run

    where = Location.of(folder)
    findings = list(check_run(where, deep=deep))
    if not quiet:
        rows = [(f.output.relative_to(where), f.state) for f in findings]
        print_table(f"{where}, {'every byte' if deep else 'names and sizes'}", ("output", "state"), rows)
    bad = [f for f in findings if f.state != "whole"]
    for finding in bad:
        click.echo(f"{finding.output.relative_to(where)}: {finding.problem}", err=True)
    if any(f.state == "damaged" for f in bad):
        sys.exit(1)


def absolute_paths(settings: Settings) -> Settings:
    """Make the paths in settings absolute, at the border: later steps may run in another working directory."""

    def absolute(key: str, path: str) -> str:
        # The name of a bundled network is no path.
        is_name = key == "model" and path == "demo_network" and not Location.of(path).exists()
        return path if is_name else Location.of(path).url

    return with_paths(settings, absolute)


@contextmanager
def workers(settings: ClusterSettings, reporter: TerminalReporter) -> Iterator[int]:
    """Start or find the workers, say where, and give the threads of a forward pass."""
    plan = None if settings.scheduler else local_plan(settings)
    with connect(settings, reporter.warn) as client:
        where = (
            f"scheduler {settings.scheduler}"
            if plan is None
            else f"{plan.workers} worker{'s' * (plan.workers > 1)} of {plan.threads} thread{'s' * (plan.threads > 1)} "
            f"and {plan.memory_limit / 1e9:.1f} GB"
        )
        reporter.say(f"Dask: {where}; dashboard {client.dashboard_link}")
        if plan is not None:
            yield plan.threads
        else:
            # A forward pass takes the threads that its worker was given, not the machine's cores.
            known = client.scheduler_info(n_workers=-1)["workers"].values()
            yield min((w["nthreads"] for w in known), default=1)


def _summary(outcomes: Sequence[Outcome], output: Path) -> None:
    """Print what became of each tomogram; of many only what was not kept, and of very many what failed."""
    stages = list(dict.fromkeys(stage for o in outcomes for stage in o.seconds))
    several = any(len(o.picked) > 1 for o in outcomes)
    shown = [o for o in outcomes if len(outcomes) <= _MOST_ROWS or o.state != "kept"]
    shown = shown if len(shown) <= _MOST_ROWS else [o for o in shown if o.error is not None][:_MOST_ROWS]
    rows = []
    for o in shown:
        found = ", ".join(
            f"{p.class_name} {p.n_particles}" if several else str(p.n_particles) for p in o.picked
        )
        times = ["kept" if s in o.kept else f"{o.seconds[s]:.1f}" if s in o.seconds else "-" for s in stages]
        rows.append((o.name, o.state, found or "-", *times))
    if rows:
        print_table(
            f"Run folder {output}", ("tomogram", "status", "particles", *(f"{s} (s)" for s in stages)), rows
        )
    if len(outcomes) > 1:
        states = Counter(o.state for o in outcomes)
        total: Counter[str] = Counter()
        for o in outcomes:
            total.update({p.class_name: p.n_particles for p in o.picked})
        click.echo(
            f"{len(outcomes)} tomograms: {', '.join(f'{n} {state}' for state, n in states.items())}; "
            f"particles: {', '.join(f'{name} {n}' for name, n in total.items()) or 'none'}; {output / 'summary.json'}"
        )
