"""The plugin: brought to the scheduler by whichever client comes first, one for all runs."""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from deepict_dask.campaign.dashboard import ABOUT, PLUGIN, TAKE
from deepict_dask.campaign.dashboard.seen import Picture, SeenRun, keep


class CampaignPlugin(SchedulerPlugin):
    """Keeps the last snapshot of each run, shows it on the dashboard, and gives numbers to Prometheus.

    Snapshots come through a handler of its own and not as events: of those a scheduler keeps a thousand.
    """

    name = PLUGIN
    idempotent = True

    def __init__(self) -> None:
        self.runs: dict[str, SeenRun] = {}
        self.no_page = ""

    async def start(self, scheduler: Any) -> None:
        """Open the page and the metrics, as far as the scheduler has what they need."""
        scheduler.handlers[TAKE] = self.take
        scheduler.handlers[ABOUT] = self.about
        try:
            from deepict_dask.campaign.dashboard.mount import mount_page

            self.no_page = mount_page(scheduler, self.runs)
        except Exception as error:  # a page is worth no scheduler
            self.no_page = f"{type(error).__name__}: {' '.join(str(error).split())}"
        try:
            from deepict_dask.campaign.dashboard.metrics import expose

            expose(self.runs)
        except ImportError:
            pass  # without prometheus_client Dask has no metrics either

    def take(
        self,
        folder: str,
        packed: bytes,
        now: float,
        n_blocks: int,
        picture_name: str = "",
        picture: bytes = b"",
    ) -> None:
        """Keep a snapshot; it is not unpacked here."""
        drawn = Picture(picture_name, bytes(picture)) if picture else None
        keep(self.runs, folder).take(bytes(packed), now, n_blocks, drawn)

    def about(self) -> str:
        """Say why there is no page; empty where there is one."""
        return self.no_page
