"""The first screen: how it went in a few numbers, what to look at, how the particles are distributed."""

from __future__ import annotations

import math

import numpy as np

from deepict_dask.campaign.report.facts import TomogramFacts
from deepict_dask.campaign.report.outliers import LEAST, RULE
from deepict_dask.campaign.report.page import Page
from deepict_dask.campaign.report.svg import Dot, Series, histograms, strips
from deepict_dask.campaign.report.words import duration, escaped, moment, number, several, whole

_STATES = {
    "done": ("done", "finished"),
    "failed": ("failed", "finished, with failures"),
    "stopped": ("stopped", "stopped before its end"),
    "running": ("running", "running when this was written"),
}


def header(page: Page) -> str:
    """Say which run this is of."""
    summary = page.facts.summary
    word, sentence = _STATES.get(summary.state, ("stopped", summary.state))
    name = escaped(summary.folder.rstrip("/").rpartition("/")[2])
    facts = []
    if summary.command:
        facts.append(f"<code>{escaped(summary.command)}</code>")
    if summary.began > 1:
        facts.append(f"began {moment(summary.began)}")
    if page.facts.has_summary and summary.now > summary.began > 1:
        facts.append(f"took {duration(summary.now - summary.began)}")
    if not page.facts.has_summary:
        facts.append("the folder has no summary; what lies there is shown")
    reason = f'<p class="reason">{escaped(summary.reason)}</p>' if summary.reason else ""
    return (
        f'<header><p class="kicker">Particles in tomograms</p><h1>{name} <span class="badge {word}">{escaped(sentence)}</span></h1>'
        f'<p class="where">{escaped(summary.folder)}</p><p class="facts">{" · ".join(facts)}</p>{reason}</header>'
    )


def tiles(page: Page) -> str:
    """Give the few numbers that matter."""
    facts = page.facts
    summary = facts.summary
    n, n_complete = len(facts.tomograms), len(facts.complete)
    failed = summary.count("failed")
    other = n - n_complete - failed
    notes = [f"{failed} failed"] * bool(failed) + [f"{other} not finished"] * (other > 0)
    items = [
        _tile(
            "Tomograms",
            f"{whole(n_complete)}<small> of {whole(n)}</small>",
            ", ".join(notes) or "all complete",
        )
    ]
    for name in facts.classes:
        densities = [d for t in facts.complete if (d := t.density(name)) is not None]
        note = (
            f"median {number(float(np.median(densities)))} per µm³"
            if densities
            else several(n_complete, "tomogram")
        )
        items.append(_tile(name, whole(facts.total(name)), note, page.colors[name]))
    items.append(
        _tile(
            "Worth a look",
            whole(len(page.remarks)),
            "unlike the others" if page.remarks else "nothing unusual",
        )
    )
    computed = [t.state for t in facts.tomograms if t.state.state == "done" and any(t.state.seconds.values())]
    elapsed = summary.now - summary.began
    if computed and facts.has_summary and elapsed > 0:
        voxels = sum(t.n_voxels for t in computed)
        rate = f"{number(3600 * len(computed) / elapsed)}<small> per hour</small>"
        items.append(_tile("Tomograms computed", rate, _speed(voxels / elapsed)))
    return f'<section class="tiles" aria-label="In numbers">{"".join(items)}</section>'


def _tile(label: str, value: str, note: str, color: str = "") -> str:
    mark = f'<i class="dot" style="background:{color}"></i>' if color else ""
    return f'<div class="tile"><h2>{mark}{escaped(label)}</h2><p class="value">{value}</p><p>{escaped(note)}</p></div>'


def _speed(voxels: float) -> str:
    return f"{number(voxels / 1e6)} million voxels/s" if voxels >= 1e6 else f"{whole(voxels)} voxels/s"


def attention(page: Page) -> str:
    """List what failed, with reasons, and what is unlike the others, with the rule."""
    parts = []
    failed = [t for t in page.facts.tomograms if t.state.state == "failed"]
    if failed:
        rows = "".join(
            f"<li><b>{escaped(t.name)}</b> {escaped(t.state.reason or 'no reason was noted')}</li>"
            for t in failed
        )
        parts.append(f'<div class="card failures"><h2>Failures ({len(failed)})</h2><ul>{rows}</ul></div>')
    if damaged := [(t, p) for t in page.facts.tomograms for p in t.problems]:
        rows = "".join(f"<li><b>{escaped(t.name)}</b> {escaped(p)}</li>" for t, p in damaged)
        parts.append(
            f'<div class="card failures"><h2>Tables that cannot be shown ({len(damaged)})</h2><ul>{rows}</ul></div>'
        )
    by_name = {t.name: t for t in page.facts.tomograms}
    rows = "".join(
        f"<li><b>{page.link(by_name[name])}</b> {'; '.join(escaped(_with_score(r.sentence, r.score)) for r in said)}</li>"
        for name, said in page.remarks.items()
    )
    if len(page.facts.tomograms) > 1 or rows:
        nothing = "<p>Nothing is unlike the others.</p>"
        if len(page.facts.complete) < LEAST and not rows:
            nothing = f"<p>There are fewer than {LEAST} tomograms to compare.</p>"
        parts.append(
            f'<div class="card outliers"><h2>Worth a look ({len(page.remarks)})</h2>{f"<ul>{rows}</ul>" if rows else nothing}'
            f'<details><summary>The rule</summary><p class="note">{escaped(RULE)}</p></details>'
            f'<p class="note printed">{escaped(RULE)}</p></div>'
        )
    if page.facts.summary.warnings:
        rows = "".join(f"<li>{escaped(w)}</li>" for w in page.facts.summary.warnings)
        parts.append(
            f'<div class="card warnings"><h2>Warnings ({len(page.facts.summary.warnings)})</h2><ul>{rows}</ul></div>'
        )
    return f'<section class="attention" aria-label="To look at">{"".join(parts)}</section>' if parts else ""


def _with_score(sentence: str, score: float) -> str:
    return sentence if math.isnan(score) else f"{sentence} (z = {score:+.1f})"


def distributions(page: Page) -> str:
    """Draw numbers per tomogram, sizes and scores."""
    facts = page.facts
    if not facts.complete:
        return ""
    is_dense = all(t.density(f.name) is not None for t in facts.complete for f in t.found)
    rows = [
        (name, page.colors[name], [_dot(page, t, name, is_dense) for t in facts.complete if t.of_class(name)])
        for name in facts.classes
    ]
    unit = "per µm³" if is_dense else ""
    head = "Particles per cubic micrometer" if is_dense else "Particles per tomogram"
    note = "One dot for each tomogram; dashed: the median; red ring: unlike the others."
    if is_dense and any(f.has_region for t in facts.complete for f in t.found):
        note += " Of the region where there is one."
    cards = [_chart(head, note, strips(rows, unit, f"{head}, one dot for each tomogram"))]
    for title, unit, note in (
        ("Size", "nm", "Diameter of a sphere as large as the particle, in nm."),
        ("Score", "", "Mean probability of the particle's voxels."),
    ):
        series = [
            Series(name, page.colors[name], values)
            for name in facts.classes
            if len(values := _values(facts.complete, name, title)) and np.isfinite(values).any()
        ]
        if series:
            cards.append(_chart(title, note, histograms(series, unit, f"{title}: histogram by class")))
    return f'<section><h2>Distributions</h2><div class="charts">{"".join(cards)}</div></section>'


def _values(tomograms: tuple[TomogramFacts, ...], name: str, what: str) -> np.ndarray:
    found = [f for t in tomograms for f in t.found if f.name == name]
    return (
        np.concatenate([f.diameters if what == "Size" else f.scores for f in found]) if found else np.zeros(0)
    )


def _dot(page: Page, tomogram: TomogramFacts, name: str, is_dense: bool) -> Dot:
    found = tomogram.of_class(name)
    assert found is not None
    value = tomogram.density(name) if is_dense else found.n
    title = f"{tomogram.name}: {whole(found.n)} {name}" + (f", {number(value)} per µm³" if is_dense else "")
    said = page.remarks.get(tomogram.name, ())
    # What is said of another class is not shown in this one's row.
    unusual = any(r.kind == "none" or (r.kind == "count" and f" of {name}: " in r.sentence) for r in said)
    target = page.anchors[tomogram.name] if tomogram.name in page.pictures.by_name else ""
    return Dot(float(value or 0.0), title, target, unusual)


def _chart(title: str, note: str, drawing: str) -> str:
    return f'<figure class="card"><h3>{escaped(title)}</h3>{drawing}<figcaption class="note">{escaped(note)}</figcaption></figure>'
