"""Where the time went, with what settings and versions; for whoever wants to do it again."""

from __future__ import annotations

import numpy as np

from deepict_dask.campaign.report.page import Page
from deepict_dask.campaign.report.svg import Part, bar
from deepict_dask.campaign.report.words import duration, escaped, moment, several, whole

# Of stages; dark enough to be told apart in print.
_COLORS = ("#33608c", "#7aa6c2", "#c9a227", "#8c5a33", "#5b8c5a", "#8e6c9e", "#6b7280")


def timing(page: Page) -> str:
    """Show what the stages took."""
    facts = page.facts
    stages = facts.stages
    if not stages:
        return ""
    seconds = {
        s: np.array([v for t in facts.tomograms if (v := t.state.seconds.get(s, 0.0)) > 0]) for s in stages
    }
    total = sum(v.sum() for v in seconds.values())
    colors = {s: _COLORS[i % len(_COLORS)] for i, s in enumerate(stages)}
    drawing = bar(
        [Part(s, float(v.sum()), colors[s], duration(float(v.sum()))) for s, v in seconds.items()],
        "Share of each stage in the time of all",
    )
    rows = "".join(
        f'<tr><th scope="row"><i class="dot" style="background:{colors[s]}"></i>{escaped(s)}</th>'
        f'<td class="num">{duration(float(v.sum()))}</td><td class="num">{100 * v.sum() / total:.0f} %</td>'
        f'<td class="num">{duration(float(np.median(v)))}</td><td class="num">{duration(float(v.max()))}</td>'
        f'<td class="num">{len(v)}</td></tr>'
        for s, v in seconds.items()
    )
    summary = facts.summary
    wall = (
        f" The last command took {duration(summary.now - summary.began)}."
        if facts.has_summary and summary.began > 1
        else ""
    )
    blocks = sum(t.state.n_computed for t in facts.tomograms)
    computed = f" It computed {several(blocks, 'block')}." if blocks else ""
    return (
        f'<section><h2>Time by stage</h2><div class="card">{drawing}<div class="scroll plain"><table class="plain"><thead><tr>'
        '<th scope="col">Stage</th><th class="num" scope="col">All tomograms</th><th class="num" scope="col">Share</th>'
        '<th class="num" scope="col">Median</th><th class="num" scope="col">Longest</th>'
        f'<th class="num" scope="col">Tomograms</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="note">Tomograms are worked on side by side, so that times of stages add up to more than passed.{wall}{computed}'
        "</p></div></section>"
    )


def settings(page: Page) -> str:
    """Show the settings: those that are not the default first."""
    facts = page.facts
    if not facts.settings:
        return ""
    changed = [s for s in facts.settings if not s.is_default]
    own = [t for t in facts.tomograms if t.differs]

    def rows(which: list) -> str:
        return "".join(
            f'<tr><th scope="row"><code>{escaped(s.section)}.{escaped(s.name)}</code></th>'
            f"<td><code>{escaped(s.value)}</code></td><td>{escaped(s.meaning)}</td></tr>"
            for s in which
        )

    head = '<thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">Meaning</th></tr></thead>'
    chosen = (
        f'<div class="scroll plain"><table class="plain">{head}<tbody>{rows(changed)}</tbody></table></div>'
        if changed
        else "<p>All settings are the defaults.</p>"
    )
    different = (
        f'<h3>Different for {several(len(own), "tomogram")}</h3><ul class="columns">'
        + "".join(
            f"<li><b>{escaped(t.name)}</b> "
            + ", ".join(f"<code>{escaped(k)} = {escaped(v)}</code>" for k, v in t.differs.items())
            + "</li>"
            for t in own
        )
        + "</ul>"
        if own
        else ""
    )
    return (
        f'<section><h2>Settings</h2><div class="card"><h3>Chosen</h3>{chosen}{different}'
        f'<details><summary>All {len(facts.settings)} settings</summary><div class="scroll plain"><table class="plain">{head}'
        f"<tbody>{rows(list(facts.settings))}</tbody></table></div></details></div></section>"
    )


def versions(page: Page) -> str:
    """Show with what it was made, and when this was written."""
    facts = page.facts
    items = "".join(
        f"<div><dt>{escaped(k)}</dt><dd>{escaped(v)}</dd></div>" for k, v in facts.versions.items()
    )
    voxels = sum(t.state.n_voxels for t in facts.tomograms)
    size = f", {whole(voxels / 1e6)} million voxels" if voxels >= 1e6 else ""
    return (
        f'<section><h2>Versions</h2><dl class="card versions">{items}</dl></section><footer>'
        f"{several(len(facts.tomograms), 'tomogram')}{size} · state of {moment(facts.summary.now)} · made by deepict_dask; "
        "this file needs no network and no other file.</footer>"
    )
