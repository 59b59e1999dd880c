"""The client's part: brings the plugin, sends it snapshots, and a picture of what was finished last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepict_dask.campaign.dashboard import ABOUT, PAGE, PLUGIN, TAKE
from deepict_dask.campaign.dashboard.seen import pack
from deepict_dask.campaign.summary import Summary
from deepict_dask.io.location import Location

_SEND_SECONDS, _PICTURE_SECONDS = 1.0, 10.0
_PICTURE_BYTES, _PICTURE_WIDTH = 80_000, 420
_WAIT_SECONDS = 10.0


class Sender:
    """Sends snapshots of a run to a scheduler.

    Parameters
    ----------
    client : distributed.Client
        Whose scheduler gets the plugin, unless it has it.
    """

    def __init__(self, client: Any):
        self._client = client
        self._sent: Summary | None = None
        self._drawn_at = 0.0
        self._drawn: set[str] = set()

    def update(self, summary: Summary) -> None:
        """Send it if it is time and there is something new in it."""
        before = self._sent
        if before is not None:
            if summary.state == "running" and summary.now - before.now < _SEND_SECONDS:
                return
            if replace(summary, now=before.now) == before:
                return
        if self._client.status != "running":
            return
        name, picture = self._picture(summary)
        self._sent = summary
        take = getattr(self._client.scheduler, TAKE)
        self._client.sync(
            take,
            folder=summary.folder,
            packed=pack(summary),
            now=summary.now,
            n_blocks=sum(t.n_computed for t in summary.tomograms),
            picture_name=name,
            picture=picture,
            callback_timeout=_WAIT_SECONDS,
        )

    def _picture(self, summary: Summary) -> tuple[str, bytes]:
        """Draw the tomogram that was finished last, now and then; nothing where it cannot be drawn."""
        ended = [t for t in summary.tomograms if t.state == "done" and t.ended and t.name not in self._drawn]
        is_due = summary.state != "running" or summary.now - self._drawn_at >= _PICTURE_SECONDS
        if not ended or not is_due:
            return "", b""
        self._drawn_at = summary.now
        self._drawn |= {t.name for t in ended}
        last = max(ended, key=lambda t: t.ended or 0.0)
        try:
            from deepict_dask.pictures import snapshot_bytes
            from deepict_dask.pictures.look import Look

            place = Location.of(summary.folder) / last.name
            return last.name, snapshot_bytes(place, Look(width=_PICTURE_WIDTH), most=_PICTURE_BYTES)
        except Exception:  # a tomogram without a picture is not worth a word here: the report says why
            return "", b""


def bring_plugin(client: Any) -> tuple[Sender | None, str]:
    """Bring the plugin to a scheduler.

    Parameters
    ----------
    client : distributed.Client
        Connected.

    Returns
    -------
    sender : Sender or None
        None where the scheduler cannot take the plugin.
    sentence : str
        Where the page is, or why there is none.
    """
    from deepict_dask.campaign.dashboard.plugin import CampaignPlugin

    try:
        client.register_plugin(CampaignPlugin(), PLUGIN)
        reason = client.sync(getattr(client.scheduler, ABOUT), callback_timeout=_WAIT_SECONDS)
    except Exception as error:
        text = " ".join(str(error).split())
        return None, f"the scheduler cannot show this run ({type(error).__name__}: {text:.200})"
    if reason:
        return Sender(client), f"there is no page of this run: {reason}"
    return Sender(client), f"this run is shown at {page_link(client.dashboard_link)}"


def page_link(dashboard: str) -> str:
    """Give the address of the page beside that of the dashboard.

    >>> page_link("http://127.0.0.1:8787/status")
    'http://127.0.0.1:8787/deepict'
    """
    return dashboard.rstrip("/").removesuffix("/status") + PAGE
