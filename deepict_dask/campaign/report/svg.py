"""Charts as SVG, drawn by ourselves: no library, no script, no request; numbers in, text out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepict_dask.campaign.report.words import escaped, number, whole

WIDTH = 440
_LEFT, _RIGHT = 10, 12
_UNUSUAL = 'stroke="#b3261e" stroke-width="2"'
_USUAL = 'stroke="#1b2430" stroke-opacity=".4" stroke-width=".6"'
_INK, _FAINT, _LINE = "#1b2430", "#556170", "#d9dee5"


@dataclass(frozen=True)
class Series:
    """Values of one class: its name and color."""

    name: str
    color: str
    values: np.ndarray


@dataclass(frozen=True)
class Dot:
    """One tomogram in a strip: its value, what is said when one points at it, where it leads, and whether it is unusual."""

    value: float
    title: str
    target: str = ""
    is_unusual: bool = False


@dataclass(frozen=True)
class Part:
    """One part of a bar."""

    name: str
    value: float
    color: str
    label: str


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Give round numbers from low to high, both of which they may not reach.

    >>> ticks(0, 10), ticks(0.12, 0.31), ticks(3, 3)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.15, 0.2, 0.25, 0.3], [3.0])
    """
    if not high > low:
        return [float(low)]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{k * step:.10g}") for k in range(first, last + 1)]


def bins(values: np.ndarray, most: int = 40) -> np.ndarray:
    """Give the edges of a histogram's bins: round ones, about as many as the values allow.

    >>> bins(np.array([1.0, 2.0, 2.5, 9.5])).tolist()
    [0.0, 5.0, 10.0]
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if not high > low:
        return np.array([low - 0.5, high + 0.5])
    wanted = min(most, max(4, round(2 * len(finite) ** 0.4)))
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.array([float(f"{k * step:.10g}") for k in range(first, max(last, first + 1) + 1)])


def histograms(series: Sequence[Series], unit: str, what: str) -> str:
    """Draw one histogram per class, below each other on one axis, with the median of each.

    Parameters
    ----------
    series : sequence of Series
        Not empty; values that are not finite are left out.
    unit : str
        Of the values, for the axis.
    what : str
        For people who cannot see it.
    """
    finite = [s.values[np.isfinite(s.values)] for s in series]
    edges = bins(np.concatenate(finite))
    low, high = float(edges[0]), float(edges[-1])
    row, top, bar_room = 104, 8, 62
    height = top + row * len(series) + 34

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    parts = [_grid(ticks(low, high), x, top + 20, top + row * len(series))]
    for i, (s, values) in enumerate(zip(series, finite, strict=True)):
        y = top + row * i
        base = y + 24 + bar_room
        counts, _ = np.histogram(values, edges)
        peak = max(1, int(counts.max()))
        for k in np.flatnonzero(counts):
            h = max(1.0, counts[k] / peak * bar_room)
            left, right = x(float(edges[k])), x(float(edges[k + 1]))
            title = f"{number(float(edges[k]))} to {number(float(edges[k + 1]))} {unit}: {whole(counts[k])}"
            parts.append(
                f'<rect x="{left + 0.5:.1f}" y="{base - h:.1f}" width="{max(0.8, right - left - 1):.1f}" height="{h:.1f}" '
                f'fill="{s.color}" stroke="{_INK}" stroke-opacity=".45" stroke-width=".6"><title>{escaped(title)}</title></rect>'
            )
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}" stroke="{_FAINT}"/>')
        median = float(np.median(values)) if len(values) else math.nan
        if len(values):
            m = x(median)
            parts.append(
                f'<line x1="{m:.1f}" x2="{m:.1f}" y1="{y + 20}" y2="{base}" stroke="{_INK}" stroke-width="1.3" '
                'stroke-dasharray="4 3"/>'
            )
        note = f"median {number(median)}{' ' * bool(unit)}{unit}, n = {whole(len(values))}"
        parts.append(
            _text(_LEFT, y + 12, s.name, weight=600) + _text(WIDTH - _RIGHT, y + 12, note, "end", _FAINT)
        )
    parts.append(_axis(ticks(low, high), x, height - 22, ""))
    return _svg(height, parts, what)


def strips(rows: Sequence[tuple[str, str, Sequence[Dot]]], unit: str, what: str) -> str:
    """Draw each class as a row of dots, one for each tomogram, with a line at the median.

    Parameters
    ----------
    rows : sequence of (str, str, sequence of Dot)
        Name, color, and the tomograms.
    unit, what
        As `histograms` has them.
    """
    every = [d.value for _, _, dots in rows for d in dots]
    high = max(every, default=0.0)
    high = ticks(0, high * 1.0001)[-1] if high > 0 else 1.0
    high = max(high, max(every, default=0.0) * 1.03)
    row, top = 82, 8
    height = top + row * len(rows) + 34

    def x(value: float) -> float:
        return _LEFT + 6 + value / high * (WIDTH - _LEFT - _RIGHT - 12)

    parts = [_grid(ticks(0, high), x, top + 20, top + row * len(rows))]
    for i, (name, color, dots) in enumerate(rows):
        y = top + row * i
        middle = y + 48
        radius = 4.2 if len(dots) <= 60 else 3.0 if len(dots) <= 200 else 2.4
        median = float(np.median([d.value for d in dots])) if dots else math.nan
        if dots:
            m = x(median)
            parts.append(
                f'<line x1="{m:.1f}" x2="{m:.1f}" y1="{middle - 26}" y2="{middle + 26}" stroke="{_INK}" '
                'stroke-width="1.3" stroke-dasharray="4 3"/>'
            )
        for dot, shift in zip(dots, _spread([x(d.value) for d in dots], radius, 24), strict=True):
            ring = _UNUSUAL if dot.is_unusual else _USUAL
            circle = (
                f'<circle cx="{x(dot.value):.1f}" cy="{middle + shift:.1f}" r="{radius + 0.6 * dot.is_unusual:.1f}" fill="{color}" {ring}>'
                f"<title>{escaped(dot.title)}</title></circle>"
            )
            parts.append(f'<a href="#{escaped(dot.target)}">{circle}</a>' if dot.target else circle)
        note = f"median {number(median)}{' ' * bool(unit)}{unit}"
        parts.append(
            _text(_LEFT, y + 12, name, weight=600) + _text(WIDTH - _RIGHT, y + 12, note, "end", _FAINT)
        )
    parts.append(_axis(ticks(0, high), x, height - 22, ""))
    return _svg(height, parts, what)


def bar(parts: Sequence[Part], what: str) -> str:
    """Draw one bar of parts that add up to the whole, without text: the table below it says the same."""
    total = sum(p.value for p in parts)
    at, drawn = 0.0, []
    for p in parts:
        width = p.value / total * WIDTH if total else 0.0
        drawn.append(
            f'<rect x="{at:.2f}" y="0" width="{max(0.0, width - 1):.2f}" height="22" fill="{p.color}"><title>'
            f"{escaped(p.name)}: {escaped(p.label)}</title></rect>"
        )
        at += width
    return _svg(22, drawn, what, ' class="stretched" preserveAspectRatio="none"')


def _spread(at: Sequence[float], radius: float, most: float) -> list[float]:
    """Move dots that would cover each other up and down, as little as possible, at most so far."""
    placed: list[tuple[float, float]] = []
    shifts = [0.0] * len(at)
    step = 2 * radius + 0.6
    for i in sorted(range(len(at)), key=lambda k: at[k]):
        near = [(px, ps) for px, ps in placed[-80:] if at[i] - px < step]
        choices = [0.0] + [
            sign * k * step / 2 for k in range(1, int(2 * most / step) + 1) for sign in (1, -1)
        ]
        free = (c for c in choices if all(math.hypot(at[i] - px, c - ps) >= step - 0.7 for px, ps in near))
        # Where all places are taken dots cover each other.
        shifts[i] = next(free, choices[(7 * i) % len(choices)])
        placed.append((at[i], shifts[i]))
    return shifts


def _grid(at: Sequence[float], x: object, top: float, bottom: float) -> str:
    assert callable(x)
    return "".join(
        f'<line x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{bottom}" stroke="{_LINE}"/>' for t in at
    )


def _axis(at: Sequence[float], x: object, y: float, unit: str) -> str:
    assert callable(x)
    labels = []
    for t in at:
        place = x(t)
        anchor = "start" if place < 24 else "end" if place > WIDTH - 24 else "middle"
        labels.append(_text(place, y, f"{t:,.10g}", anchor, _FAINT))
    return "".join(labels) + (_text(WIDTH - _RIGHT, y + 15, unit, "end", _FAINT) if unit else "")


def _text(x: float, y: float, text: str, anchor: str = "start", color: str = _INK, weight: int = 400) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}">{escaped(text)}</text>'


def _svg(height: float, parts: Sequence[str], what: str, how: str = "") -> str:
    return f'<svg{how} viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escaped(what)}">{"".join(parts)}</svg>'
