"""From a summary to what the page shows: columns and a little HTML; knows no Bokeh."""

from __future__ import annotations

import base64
import html
import math
from typing import Any

from deepict_dask.campaign.dashboard.seen import Picture
from deepict_dask.campaign.report.words import duration, escaped, moment, number, several, whole
from deepict_dask.campaign.summary import STATES, Summary, TomogramState

EMPTY_BARS: dict[str, list] = {"label": [], "value": [], "color": [], "shown": []}
EMPTY_TABLE: dict[str, list] = {
    "name": [], "state": [], "stage": [], "blocks": [], "particles": [], "seconds": [], "reason": [],
}  # fmt: skip
_COLORS = {
    "done": "#2f855a",
    "kept": "#8cbfa3",
    "running": "#33608c",
    "waiting": "#c3cad3",
    "failed": "#b3261e",
    "stopped": "#8a95a3",
    "elsewhere": "#8e6c9e",
}
# What is at work and what failed is looked for; what waits is not.
_ORDER = {"running": 0, "failed": 1, "done": 2, "kept": 3, "elsewhere": 4, "stopped": 5, "waiting": 6}
_WORDS = {"running": "running", "done": "finished", "failed": "finished, with failures", "stopped": "stopped"}
_BADGES = {
    "running": ("#dcebfb", "#0b3d75"),
    "done": ("#dff2e6", "#14532d"),
    "failed": ("#fbe1df", "#8c1d18"),
    "stopped": ("#e8ebef", "#3a4552"),
}
_MOST_FAILURES = 50


def nothing_yet() -> str:
    """Say that no run was heard of."""
    return '<p style="font-size:16px;color:#556170">No run has told this scheduler anything yet.</p>'


def head(summary: Summary, rate: float) -> str:
    """Give the name of a run, its state, and the few numbers that matter."""
    ground, ink = _BADGES[summary.state]
    name = summary.folder.rstrip("/").rpartition("/")[2] or summary.folder
    over = sum(t.is_over and t.state != "stopped" for t in summary.tomograms)
    failed = summary.count("failed")
    left = summary.seconds_left
    tiles = [
        _tile(
            "Tomograms",
            f"{whole(over)}<small style='font-size:15px;color:#556170'> of {whole(len(summary.tomograms))}</small>",
            f"{failed} failed" if failed else "no failures",
        ),
        *(_tile(escaped(c), whole(n), "particles so far") for c, n in sorted(summary.particles.items())[:6]),
        _tile(
            "Blocks per second", number(rate), several(sum(t.n_computed for t in summary.tomograms), "block")
        ),
        _tile(
            "Done", f"{100 * summary.share_done:.0f} %", f"{duration(left)} left" if left is not None else ""
        ),
        _tile("Time", duration(summary.now - summary.began), f"since {moment(summary.began)}"),
    ]
    reason = (
        f'<p style="color:#8c1d18;font-weight:600;margin:6px 0">{escaped(summary.reason)}</p>'
        if summary.reason
        else ""
    )
    return (
        f'<h1 style="font-size:26px;margin:4px 0;color:#1b2430">{escaped(name)} <span style="font-size:13px;font-weight:600;'
        f'background:{ground};color:{ink};padding:4px 11px;border-radius:99px;vertical-align:middle">{_WORDS[summary.state]}</span></h1>'
        f'<p style="color:#556170;margin:0 0 12px;font-size:14px">{escaped(summary.command)} · {escaped(summary.folder)}</p>{reason}'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(tiles)}</div>'
    )


def _tile(label: str, value: str, note: str) -> str:
    return (
        '<div style="border:1px solid #dfe4ea;border-radius:10px;padding:10px 16px;min-width:130px;background:#fff">'
        f'<div style="font-size:13px;color:#556170;font-weight:600">{label}</div>'
        f'<div style="font-size:26px;font-weight:650;color:#1b2430;line-height:1.3">{value}</div>'
        f'<div style="font-size:13px;color:#556170">{escaped(note)}</div></div>'
    )


def state_bars(summary: Summary) -> dict[str, list]:
    """Count the tomograms by state; states without any are left out."""
    counts = [(s, summary.count(s)) for s in STATES]
    rows = [(s, n) for s, n in counts if n]
    return {
        "label": [s for s, _ in rows],
        "value": [n for _, n in rows],
        "color": [_COLORS[s] for s, _ in rows],
        "shown": [whole(n) for _, n in rows],
    }


def stage_bars(summary: Summary) -> dict[str, list]:
    """Add up the seconds of each stage over all tomograms."""
    seconds: dict[str, float] = {}
    for t in summary.tomograms:
        for stage, value in t.seconds.items():
            if value > 0:
                seconds[stage] = seconds.get(stage, 0.0) + value
    return {
        "label": list(seconds),
        "value": list(seconds.values()),
        "color": ["#33608c"] * len(seconds),
        "shown": [duration(v) for v in seconds.values()],
    }


def table(summary: Summary) -> dict[str, list[Any]]:
    """Give the table of tomograms: those at work first, then what failed, then what is done, the latest first."""
    rows = sorted(summary.tomograms, key=lambda t: (_ORDER[t.state], -(t.ended or 0.0)))
    return {
        "name": [t.name for t in rows],
        "state": [t.state for t in rows],
        "stage": [t.stage for t in rows],
        "blocks": [f"{t.n_blocks_done} of {t.n_blocks}" if t.n_blocks else "" for t in rows],
        "particles": [", ".join(f"{whole(n)} {c}" for c, n in t.particles.items()) for t in rows],
        "seconds": [_seconds(t) for t in rows],
        "reason": [t.reason for t in rows],
    }


def _seconds(t: TomogramState) -> float:
    return float(sum(t.seconds.values())) or math.nan


def failures(summary: Summary) -> str:
    """List what failed, with reasons."""
    failed = [t for t in summary.tomograms if t.state == "failed"]
    if not failed:
        return ""
    rows = "".join(
        f'<li style="padding:3px 0"><b>{escaped(t.name)}</b> {escaped(t.reason)}</li>'
        for t in failed[:_MOST_FAILURES]
    )
    more = f"<li>and {len(failed) - _MOST_FAILURES} more</li>" if len(failed) > _MOST_FAILURES else ""
    return (
        '<div style="border:1px solid #f0c4c1;border-left:4px solid #b3261e;border-radius:8px;padding:8px 14px;background:#fff">'
        f'<b style="font-size:15px">Failures ({len(failed)})</b><ul style="margin:4px 0;padding:0;list-style:none;font-size:13.5px;'
        f'max-height:170px;overflow:auto">{rows}{more}</ul></div>'
    )


def picture(drawn: Picture | None) -> str:
    """Show the tomogram that was finished last."""
    if drawn is None:
        return ""
    content = base64.b64encode(drawn.content).decode()
    name = html.escape(drawn.name, quote=True)
    return (
        f'<b style="font-size:14px">Finished last: {name}</b><br><img alt="Slices of {name} with picks" '
        f'style="max-width:100%;border:1px solid #dfe4ea;border-radius:8px;margin-top:6px" src="data:image/webp;base64,{content}">'
    )
