"""What the commands do once they have been understood: settings, workers, one stage call, a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepict_dask.cli.failure import exit_if_failed
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.cluster import connect, local_plan
from deepict_dask.config import ClusterSettings, load_settings
from deepict_dask.errors import OutputExistsError


def pipeline(
    until: str,
    quiet: bool,
    *,
    tomograms: Sequence[str],
    output: Path,
    config: Path | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Run the stages up to one of them and print what came of it; exits with 1 or 2 if a tomogram failed."""
    from deepict_dask.stages.run import prepare, run

    settings = load_settings(config, options)
    plan = prepare(tomograms, output, settings, until=until, overwrite=overwrite)  # type: ignore[arg-type]
    reporter = TerminalReporter(quiet)
    with workers(settings.cluster, reporter) as threads:
        outcomes = run(plan, threads=threads, reporter=reporter)
    if not quiet:
        _summary(outcomes, output)
    exit_if_failed({o.name: o.error for o in outcomes})


def pick_again(
    runs: Sequence[str], quiet: bool, *, config: Path | None, overwrite: bool, **options: Any
) -> None:
    """Pick from stored probability maps."""
    from deepict_dask.io.ome_zarr import open_image
    from deepict_dask.stages.pick import pick, pickable

    settings = load_settings(config, options)
    paths = list(pickable(list(runs)))
    reporter = TerminalReporter(quiet)
    rows = []
    with workers(settings.cluster, reporter):
        for path in paths:
            image = open_image(path)
            for picked in pick(image, path.parent, settings.pick, reporter=reporter, overwrite=overwrite):
                rows.append((image.name, picked.class_name, str(picked.n_particles), str(picked.tables[0])))
    if not quiet:
        print_table("Picked", ("tomogram", "class", "particles", "table"), rows)


def spectrum(
    quiet: bool, *, tomogram: str, output: Path, convention: str, overwrite: bool, **options: Any
) -> None:
    """Extract an amplitude spectrum and write it."""
    from deepict_dask.stages.equalize import spectrum_of_file, write_spectrum

    settings = load_settings(None, options)
    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output} exists; use --overwrite to replace it")
    reporter = TerminalReporter(quiet)
    with workers(settings.cluster, reporter):
        found = spectrum_of_file(tomogram, convention, settings.ingest)  # type: ignore[arg-type]
    write_spectrum(found, output)
    reporter.say(
        f"{output}: amplitude spectrum of {tomogram}, {len(found.amplitude)} shells, convention {convention}"
    )


@contextmanager
def workers(settings: ClusterSettings, reporter: TerminalReporter) -> Iterator[int]:
    """Start or find the workers, say where, and give the threads of a forward pass."""
    import logging

    # Workers that stop at the end of a command are no news.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    plan = None if settings.scheduler else local_plan(settings)
    with connect(settings) as client:
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


def _summary(outcomes: Sequence[Any], output: Path) -> None:
    stages = list(dict.fromkeys(stage for o in outcomes for stage in o.seconds))
    several = any(len(o.picked) > 1 for o in outcomes)
    rows = []
    for o in outcomes:
        status = "failed" if o.error else "done"
        found = ", ".join(
            f"{p.class_name} {p.n_particles}" if several else str(p.n_particles) for p in o.picked
        )
        times = [f"{o.seconds[s]:.1f}" if s in o.seconds else "-" for s in stages]
        rows.append((o.name, status, found or "-", *times))
    print_table(
        f"Run folder {output}", ("tomogram", "status", "particles", *(f"{s} (s)" for s in stages)), rows
    )
