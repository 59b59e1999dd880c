"""The table of tomograms: sorted by a click on a head, narrowed by a word."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepict_dask.campaign.report.facts import TomogramFacts
from deepict_dask.campaign.report.page import Page
from deepict_dask.campaign.report.words import duration, escaped, number, whole
from deepict_dask.tomogram import angstrom, by

# So many are printed on pages of their own, as broad as paper is.
_MANY = 8


@dataclass(frozen=True)
class Cell:
    """What a cell shows (HTML) and what it is sorted by; numbers stand right."""

    html: str
    key: str | float
    is_number: bool = False


def section(page: Page) -> str:
    """Give the table, a row for each tomogram."""
    heads = _heads(page)
    rows = "".join(_row(page, i, t) for i, t in enumerate(page.facts.tomograms))
    cells = "".join(
        f'<th scope="col" class="{"num" if is_number else ""}" title="{escaped(title)}"><button type="button">{escaped(text)}</button>'
        f'<span class="printed" aria-hidden="true">{escaped(text)}</span></th>'
        for text, title, is_number in heads
    )
    many = ' class="many"' if len(page.facts.tomograms) > _MANY else ""
    return (
        f'<section id="tomograms"{many}><div class="bar"><h2>Tomograms</h2>'
        '<label class="filter">Show those with <input type="search" id="filter" placeholder="name, state, note …" '
        'autocomplete="off"></label><span id="shown" role="status"></span></div>'
        f'<div class="scroll card" tabindex="0" role="region" aria-label="Tomograms"><table id="table"><thead><tr>{cells}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div><p class="note screen">Click a column to sort by it.</p></section>'
    )


def _heads(page: Page) -> list[tuple[str, str, bool]]:
    heads: list[tuple[str, str, bool]] = [("Tomogram", "", False), ("State", "", False)]
    for name in page.facts.classes:
        heads += [
            (name, f"Particles of {name}", True),
            (
                f"{name}/µm³",
                f"Particles of {name} per cubic micrometer of the region, else of the tomogram",
                True,
            ),
        ]
    heads += [
        ("Size (nm)", "Median diameter of spheres as large as the particles", True),
        ("Score", "Median of the particles' scores", True),
        ("Voxel (Å)", "Voxel size", True),
        ("Voxels", "Shape as z × y × x", True),
        ("Contrast", "Standard deviation of the voxels over their range", True),
        ("Time", "Of all stages", True),
    ]
    heads += [
        (column, "From the table of tomograms", _is_numeric(page, column))
        for column in page.facts.metadata_columns
    ]
    if any(t.differs for t in page.facts.tomograms):
        heads.append(("Own settings", "What differs from the settings of the run", False))
    heads.append(("Notes", "Why it is worth a look, or failed", False))
    return heads


def _row(page: Page, number_: int, t: TomogramFacts) -> str:
    cells = [Cell(page.link(t), t.name), _state(t)]
    for name in page.facts.classes:
        found, density = t.of_class(name), t.density(name)
        count = "–" if found is None else page.file_link(found.table, whole(found.n))
        cells += [Cell(count, -1 if found is None else found.n, True), _number(density)]
    sizes = np.concatenate([f.diameters for f in t.found] or [np.zeros(0)])
    scores = np.concatenate([f.scores for f in t.found] or [np.zeros(0)])
    edge = t.state.voxel_size
    seconds = sum(t.state.seconds.values())
    cells += [
        _number(_median(sizes)),
        _number(_median(scores)),
        Cell(
            "–" if edge is None else escaped(angstrom(edge).removesuffix(" A")),
            -1 if edge is None else max(edge),
            True,
        ),
        Cell(
            "–" if t.state.shape is None else escaped(by(t.state.shape).replace("x", "×")),
            t.state.n_voxels,
            True,
        ),
        _number(t.state.contrast),
        Cell(duration(seconds) if seconds else "–", seconds, True),
    ]
    for column in page.facts.metadata_columns:
        value = page.facts.metadata(t, column)
        numeric = _is_numeric(page, column)
        key = (float(value) if isinstance(value, int | float) else -math.inf) if numeric else str(value)
        shown = "" if value is None else value
        cells.append(Cell(escaped(shown), key, numeric))
    if any(other.differs for other in page.facts.tomograms):
        said = ", ".join(f"{key} = {value}" for key, value in t.differs.items())
        cells.append(Cell(f'<span class="notes">{escaped(said)}</span>', said))
    notes = (
        [r.sentence for r in page.remarks.get(t.name, ())]
        + [t.state.reason] * bool(t.state.reason)
        + list(t.problems)
    )
    cells.append(Cell(f'<span class="notes">{escaped("; ".join(notes))}</span>', "; ".join(notes)))
    first = f'<th scope="row" data-v="{escaped(cells[0].key)}">{cells[0].html}</th>'
    return f'<tr data-i="{number_}">{first}{"".join(map(_td, cells[1:]))}</tr>'


def _td(cell: Cell) -> str:
    kind = ' class="num"' if cell.is_number else ""
    key = f"{cell.key:.9g}" if isinstance(cell.key, int | float) else cell.key
    return f'<td{kind} data-v="{escaped(key)}">{cell.html}</td>'


def _number(value: float | None) -> Cell:
    return Cell(number(value), -math.inf if value is None else value, True)


def _median(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _state(t: TomogramFacts) -> Cell:
    word = t.state.state
    shown = {"kept": "done", "elsewhere": "elsewhere"}.get(word, word)
    if t.is_complete and word in ("waiting", "stopped"):
        shown = "done"
    title = "everything was there already" if word == "kept" else ""
    return Cell(f'<span class="badge {escaped(shown)}" title="{title}">{escaped(shown)}</span>', shown)


def _is_numeric(page: Page, column: str) -> bool:
    values = [v for t in page.facts.tomograms if (v := t.state.metadata.get(column)) not in (None, "")]
    return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
