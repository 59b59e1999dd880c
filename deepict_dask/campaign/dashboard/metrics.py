"""Numbers of runs for Prometheus, at the scheduler's ``/metrics`` beside Dask's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from deepict_dask.campaign.dashboard.seen import SeenRun
from deepict_dask.campaign.summary import STATES


class CampaignCollector:
    """Reads the last snapshot of each run when it is asked."""

    def __init__(self) -> None:
        self.runs: dict[str, SeenRun] = {}

    def collect(self) -> Iterator[Any]:
        """Give the metrics, labelled with the run folder."""
        tomograms = GaugeMetricFamily(
            "deepict_tomograms", "Tomograms of a run by state", labels=["run", "state"]
        )
        failed = GaugeMetricFamily("deepict_failures", "Tomograms of a run that failed", labels=["run"])
        blocks = CounterMetricFamily(
            "deepict_blocks_computed",
            "Blocks that the last command of a run computed, all stages",
            labels=["run"],
        )
        particles = GaugeMetricFamily(
            "deepict_particles", "Particles found so far by class", labels=["run", "class"]
        )
        done = GaugeMetricFamily(
            "deepict_share_done", "Share of the work that is done, 0 to 1", labels=["run"]
        )
        for run in list(self.runs.values()):
            summary = run.summary
            for state in STATES:
                tomograms.add_metric([run.folder, state], summary.count(state))
            failed.add_metric([run.folder], summary.count("failed"))
            blocks.add_metric([run.folder], run.blocks[-1][1] if run.blocks else 0)
            for name, n in summary.particles.items():
                particles.add_metric([run.folder, name], n)
            done.add_metric([run.folder], summary.share_done)
        yield from (tomograms, failed, blocks, particles, done)


_collector = CampaignCollector()
_is_registered = False


def expose(runs: dict[str, SeenRun]) -> None:
    """Give the numbers of these runs from now on; a process has one registry, and its last scheduler counts."""
    global _is_registered  # noqa: PLW0603
    _collector.runs = runs
    if not _is_registered:
        REGISTRY.register(_collector)
        _is_registered = True
